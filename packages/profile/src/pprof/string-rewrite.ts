/**
 * Adds strings to a push that was decoded: behind the input, in the kernel's memory. The old strings stay as they are.
 *
 * Bounded: four times the push (or 256 KiB) and a MiB may be added. A push that needs more, such as a long file name in front of thousands of
 * functions, is refused.
 */
import type { PprofDecoder } from "./pprof-decode.ts";
import { refusal } from "../labels/refusal.ts";

export class StringRewrite {
  readonly #decoded: PprofDecoder;
  readonly #indexByText = new Map<string, number>();

  constructor(decoded: PprofDecoder) {
    this.#decoded = decoded;
  }

  /** The index of a string with this text. */
  add(text: string): number {
    const known = this.#indexByText.get(text);
    if (known !== undefined) return known;
    const decoded = this.#decoded;
    const { input } = decoded.kernel.memory.columns;
    const start = decoded.bytes.length;
    const { read, written } = encoder.encodeInto(text, input.subarray(start, decoded.bytesMax));
    if (read < text.length || decoded.stringCount >= decoded.stringStart.length) {
      throw refusal("profile_size_limit", "the profile's names become several times as long as all of it when files or versions are put into them: shorten file names");
    }
    const index = decoded.stringCount++;
    decoded.bytes = input.subarray(0, start + written);
    decoded.stringStart[index] = start;
    decoded.stringEnd[index] = start + written;
    if (written > decoded.stringLengthMax) decoded.stringLengthMax = written;
    this.#indexByText.set(text, index);
    return index;
  }
}

const encoder = new TextEncoder();
