/**
 * Bounds the text that is made of one recording. A string in a pool stands there once, and symbols, settings and names of functions may each name
 * it again: without a bound, time and memory could grow with the square of the recording.
 */
import { malformed } from "../labels/refusal.ts";

/** Real recordings come to half a character for each byte (those of Pyroscope's tests), so to a fourth of this where they have 16 MiB. */
const TEXT_LENGTH_MAX = 32 * 2 ** 20;

export class TextBudget {
  #length = 0;

  /** Throws a refusal where the recording has no more. */
  spend(length: number): void {
    this.#length += length;
    if (this.#length > TEXT_LENGTH_MAX) throw malformed(`the names and settings of the JFR recording come to more than ${TEXT_LENGTH_MAX} characters: record for a shorter time, or with another recorder`);
  }
}
