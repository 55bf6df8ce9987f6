/**
 * Under which time a push without a time of its own came first, by what it is: what this node was asked first stays (`arrival`, PROTOCOL.md). Each push has a
 * few registers in the cluster, which together decide it (write/arrival-agreement.ts).
 *
 *   request    | SHA-256 of the push's name and content, 32 | time, ms since 1970, f64 | 0: which came first?   1: this is decided |
 *   answer     | the time that is kept, f64 |
 *
 * What must stay true: a time that was answered once is answered for an hour, by this process, but where another one was decided: a register that began anew
 * may have kept one that came later.
 *
 * Bounded: keys lie in two halves, and the older half is forgotten when the newer one is full or an hour old. So at least the last KEYS_MAX are known, and at
 * most twice as many (100 bytes each). A push whose key was forgotten counts once more when it is sent again.
 */
import { ByteReader, ByteWriter, CodedError, CorruptionError } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";

const KEYS_MAX = 65_536;
const AGE_MAX_MS = 3_600_000;
export const ARRIVAL_KEY_BYTES = 32;

export class ArrivalRegister {
  readonly #keysMax: number;
  readonly #clock: Clock;
  #newer = new Map<string, number>();
  #older = new Map<string, number>();
  #turnedAtMs: number;

  constructor({ keysMax = KEYS_MAX }: { readonly keysMax?: number }, { clock }: { readonly clock: Clock }) {
    this.#keysMax = keysMax;
    this.#clock = clock;
    this.#turnedAtMs = clock.monotonicMs();
  }

  /** The time that came first; `timeMs` where this is the first. */
  first(key: Uint8Array, timeMs: number): number {
    this.#turnWhenDue();
    const text = textOf(key);
    const known = this.#newer.get(text) ?? this.#older.get(text);
    if (known === undefined) this.#newer.set(text, timeMs);
    return known ?? timeMs;
  }

  /** A majority of the push's registers keeps this time, so no other can be decided any more. */
  settle(key: Uint8Array, timeMs: number): void {
    this.#turnWhenDue();
    this.#newer.set(textOf(key), timeMs);
  }

  /** See `PeerHandler`. Throws PEER_MALFORMED. */
  handle(message: Uint8Array): Uint8Array {
    const { key, timeMs, isDecided } = reading(message, "a request for a time of arrival", (reader) => ({ key: reader.raw(ARRIVAL_KEY_BYTES), timeMs: timeOf(reader), isDecided: flagOf(reader) }));
    if (isDecided) this.settle(key, timeMs);
    return encodeTime(this.first(key, timeMs));
  }

  #turnWhenDue(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#newer.size < this.#keysMax && nowMs - this.#turnedAtMs <= AGE_MAX_MS) return;
    this.#older = this.#newer;
    this.#newer = new Map();
    this.#turnedAtMs = nowMs;
  }
}

export function encodeArrival(key: Uint8Array, timeMs: number, isDecided = false): Uint8Array {
  return new ByteWriter(ARRIVAL_KEY_BYTES + 9).raw(key).f64(timeMs).u8(isDecided ? 1 : 0).finish();
}

/** Throws PEER_MALFORMED. */
export function decodeArrivalTime(answer: Uint8Array): number {
  return reading(answer, "the answer with a time of arrival", timeOf);
}

function encodeTime(timeMs: number): Uint8Array {
  return new ByteWriter(8).f64(timeMs).finish();
}

/** What a later version may write behind it is left unread. */
function timeOf(reader: ByteReader): number {
  const timeMs = reader.f64();
  if (!Number.isSafeInteger(timeMs) || timeMs < 0) reader.fail("whole milliseconds since 1970", `${timeMs}`);
  return timeMs;
}

function flagOf(reader: ByteReader): boolean {
  const flag = reader.u8();
  if (flag > 1) reader.fail("0 or 1", `${flag}`);
  return flag === 1;
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

function reading<T>(message: Uint8Array, what: string, read: (reader: ByteReader) => T): T {
  try {
    return read(new ByteReader(message, what));
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    throw new CodedError({ code: "PEER_MALFORMED", kind: "invalid_argument", message: thrown.message, cause: thrown });
  }
}
