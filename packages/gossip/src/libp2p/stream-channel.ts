/**
 * One channel of a link, over a stream of bytes: frames are sent with their length before them, and those that are sent in one turn go out together, since each
 * write costs a header of the multiplexer and an encrypted record.
 *
 * Bound: before the stream is there, and while it takes no bytes, `UNSENT_BYTES_MAX` and the frames of who does not heed a `send` that returned false.
 */
import { FrameReader, LENGTH_BYTES, putFrameLength } from "./frame-reader.ts";

/** What of libp2p's streams is used here. */
export interface ByteStream {
  /** False: it holds more than it can hand on, until its event `drain`. It takes the bytes all the same. Throws when it is closed. */
  send(bytes: Uint8Array): boolean;
  readonly writableNeedsDrain: boolean;
  pause(): void;
  resume(): void;
  abort(error: Error): void;
  /** Ends this side's bytes, after those that were sent. */
  close(options: { readonly signal: AbortSignal }): Promise<void>;
  addEventListener(type: "message", listener: (event: { readonly data: Uint8Array | Iterable<Uint8Array> }) => void): void;
  addEventListener(type: "drain" | "remoteCloseWrite", listener: () => void): void;
  addEventListener(type: "close", listener: (event: { readonly error?: Error }) => void): void;
}

export interface ChannelListener {
  onFrame(frame: Uint8Array): void;
  /** The other side sends nothing more on this channel. */
  onFinished(): void;
  /** The stream is of no use any more. Called once or more. */
  onEnd(reason: string): void;
}

/** A channel with more that is not handed to its stream is full. */
const UNSENT_BYTES_MAX = 256 * 1024;
/** Longer frames are not copied: they are a write of their own, after one that ends with their length. */
const COPIED_BYTES_MAX = 32 * 1024;
/** So many bytes go out at once. */
const BATCH_BYTES = 64 * 1024;

export class StreamChannel {
  readonly #listener: ChannelListener;
  readonly #reader: FrameReader;
  #stream: ByteStream | undefined;
  /** Frames that are not handed to the stream. */
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #isFlushDue = false;
  /** The stream is full. */
  #isBlocked = false;
  #isClosed = false;
  #waiting: (() => void)[] = [];
  #isPaused = false;
  /** Whole frames that arrived while it was paused, of the bytes that were on their way: a window of the stream at most. */
  #held: Uint8Array[] = [];
  #isStreamPaused = false;

  /** It begins paused: `pause(false)` begins to hand on frames. */
  constructor(frameBytesMax: number, listener: ChannelListener) {
    this.#listener = listener;
    this.#isPaused = true;
    this.#reader = new FrameReader(frameBytesMax, (frame) => this.#take(frame));
  }

  setFrameBytesMax(bytesMax: number): void {
    this.#reader.bytesMax = bytesMax;
  }

  get hasStream(): boolean {
    return this.#stream !== undefined;
  }

  /** Call it in the turn in which the stream is got. */
  attach(stream: ByteStream): void {
    this.#stream = stream;
    stream.addEventListener("close", ({ error }) => this.#listener.onEnd(error?.message ?? "the other side closed it"));
    stream.addEventListener("remoteCloseWrite", () => this.#listener.onFinished());
    stream.addEventListener("drain", () => queueMicrotask(() => this.#onDrain()));
    stream.addEventListener("message", ({ data }) => this.#onBytes(data));
    this.#flush();
  }

  send(frame: Uint8Array): boolean {
    if (this.#isClosed) return true;
    this.#unsent.push(frame);
    this.#unsentBytes += LENGTH_BYTES + frame.length;
    if (this.#unsentBytes >= BATCH_BYTES) this.#flush();
    else if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      queueMicrotask(() => {
        this.#isFlushDue = false;
        this.#flush();
      });
    }
    return !this.#isFull;
  }

  drained(): Promise<void> {
    if (this.#isClosed || !this.#isFull) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    while (!this.#isPaused && this.#held.length > 0) this.#listener.onFrame(this.#held.shift()!);
    this.#pauseStream(this.#isPaused);
  }

  /** Resolves when the stream has taken all, or the signal aborts. Call it after `close`. */
  async finish(signal: AbortSignal): Promise<void> {
    await this.#stream?.close({ signal }).catch(() => undefined);
  }

  /** Hands over what was sent in this turn. Nothing is sent or received afterwards. */
  close(): void {
    this.#flush();
    this.#isClosed = true;
    this.#held = [];
    this.#unsent = [];
    this.#release();
  }

  get #isFull(): boolean {
    return this.#isBlocked || this.#unsentBytes >= UNSENT_BYTES_MAX;
  }

  #flush(): void {
    while (this.#stream !== undefined && !this.#isBlocked && !this.#isClosed && this.#unsent.length > 0) {
      const frame = this.#unsent[0]!;
      if (frame.length > COPIED_BYTES_MAX) {
        const length = new Uint8Array(LENGTH_BYTES);
        putFrameLength(length, 0, frame.length);
        this.#write(this.#stream, length);
        this.#unsent.shift();
        this.#unsentBytes -= LENGTH_BYTES + frame.length;
        this.#write(this.#stream, frame);
      } else this.#write(this.#stream, this.#nextBatch());
    }
    if (!this.#isFull) this.#release();
  }

  /** The frames before the next long one, joined; of a long one that follows not even the length. */
  #nextBatch(): Uint8Array {
    let count = 0;
    let sizeBytes = 0;
    while (count < this.#unsent.length && sizeBytes < BATCH_BYTES && this.#unsent[count]!.length <= COPIED_BYTES_MAX) sizeBytes += LENGTH_BYTES + this.#unsent[count++]!.length;
    const batch = new Uint8Array(sizeBytes);
    let at = 0;
    for (const frame of this.#unsent.splice(0, count)) {
      putFrameLength(batch, at, frame.length);
      batch.set(frame, at + LENGTH_BYTES);
      at += LENGTH_BYTES + frame.length;
    }
    this.#unsentBytes -= sizeBytes;
    return batch;
  }

  #write(stream: ByteStream, bytes: Uint8Array): void {
    try {
      if (!stream.send(bytes)) this.#isBlocked = true;
    } catch (error) {
      this.#listener.onEnd(error instanceof Error ? error.message : String(error));
    }
  }

  /** libp2p's own listener of the event has queued its write before: now it shows whether the stream has room again. (Its `onDrain` resolves at once from the second time on.) */
  #onDrain(): void {
    if (this.#stream!.writableNeedsDrain) return;
    this.#isBlocked = false;
    this.#flush();
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #onBytes(data: Uint8Array | Iterable<Uint8Array>): void {
    if (this.#isClosed) return;
    const isReadable = data instanceof Uint8Array ? this.#reader.take(data) : [...data].every((part) => this.#reader.take(part));
    if (!isReadable) this.#listener.onEnd("it sent a frame that is too long");
  }

  #take(frame: Uint8Array): void {
    if (this.#isClosed) return;
    if (!this.#isPaused) return this.#listener.onFrame(frame);
    this.#held.push(frame);
    this.#pauseStream(true);
  }

  #pauseStream(isPaused: boolean): void {
    if (this.#stream === undefined || this.#isStreamPaused === isPaused || this.#isClosed) return;
    try {
      if (isPaused) this.#stream.pause();
      else this.#stream.resume();
      this.#isStreamPaused = isPaused;
    } catch {
      // It is being closed: `onEnd` follows.
    }
  }
}
