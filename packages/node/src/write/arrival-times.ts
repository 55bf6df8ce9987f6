/**
 * Remembers which time a push without a time of its own was given, by its name: an `Idempotency-Key`, else a profile id. The time is part of a
 * record's identity. So the same push sent again gets the time that it got first, and counts once.
 *
 *   name --> the first push of that name: its time, its content     another content under the same name --> a time of its own
 *
 * In a cluster the nodes agree on the time of a push that is sent to several of them (arrival-agreement.ts); here it is remembered that they did.
 *
 * What must stay true: a name alone is not enough. A push is given an earlier time only where its labels and bytes are the same, or, where only
 * records of the head are left to compare with, where it is encoded to one of these (`resumed-arrivals.ts`).
 *
 * Bounds of all tenants together: names lie in two halves, and the older half is forgotten when the newer one is full or an hour old. So at
 * least the last ARRIVALS_MAX pushes of the last hour are known, and at most twice as many (260 bytes each, 700 with the longest names). A
 * push whose name was forgotten counts once more when it is sent again. A push that turns out to have a time of its own is forgotten at
 * once: it costs 1 to 2 µs, one that is remembered 17 µs (12 KB, mostly to hash it; Node 20, 2 cores).
 */
import { createHash } from "node:crypto";
import { assert, CorruptionError } from "@pyromesh/base";
import type { ArrivedProfile } from "@pyromesh/api";
import type { AcceptanceWindow, EncodedRecord } from "@pyromesh/profile";
import { recordArrival, recordIdentity } from "@pyromesh/profile";
import { pushKeyOf } from "../compute/body-key.ts";
import { ResumedArrivals } from "./resumed-arrivals.ts";
import type { ResumedArrival } from "./resumed-arrivals.ts";

const ARRIVALS_MAX = 32_768;
/** Clients stop sending a push again long before. */
const AGE_MAX_MS = 3_600_000;

/** The parts of a profile of a push that are compared. */
export type PushedContent = Pick<ArrivedProfile, "labels" | "pprof" | "format" | "ingest">;

export type PushedNames = Pick<ArrivedProfile, "fallbackTimeMs" | "idempotencyKey" | "profileId">;

/** The name of a push; undefined where it has none, or where the client gives its time. */
export function arrivalName(tenant: string, { fallbackTimeMs, idempotencyKey, profileId }: PushedNames): string | undefined {
  return fallbackTimeMs === undefined ? nameOf(tenant, idempotencyKey, profileId) : undefined;
}

export class ArrivalTimes {
  readonly #arrivalsMax: number;
  #newer = new Map<string, Arrival>();
  #older = new Map<string, Arrival>();
  #turnedAtMs = 0;
  readonly #resumed: ResumedArrivals;

  constructor(options: { readonly arrivalsMax?: number }) {
    this.#arrivalsMax = options.arrivalsMax ?? ARRIVALS_MAX;
    this.#resumed = new ResumedArrivals({ recordsMax: this.#arrivalsMax });
  }

  /** Of pushes and records that are remembered. */
  get count(): number {
    return this.#newer.size + this.#older.size + this.#resumed.recordCount;
  }

  /**
   * The time that the push got when it came first, unless that time would be refused now as out of `window`; else `nowMs`. The bytes of
   * the push must stay until `settle` or `keep`, one of which must follow, whatever becomes of the push. `refuted`: what `settle` said false of.
   */
  take(name: string, pushed: PushedContent, nowMs: number, window: AcceptanceWindow, refuted?: Arrival): Arrival {
    this.#turnWhenDue(nowMs);
    let content: string | undefined;
    for (const half of [this.#newer, this.#older]) {
      const first = half.get(name);
      if (first === undefined) continue;
      content ??= contentOf(pushed);
      const found = first.is(content) ? first : half.get(otherName(name, content));
      if (found === undefined) first.hasOthers = true;
      else if (isInTime(found.timeMs, nowMs, window)) return found;
      else return add(half, new Arrival(found.name, nowMs, { content }));
    }
    const resumed = this.#resumed.recordCount === 0 ? undefined : this.#resumed.next(name, (timeMs) => (refuted === undefined || timeMs < refuted.timeMs) && isInTime(timeMs, nowMs, window));
    if (resumed !== undefined) return new Arrival(name, resumed.timeMs, { content, pushed, resumed });
    const ownName = content !== undefined && this.#newer.has(name) ? otherName(name, content) : name;
    return add(this.#newer, new Arrival(ownName, nowMs, { content, pushed }));
  }

  /** Call it where the push was refused before it was known whether it has a time of its own. It is remembered, since it is likely to be sent again. */
  keep(arrival: Arrival): void {
    arrival.letGo();
  }

  /**
   * Call it with the records that the push was encoded to. False where the push is none of those that the head holds under this name and time (`resume`): then
   * it must take another time. This ends, since each one taken next is older, and at last it is the present.
   */
  settle(arrival: Arrival, records: readonly Pick<EncodedRecord, "timeMs" | "identity">[]): boolean {
    const hasClock = !takesTime(records, arrival.timeMs);
    if (arrival.resumed !== undefined) {
      if (hasClock) return true; // the push has a time of its own, so what is remembered under its name is another push's
      const isSame = this.#resumed.takeOut(arrival.resumed, arrival.name, records.map(({ identity }) => textOf(identity)));
      arrival.letGo();
      if (!isSame) return false;
      arrival.resumed = undefined;
      this.#add(arrival);
      return true;
    }
    if (hasClock && !arrival.hasOthers) this.#forget(arrival);
    else arrival.letGo();
    return true;
  }

  /** Takes up a record that the head held at the start. One that cannot be read is skipped here; the workers report it. */
  resume(bytes: Uint8Array, nowMs: number): void {
    try {
      const arrival = recordArrival(bytes);
      if (arrival === undefined || Math.abs(nowMs - arrival.timeMs) > AGE_MAX_MS) return;
      const { idempotencyKey, profileId, tenant, timeMs } = arrival;
      const identity = textOf(recordIdentity(bytes));
      const name = nameOf(tenant, idempotencyKey, profileId);
      if (name !== undefined) this.#resumed.add(name, timeMs, identity);
      // A profile of a body of several is asked for by the key of the push.
      const pushKey = pushKeyOf(idempotencyKey);
      if (pushKey !== undefined) this.#resumed.add(`${tenant}\0k${pushKey}`, timeMs, identity);
    } catch (thrown) {
      if (!(thrown instanceof CorruptionError)) throw thrown;
    }
  }

  /** What the push is, the same on every node: 32 bytes of its name and content. Call it after `settle`, which makes sure that the content is known. */
  keyOf(name: string, { content }: Arrival): Uint8Array {
    assert(content !== undefined, "a push is settled before other nodes are asked for its time");
    return createHash("sha256").update(`${name}\0`).update(content, "latin1").digest();
  }

  /** The nodes of the cluster have agreed on this time, whatever the one here was. */
  noteAgreed(arrival: Arrival, timeMs: number): void {
    arrival.timeMs = timeMs;
    arrival.isAgreed = true;
  }

  /** Unless a copy that was under way beside it is there. */
  #add(arrival: Arrival): void {
    const first = this.#newer.get(arrival.name);
    if (first !== undefined) {
      assert(arrival.content !== undefined, "an arrival is compared before it is remembered");
      if (first.is(arrival.content)) return;
      first.hasOthers = true;
      arrival.name = otherName(arrival.name, arrival.content);
    }
    add(this.#newer, arrival);
  }

  #forget(arrival: Arrival): void {
    const half = this.#newer.get(arrival.name) === arrival ? this.#newer : this.#older;
    if (half.get(arrival.name) === arrival) half.delete(arrival.name);
    arrival.pushed = undefined;
  }

  #turnWhenDue(nowMs: number): void {
    if (this.#newer.size < this.#arrivalsMax && Math.abs(nowMs - this.#turnedAtMs) <= AGE_MAX_MS) return;
    this.#resumed.forgetOlderThan(nowMs - AGE_MAX_MS);
    this.#older = this.#newer;
    this.#newer = new Map();
    this.#turnedAtMs = nowMs;
  }
}

/** Whether the push, or a profile of its body, has no time of its own: then its records have the one of its arrival. */
export function takesTime(records: readonly Pick<EncodedRecord, "timeMs">[], arrivalMs: number): boolean {
  return records.some(({ timeMs }) => timeMs === arrivalMs);
}

interface Known {
  readonly content?: string | undefined;
  readonly pushed?: PushedContent | undefined;
  readonly resumed?: ResumedArrival | undefined;
}

/** A push and its repetitions. Others than `ArrivalTimes` use only its time, and whether it is agreed. */
class Arrival {
  /** Another one once the cluster has agreed on it. */
  timeMs: number;
  isAgreed = false;
  name: string;
  /** It got its time from records of the head, of which the push may turn out to be none. Undefined once it is known to be one. */
  resumed: ResumedArrival | undefined;
  /** Computed when it is first asked for: most pushes have a time of their own, and are forgotten without it. */
  content: string | undefined;
  /** The push itself, while it is under way. */
  pushed: PushedContent | undefined;
  /** Another content came under its name, and is remembered under name and content. */
  hasOthers = false;

  constructor(name: string, timeMs: number, { content, pushed, resumed }: Known) {
    this.name = name;
    this.timeMs = timeMs;
    this.content = content;
    this.pushed = pushed;
    this.resumed = resumed;
  }

  is(content: string): boolean {
    if (this.pushed !== undefined) this.content ??= contentOf(this.pushed);
    return this.content === content;
  }

  /** Hashes the bytes now, since their memory is used again for other pushes. */
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

/** Unambiguous: no header holds a NUL, and all profile ids have the same length. */
function otherName(name: string, content: string): string {
  return `${name}\0${content}`;
}

function contentOf({ labels, pprof, format, ingest }: PushedContent): string {
  const facts = [labels.map(({ name, value }) => [name, value]), format, ingest];
  return textOf(createHash("sha256").update(JSON.stringify(facts)).update(pprof).digest());
}

/** One character for each byte. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
