/** Counts the bytes that a query sends to other members and gets from them: `max_query_bytes` bounds them too, by themselves. */
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
    if (this.#bytesMax > 0 && this.#bytes > this.#bytesMax) throw tooLarge(this.#bytesMax, "other members");
  }
}
