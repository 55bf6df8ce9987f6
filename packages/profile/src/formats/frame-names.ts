/** The names of frames in a binary body, each once, by number. A name that is not UTF-8 refuses the body. */
import { isUtf8 } from "node:buffer";
import { decodeUtf8 } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";
import { hexOfInvalidText } from "../pprof/invalid-text.ts";

export class FrameNames {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(bytes: Uint8Array): number {
    if (!isUtf8(bytes)) throw malformed(`a name is not UTF-8, its bytes are ${hexOfInvalidText(bytes)}: encode names as UTF-8`);
    const name = decodeUtf8(bytes);
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#names.push(name) - 1;
      this.#numbers.set(name, number);
    }
    return number;
  }

  nameOf(number: number): string {
    return this.#names[number]!; // a number that `numberOf` gave
  }
}
