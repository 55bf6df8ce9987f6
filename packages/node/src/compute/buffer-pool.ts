/**
 * Memory that the main thread and the workers share, lent in slots: a push's body lies in a slot on its way to a worker, and its records in the
 * same slot on their way back. So messages between the threads copy none of these bytes, and none of them become garbage.
 *
 * What must stay true: between `lend` and `takeBack` a slot belongs to one push; only the main thread lends.
 */
import { wordSkew } from "@pyromesh/base";

/** A larger profile, or records that do not fit, travel in shared memory of their own (shared-copy.ts). */
export const SLOT_BYTES: number = 64 * 2 ** 10;
/** Further pushes travel in shared memory of their own as well. */
const SLOT_COUNT = 64;

export class BufferPool {
  readonly shared: SharedArrayBuffer;
  readonly #free: number[];

  constructor(slotCount: number = SLOT_COUNT) {
    this.shared = new SharedArrayBuffer(SLOT_BYTES * slotCount);
    this.#free = Array.from({ length: slotCount }, (_, slot) => slot * SLOT_BYTES);
  }

  /** Copies `bytes` into a slot and returns their offset; undefined where they do not fit or no slot is free. */
  lend(bytes: Uint8Array): number | undefined {
    const skew = wordSkew(bytes);
    if (skew + bytes.length > SLOT_BYTES) return undefined;
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    new Uint8Array(this.shared, slot + skew, bytes.length).set(bytes);
    return slot + skew;
  }

  /** Takes back the slot in which `at` lies. */
  takeBack(at: number): void {
    this.#free.push(slotOf(at));
  }

  view(at: number, lengthBytes: number): Uint8Array {
    return new Uint8Array(this.shared, at, lengthBytes);
  }
}

/** The offset of the slot in which `at` lies. */
export function slotOf(at: number): number {
  return at - (at % SLOT_BYTES);
}
