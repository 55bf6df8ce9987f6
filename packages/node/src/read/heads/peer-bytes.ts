/** Counts the bytes that a query sends to peers and gets from them, which count in the bytes that it may read. */
import { tooLarge } from "../query-refusals.ts";

export class PeerBytes {
  readonly #bytesMax: number;
  #bytes = 0;

  /** 0: any number. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Throws QUERY_TOO_LARGE. */
  check(): void {
    if (this.#bytesMax > 0 && this.#bytes > this.#bytesMax) throw tooLarge(this.#bytesMax);
  }
}
