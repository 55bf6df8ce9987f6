/**
 * Gives strings of a decoded push another text. The new texts are put behind the input (one copy per push that needs it,
 * which few do), equal texts once; `finish` points the functions at them.
 */
import type { PprofDecoder } from "./pprof-decode.ts";
import { grown } from "./scratch.ts";

export class StringRewrite {
  readonly #decoded: PprofDecoder;
  readonly #added: Buffer[] = [];
  #addedBytes = 0;
  readonly #indexByText = new Map<string, number>();

  constructor(decoded: PprofDecoder) {
    this.#decoded = decoded;
  }

  /** The index of a string with this text. Its bytes may be read after `finish`. */
  add(text: string): number {
    const known = this.#indexByText.get(text);
    if (known !== undefined) return known;
    const decoded = this.#decoded;
    const bytes = Buffer.from(text, "utf8");
    const index = decoded.stringCount++;
    decoded.stringStart = grown(decoded.stringStart, index + 1);
    decoded.stringEnd = grown(decoded.stringEnd, index + 1);
    decoded.stringStart[index] = decoded.bytes.length + this.#addedBytes;
    this.#addedBytes += bytes.length;
    decoded.stringEnd[index] = decoded.bytes.length + this.#addedBytes;
    if (bytes.length > decoded.stringLengthMax) decoded.stringLengthMax = bytes.length;
    this.#added.push(bytes);
    this.#indexByText.set(text, index);
    return index;
  }

  finish(): void {
    if (this.#added.length === 0) return;
    const { bytes } = this.#decoded;
    const joined = new Uint8Array(bytes.length + this.#addedBytes);
    joined.set(bytes);
    let at = bytes.length;
    for (const added of this.#added) {
      joined.set(added, at);
      at += added.length;
    }
    this.#decoded.bytes = joined;
  }
}
