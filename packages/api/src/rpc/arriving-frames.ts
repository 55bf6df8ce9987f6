/**
 * The frames of a stream of messages (message-frame.ts), which come in pieces of any size.
 *
 * What must stay true: each byte is copied a few times at most, however small the pieces are, and no message keeps the piece that it came in.
 */
import { FRAME_HEADER_BYTES, readFrame } from "./message-frame.ts";
import type { MessageFrame } from "./message-frame.ts";

export class ArrivingFrames {
  /** What came, from `#from` to `#to`. The frames before were given out. */
  #bytes = new Uint8Array(0);
  #from = 0;
  #to = 0;

  /** Of what came and was not given out. Bound it: a frame may say that it has 4 GB. */
  get sizeBytes(): number {
    return this.#to - this.#from;
  }

  add(piece: Uint8Array): void {
    if (this.#to + piece.length > this.#bytes.length) this.#makeRoom(piece.length);
    this.#bytes.set(piece, this.#to);
    this.#to += piece.length;
  }

  /** The next frame that is whole. Throws MESSAGE_FRAME_INVALID. */
  next(): MessageFrame | undefined {
    const frame = readFrame(this.#bytes.subarray(this.#from, this.#to));
    if (frame === undefined) return undefined;
    this.#from += FRAME_HEADER_BYTES + frame.message.length;
    return { isCompressed: frame.isCompressed, message: frame.message.slice() };
  }

  /** What was given out makes room first. Only the beginning of a frame is moved, so a frame is moved once, and once for each time that the buffer doubles. */
  #makeRoom(pieceBytes: number): void {
    const waiting = this.#bytes.subarray(this.#from, this.#to);
    const neededBytes = waiting.length + pieceBytes;
    if (neededBytes > this.#bytes.length) this.#bytes = new Uint8Array(Math.max(neededBytes, 2 * this.#bytes.length));
    this.#bytes.set(waiting);
    this.#from = 0;
    this.#to = waiting.length;
  }
}
