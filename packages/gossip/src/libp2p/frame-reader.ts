/**
 * Finds the frames in a stream of bytes.
 *
 *   u32 length (little-endian), that many bytes, and so on
 *
 * Bound: one frame of at most `bytesMax` is held. A longer one is refused when its length is read, before anything is allocated for it.
 */

const LENGTH_BYTES = 4;

export class FrameReader {
  /** May rise while it reads: before the handshake frames are short. */
  bytesMax: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  /** The length that is being read, and how many of its bytes are there. */
  #length = 0;
  #lengthBytes = 0;
  /** The frame that is being read; undefined while its length is. */
  #frame: Uint8Array | undefined;
  #filledBytes = 0;

  constructor(bytesMax: number, onFrame: (frame: Uint8Array) => void) {
    this.bytesMax = bytesMax;
    this.#onFrame = onFrame;
  }

  /** Takes the next bytes, and copies what it keeps. False: a frame is too long, and the stream cannot be read on. */
  take(bytes: Uint8Array): boolean {
    let at = 0;
    while (at < bytes.length) {
      if (this.#frame === undefined) {
        this.#length += bytes[at++]! * 2 ** (8 * this.#lengthBytes);
        if (++this.#lengthBytes < LENGTH_BYTES) continue;
        if (this.#length > this.bytesMax) return false;
        this.#frame = new Uint8Array(this.#length);
        this.#filledBytes = 0;
        if (this.#length > 0) continue;
      }
      const part = bytes.subarray(at, at + this.#frame.length - this.#filledBytes);
      this.#frame.set(part, this.#filledBytes);
      this.#filledBytes += part.length;
      at += part.length;
      if (this.#filledBytes < this.#frame.length) return true;
      const frame = this.#frame;
      this.#frame = undefined;
      this.#length = 0;
      this.#lengthBytes = 0;
      this.#onFrame(frame);
    }
    return true;
  }
}

/** The length that goes before a frame. */
export function putFrameLength(bytes: Uint8Array, at: number, length: number): void {
  bytes[at] = length & 0xff;
  bytes[at + 1] = (length >>> 8) & 0xff;
  bytes[at + 2] = (length >>> 16) & 0xff;
  bytes[at + 3] = length >>> 24;
}

export { LENGTH_BYTES };
