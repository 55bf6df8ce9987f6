/**
 * Heartbeats: who has heard which heartbeat of whom, so that contact needs no probes from everyone to everyone (design 5.8).
 *
 * A heartbeat is a number of its sender, 24 bits:
 *
 *   23        16 15                0
 *   incarnation │ counter
 *   mod 256
 *
 * A word is a pair (member, heartbeat of mine): the member heard this heartbeat, has stored my entry at its incarnation or a higher one, and had not
 * fenced me. It counts from when I sent the heartbeat, whoever carries it.
 *
 * Members are named by the first 32 bits of their store ids here. Two members that share them are both left out, and reached by probes.
 */

/** 0 is no heartbeat. */
export const NO_HEARTBEAT = 0;

/** So many heartbeats' times of sending are remembered: more than are sent within the lease. */
const SENT_MAX = 16;

export function relayId(storeId: string): number {
  return Number.parseInt(storeId.slice(0, 8), 16);
}

export function heartbeatOf(incarnation: number, counter: number): number {
  return (((incarnation & 0xff) << 16) | (counter & 0xffff)) >>> 0;
}

/** The heartbeat was sent under this incarnation, as far as 8 bits say. */
export function isOfIncarnation(heartbeat: number, incarnation: number): boolean {
  return heartbeat >>> 16 === (incarnation & 0xff);
}

/** `a` was sent after `b`. Numbers wrap; a member's heartbeats in circulation are never half the range apart. */
export function isLaterHeartbeat(a: number, b: number): boolean {
  if (b === NO_HEARTBEAT) return a !== NO_HEARTBEAT;
  if (a === NO_HEARTBEAT) return false;
  const epochs = ((a >>> 16) - (b >>> 16)) & 0xff;
  if (epochs !== 0) return epochs < 0x80;
  const counts = (a - b) & 0xffff;
  return counts !== 0 && counts < 0x8000;
}

/** The heartbeats of this node, and when each was sent. */
export class OwnHeartbeats {
  readonly #numbers: number[] = [];
  readonly #sentMs: number[] = [];
  #counter = 0;
  #current = NO_HEARTBEAT;

  get current(): number {
    return this.#current;
  }

  next(incarnation: number, nowMs: number): number {
    this.#counter = (this.#counter % 0xffff) + 1; // never 0
    this.#current = heartbeatOf(incarnation, this.#counter);
    this.#numbers.push(this.#current);
    this.#sentMs.push(nowMs);
    if (this.#numbers.length > SENT_MAX) {
      this.#numbers.shift();
      this.#sentMs.shift();
    }
    return this.#current;
  }

  /** When it was first sent; undefined: it is not one of this start, or too old to count. */
  sentMs(heartbeat: number): number | undefined {
    const at = this.#numbers.lastIndexOf(heartbeat);
    return at < 0 ? undefined : this.#sentMs[at];
  }
}
