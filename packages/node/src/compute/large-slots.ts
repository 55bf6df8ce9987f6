/**
 * Memory that the main thread and the workers share, lent to large profiles on their way to a worker, one after the other. A shared buffer for each would be
 * freed only once both threads have collected it, which may be after many more.
 *
 *   lend ──a slot is free──► lent ──take back──► free, or the next in line has it
 *     └──none is──► waits in line
 *
 * Wait without a bound: each slot comes back when its worker has answered, or its thread is gone. Who waits is bounded by the memory for pushes on their way.
 *
 * What must stay true: between `lend` and `takeBack` a slot belongs to one push; only the main thread lends.
 */
import { LARGE_BYTES_MIN, wordSkew } from "@pyromesh/base";
import { OUTPUT_BYTES_MAX } from "./body-size.ts";

/** The largest profile that is not compressed, wherever it begins within a word. */
const LARGE_SLOT_BYTES = OUTPUT_BYTES_MAX + 64 * 2 ** 10;

export class LargeSlots {
  readonly #slotCount: number;
  /** Made for the first large profile: most nodes get none. What was never written of it takes no memory. */
  #shared: SharedArrayBuffer | undefined;
  readonly #free: number[];
  /** Each is given the offset of its slot. */
  readonly #line: ((at: number) => void)[] = [];

  constructor(slotCount: number) {
    this.#slotCount = slotCount;
    this.#free = Array.from({ length: slotCount }, (_, slot) => slot * LARGE_SLOT_BYTES);
  }

  /** Copies `bytes` into a slot. */
  async lend(bytes: Uint8Array): Promise<Uint8Array> {
    const at = this.#free.pop() ?? (await new Promise<number>((resolve) => this.#line.push(resolve)));
    this.#shared ??= new SharedArrayBuffer(this.#slotCount * LARGE_SLOT_BYTES);
    const copy = new Uint8Array(this.#shared, at + wordSkew(bytes), bytes.length);
    copy.set(bytes);
    return copy;
  }

  /** Takes back the slot in which these bytes lie. */
  takeBack({ byteOffset }: Uint8Array): void {
    const at = byteOffset - (byteOffset % LARGE_SLOT_BYTES);
    const next = this.#line.shift();
    if (next === undefined) this.#free.push(at);
    else next(at);
  }
}

/** True for bytes that a slot is meant for. */
export function isLargeProfile({ length }: Uint8Array): boolean {
  return length >= LARGE_BYTES_MIN && length <= OUTPUT_BYTES_MAX;
}
