/**
 * Numbers for texts, frames and stacktraces that are the same in every answer of one program, where ids and indexes are not.
 *
 *   text    its bytes
 *   frame   a text's number for the function and one for the file, and the line, of each of its lines; or its address, where it has none
 *   stack   the numbers of its frames, from the leaf on, then those of the texts of its labels
 *
 * What must stay true: what is kept is linear in the bodies. A key names a text by its number, so a frame of many lines costs its lines and not
 * as many copies of a name.
 */
import { isUtf8 } from "node:buffer";
import { NumberedBytes } from "../model/numbered-bytes.ts";
import { grown } from "../model/scratch.ts";

/** The number of the text "", which an index that leads nowhere stands for. */
export const NO_TEXT = 0;

export class StackNumbers {
  readonly frames: NumberedBytes = new NumberedBytes("the frames of the profile");
  readonly stacks: NumberedBytes = new NumberedBytes("the stacktraces of the profile");
  readonly #texts = new NumberedBytes("the texts of the profile");
  /** By text: the number after that of what its bytes mean, or 0 before that was asked for. */
  #meanings = new Uint32Array(64);

  constructor() {
    this.addText(new Uint8Array(0), 0, 0);
  }

  /** The bytes of all keys and texts. */
  get sizeBytes(): number {
    return this.frames.sizeBytes + this.stacks.sizeBytes + this.#texts.sizeBytes;
  }

  /** The number of the bytes in [from, to) of `bytes`. */
  addText(bytes: Uint8Array, from: number, to: number): number {
    return this.#texts.numberOf(bytes, from, to);
  }

  /** The number of the text that a number of `addText` stands for: another, where its bytes are not UTF-8, which are read as U+FFFD. */
  meaningOf(text: number): number {
    this.#meanings = grown(this.#meanings, text + 1);
    const known = this.#meanings[text]!;
    if (known !== 0) return known - 1;
    const bytes = this.#texts.bytesOf(text);
    const meaning = isAscii(bytes) || isUtf8(bytes) ? text : this.#texts.numberOf(Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8")));
    this.#meanings[text] = meaning + 1;
    return meaning;
  }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! >= 0x80) return false;
  return true;
}
