/**
 * What time a push got that came without a clock and with a name: an `Idempotency-Key`, else a profile id. The time is part of what a
 * record is known by, so the same push sent again gets the time it got first, and counts once.
 *
 *   name --> the first that came by it: its time, its content     other content by the same name --> its own time
 *
 * What must stay true: a name alone pins nothing. Who is given an earlier time has sent the same labels and bytes, or, where only
 * a record of the head is left to compare with, comes out as that very record (`settle`).
 *
 * Bounds, of all tenants together: names lie in two halves, and the older half is forgotten when the newer one is full or an hour
 * old. So the last ARRIVALS_MAX pushes of the last hour are known at least, and twice as many at most (260 bytes each, 700 by the
 * longest names). One that is forgotten counts once more when it is sent again. A push that turns out to have a clock leaves at once:
 * it costs 1 to 2 µs, and one that stays 17 (12 KB, mostly to hash it; Node 20, 2 cores).
 */
import { createHash } from "node:crypto";
import { CorruptionError } from "@pyromesh/base";
import type { ArrivedProfile } from "@pyromesh/api";
import type { AcceptanceWindow, EncodedRecord } from "@pyromesh/profile";
import { recordArrival, recordIdentity } from "@pyromesh/profile";

const ARRIVALS_MAX = 32_768;
/** Clients that send again give up long before. */
const AGE_MAX_MS = 3_600_000;

/** What was pushed, as far as it is compared. */
export type PushedContent = Pick<ArrivedProfile, "labels" | "pprof" | "folded" | "ingest">;

export type PushedNames = Pick<ArrivedProfile, "fallbackTimeMs" | "idempotencyKey" | "profileId">;

/** What a push goes by; undefined where nothing names it, or the client says the time. */
export function arrivalName(tenant: string, { fallbackTimeMs, idempotencyKey, profileId }: PushedNames): string | undefined {
  return fallbackTimeMs === undefined ? nameOf(tenant, idempotencyKey, profileId) : undefined;
}

export class ArrivalTimes {
  readonly #arrivalsMax: number;
  #newer = new Map<string, Arrival>();
  #older = new Map<string, Arrival>();
  #turnedAtMs = 0;

  constructor(options: { readonly arrivalsMax?: number }) {
    this.#arrivalsMax = options.arrivalsMax ?? ARRIVALS_MAX;
  }

  get count(): number {
    return this.#newer.size + this.#older.size;
  }

  /**
   * The time the push got when it first came, or now; also where that time would now be refused as out of `window`. Looks at its bytes
   * until `settle` or `keep`, one of which follows, whatever becomes of the push.
   */
  take(name: string, pushed: PushedContent, nowMs: number, window: AcceptanceWindow): Arrival {
    this.#turnWhenDue(nowMs);
    let content: string | undefined;
    for (const half of [this.#newer, this.#older]) {
      const first = half.get(name);
      if (first === undefined) continue;
      content ??= contentOf(pushed);
      const found = first.mayBe(content) ? first : half.get(otherName(name, content));
      if (found === undefined) first.hasOthers = true;
      else if (isInTime(found.timeMs, nowMs, window)) return found;
      else return add(half, new Arrival(found.name, nowMs, { content }));
    }
    const ownName = content !== undefined && this.#newer.has(name) ? otherName(name, content) : name;
    return add(this.#newer, new Arrival(ownName, nowMs, { content, pushed }));
  }

  /** It was refused before it was known whether it has a clock: kept, since it is likely to come again. */
  keep(arrival: Arrival): void {
    arrival.letGo();
  }

  /**
   * What came out, with the time it was given. False: it is another profile than the record that `resume` told by that name, and must
   * take a time anew. Not without end: that record is forgotten, or its content is known by now and tells the two apart.
   */
  settle(arrival: Arrival, pushed: PushedContent, records: readonly Pick<EncodedRecord, "timeMs" | "identity">[]): boolean {
    const [record] = records;
    const hasClock = record === undefined || record.timeMs !== arrival.timeMs;
    if (arrival.identity !== undefined) {
      if (hasClock) return true; // no push that needs a time: what is remembered is not its own
      const isSame = records.some(({ identity }) => textOf(identity) === arrival.identity);
      const content = contentOf(pushed);
      if (isSame) arrival.content = content;
      else if (arrival.mayBe(content)) this.#forget(arrival);
      return isSame;
    }
    if (hasClock && !arrival.hasOthers) this.#forget(arrival);
    else arrival.letGo();
    return true;
  }

  /** What the head held at start. Of several by one name the last is known. A record that cannot be read is for the workers to say. */
  resume(bytes: Uint8Array, nowMs: number): void {
    try {
      const arrival = recordArrival(bytes);
      if (arrival === undefined || Math.abs(nowMs - arrival.timeMs) > AGE_MAX_MS) return;
      const name = nameOf(arrival.tenant, arrival.idempotencyKey, arrival.profileId);
      if (name === undefined) return;
      this.#turnWhenDue(nowMs);
      add(this.#newer, new Arrival(name, arrival.timeMs, { identity: textOf(recordIdentity(bytes)) }));
    } catch (thrown) {
      if (!(thrown instanceof CorruptionError)) throw thrown;
    }
  }

  #forget(arrival: Arrival): void {
    const half = this.#newer.get(arrival.name) === arrival ? this.#newer : this.#older;
    if (half.get(arrival.name) === arrival) half.delete(arrival.name);
    arrival.pushed = undefined;
  }

  #turnWhenDue(nowMs: number): void {
    if (this.#newer.size < this.#arrivalsMax && Math.abs(nowMs - this.#turnedAtMs) <= AGE_MAX_MS) return;
    this.#older = this.#newer;
    this.#newer = new Map();
    this.#turnedAtMs = nowMs;
  }
}

interface Known {
  readonly content?: string | undefined;
  readonly pushed?: PushedContent | undefined;
  readonly identity?: string | undefined;
}

/** Of one push and of all that repeat it. Only its time is for others than `ArrivalTimes`. */
class Arrival {
  readonly timeMs: number;
  readonly name: string;
  /** Of one of its records, where nothing else is left of it. */
  readonly identity: string | undefined;
  /** Not hashed before it is asked for: most pushes have a clock, and leave. */
  content: string | undefined;
  /** While the push is in flight. */
  pushed: PushedContent | undefined;
  /** Other content came by its name, and is found by way of it. */
  hasOthers = false;

  constructor(name: string, timeMs: number, { content, pushed, identity }: Known) {
    this.name = name;
    this.timeMs = timeMs;
    this.content = content;
    this.pushed = pushed;
    this.identity = identity;
  }

  /** Anything, where the content is not known. */
  mayBe(content: string): boolean {
    if (this.content === undefined && this.pushed !== undefined) this.content = contentOf(this.pushed);
    return this.content === undefined || this.content === content;
  }

  /** Of the bytes, which are used again for other pushes. */
  letGo(): void {
    if (this.pushed !== undefined) this.content ??= contentOf(this.pushed);
    this.pushed = undefined;
  }
}

export type { Arrival };

function add(half: Map<string, Arrival>, arrival: Arrival): Arrival {
  half.set(arrival.name, arrival);
  return arrival;
}

function isInTime(timeMs: number, nowMs: number, { rejectOlderThanMs, rejectNewerThanMs }: AcceptanceWindow): boolean {
  const ageMs = nowMs - timeMs;
  if (Math.abs(ageMs) > AGE_MAX_MS) return false;
  return !(rejectOlderThanMs > 0 && ageMs > rejectOlderThanMs) && !(rejectNewerThanMs > 0 && -ageMs > rejectNewerThanMs);
}

function nameOf(tenant: string, idempotencyKey: string | undefined, profileId: Uint8Array | undefined): string | undefined {
  if (idempotencyKey !== undefined) return `${tenant}\0k${idempotencyKey}`;
  return profileId === undefined ? undefined : `${tenant}\0i${textOf(profileId)}`;
}

/** No header holds a NUL, and an id has one length. */
function otherName(name: string, content: string): string {
  return `${name}\0${content}`;
}

function contentOf({ labels, pprof, folded, ingest }: PushedContent): string {
  const facts = [labels.map(({ name, value }) => [name, value]), folded, ingest];
  return textOf(createHash("sha256").update(JSON.stringify(facts)).update(pprof).digest());
}

/** A character a byte. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
