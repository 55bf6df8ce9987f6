/**
 * Memory that the main thread and a worker share, lent to large profiles on their way to the worker, one after the other. A shared buffer for each would be
 * freed only once both threads have collected it, which may be after many more.
 *
 * Who waits does so without a bound: the slot comes back when the worker has answered, or its thread is gone. How many wait is bounded by the memory for
 * pushes on their way.
 *
 * What must stay true: until it is given back the slot belongs to one push; only the main thread lends.
 */
import { LARGE_BYTES_MIN, WORD_BYTES, wordSkew } from "@pyromesh/base";
import { OUTPUT_BYTES_MAX } from "./body-size.ts";
import { Mutex } from "./mutex.ts";

/** The largest profile that is not compressed, wherever it begins within a word. */
const LARGE_SLOT_BYTES = OUTPUT_BYTES_MAX + WORD_BYTES;

export interface LentSlot {
  readonly copy: Uint8Array;
  readonly giveBack: () => void;
}

export class LargeSlot {
  readonly #mutex = new Mutex();
  /** Made for the first large profile: most nodes get none. What was never written of it takes no memory. */
  #shared: SharedArrayBuffer | undefined;

  /** Copies `bytes` into the slot when it is free. */
  async lend(bytes: Uint8Array): Promise<LentSlot> {
    const shared = (this.#shared ??= new SharedArrayBuffer(LARGE_SLOT_BYTES));
    const giveBack = await this.#mutex.lock();
    const copy = new Uint8Array(shared, wordSkew(bytes), bytes.length);
    copy.set(bytes);
    return { copy, giveBack };
  }
}

/** True for bytes that a slot is meant for. */
export function isLargeProfile({ length }: Uint8Array): boolean {
  return length >= LARGE_BYTES_MIN && length <= OUTPUT_BYTES_MAX;
}
