/**
 * Memory that the main thread and the workers share, lent a slot at a time: a push's body lies in one on its way to a worker, and
 * its records in the same one on their way back. Nothing is handed over or copied by the threads' messages, and nothing
 * becomes garbage.
 *
 * What must stay true: between `lend` and `takeBack` a slot belongs to one push; only the main thread lends.
 */
import { wordSkew } from "@pyromesh/base";

/** A larger profile, or records that do not fit, travel in shared memory of their own (shared-copy.ts). */
export const SLOT_BYTES: number = 64 * 2 ** 10;
/** Pushes beyond so many in flight do, too. */
const SLOT_COUNT = 64;

export class BufferPool {
  readonly shared: SharedArrayBuffer;
  readonly #free: number[];

  constructor(slotCount: number = SLOT_COUNT) {
    this.shared = new SharedArrayBuffer(SLOT_BYTES * slotCount);
    this.#free = Array.from({ length: slotCount }, (_, slot) => slot * SLOT_BYTES);
  }

  /** Where `bytes` now lie, within the first bytes of a slot; undefined when they do not fit or none is free. */
  lend(bytes: Uint8Array): number | undefined {
    const skew = wordSkew(bytes);
    if (skew + bytes.length > SLOT_BYTES) return undefined;
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    new Uint8Array(this.shared, slot + skew, bytes.length).set(bytes);
    return slot + skew;
  }

  /** The slot in which `at` lies. */
  takeBack(at: number): void {
    this.#free.push(slotOf(at));
  }

  view(at: number, lengthBytes: number): Uint8Array {
    return new Uint8Array(this.shared, at, lengthBytes);
  }
}

/** Where the slot begins in which `at` lies. */
export function slotOf(at: number): number {
  return at - (at % SLOT_BYTES);
}
