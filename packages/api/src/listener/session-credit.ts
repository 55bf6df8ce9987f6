/**
 * What one connection of HTTP/2 may do beside its requests. Frames that carry no request (settings, pings, window updates, priorities, empty
 * data) cost work and bring nothing, and so do requests that are reset at once. Both are paid from a credit, which grows with time and, for bytes,
 * with what requests bring. A connection without credit is closed.
 *
 * Bytes, not frames, are counted: Node.js tells of some kinds of frames only, and a frame has at least nine bytes.
 */

/** gRPC clients ping, and open their windows, some hundred times in a second while they receive much: a few KiB. */
const OVERHEAD_BYTES_PER_SECOND = 64 * 2 ** 10;
const OVERHEAD_BYTES_MAX = 2 ** 20;
/** A frame of data may be small, and nine bytes go with each: data pays for what comes with it, down to two bytes a frame. */
const DATA_CREDIT = 4;

/** A client resets what it no longer waits for, at most as fast as it times out. */
const RESETS_PER_SECOND = 32;
const RESETS_MAX = 256;

export class SessionCredit {
  /** What each request may cost: its headers, and a window of data that nobody reads because it was refused. */
  readonly #requestBytes: number;
  #overheadBytes = OVERHEAD_BYTES_MAX;
  #resets = RESETS_MAX;
  #readBytes = 0;
  #atMs: number;

  constructor({ requestBytes, nowMs }: { readonly requestBytes: number; readonly nowMs: number }) {
    this.#requestBytes = requestBytes;
    this.#atMs = nowMs;
  }

  addRequest(): void {
    this.#overheadBytes += this.#requestBytes;
  }

  addData(sizeBytes: number): void {
    this.#overheadBytes += sizeBytes * DATA_CREDIT;
  }

  /** The client has reset a request before its reply was complete. False: it may not any more. */
  takeReset(): boolean {
    return --this.#resets >= 0;
  }

  /** `readBytes`: of the connection since it began. False: it has sent too much beside its requests. */
  settle(readBytes: number, nowMs: number): boolean {
    const seconds = Math.max(0, nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    this.#resets = Math.min(RESETS_MAX, this.#resets + seconds * RESETS_PER_SECOND);
    this.#overheadBytes += seconds * OVERHEAD_BYTES_PER_SECOND - (readBytes - this.#readBytes);
    this.#readBytes = readBytes;
    if (this.#overheadBytes < 0) return false;
    this.#overheadBytes = Math.min(OVERHEAD_BYTES_MAX, this.#overheadBytes); // what one second brings does not pay for a later one
    return true;
  }
}
