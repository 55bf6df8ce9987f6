/** The names of frames in a body, each once, by number. A name becomes a string when it is asked for by number. */
import { isUtf8 } from "node:buffer";
import { decodeUtf8 } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";
import { hexOfInvalidText } from "../pprof/invalid-text.ts";
import { NumberedBytes } from "../model/numbered-bytes.ts";

export class FrameNames {
  readonly #names = new NumberedBytes("the names of the frames", checkUtf8);

  get count(): number {
    return this.#names.count;
  }

  /** The number of the name that lies in [from, to) of `bytes`. Throws a refusal where it is not UTF-8. */
  numberOf(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
    return this.#names.numberOf(bytes, from, to);
  }

  /** `number`: as `numberOf` gave it. */
  nameOf(number: number): string {
    return decodeUtf8(this.#names.bytesOf(number));
  }
}

function checkUtf8(bytes: Uint8Array, from: number, to: number): void {
  const name = bytes.subarray(from, to);
  if (!isUtf8(name)) throw malformed(`a name is not UTF-8, its bytes are ${hexOfInvalidText(name)}: encode names as UTF-8`);
}
