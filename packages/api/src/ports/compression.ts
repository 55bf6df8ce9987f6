/**
 * Compression and decompression beside the thread that asks: on Node.js' thread pool, zstd on a thread of its own, or where a simulator says
 * when each one is done.
 */
import { promisify } from "node:util";
import { createGunzip, createInflate, createInflateRaw, gunzip, gzip } from "node:zlib";
import type { Gunzip, Inflate, InflateRaw, InputType, ZlibOptions } from "node:zlib";
import { areLargeBytes, garbageCollector } from "@pyromesh/base";
import type { GarbageCollector } from "@pyromesh/base";
import { ZstdTorn } from "./zstd.ts";
import { ZstdThread } from "./zstd-thread.ts";

export interface Compression {
  /** `sizeBytesMax`: rejects where the result would be larger. Absent: no bound. */
  gzip(bytes: Uint8Array, options?: { readonly level?: number; readonly sizeBytesMax?: number }): Promise<Uint8Array>;
  /**
   * Decompresses straight into a buffer of `sizeBytes`. Undefined where the result is larger. Rejects bytes that are not a complete gzip
   * stream.
   */
  gunzip(bytes: Uint8Array, sizeBytes: number): Promise<Uint8Array | undefined>;
  /**
   * Decompresses in pieces. An error thrown by `onPiece` ends it, and it rejects with that error. Rejects bytes that are not a complete
   * gzip stream.
   */
  gunzipInPieces(bytes: Uint8Array, pieceBytes: number, onPiece: (piece: Uint8Array) => void): Promise<void>;
  /** The same for deflate: in zlib's format, or raw, as some clients send it. Rejects bytes after its end too. */
  inflateInPieces(bytes: Uint8Array, pieceBytes: number, onPiece: (piece: Uint8Array) => void): Promise<void>;
  /**
   * Undefined where the result is larger than `sizeBytesMax`. Rejects bytes that are not a complete zstd stream. `isFreedLater`: a large result may be of `largeBytes`,
   * for a caller that frees it.
   */
  unzstd(bytes: Uint8Array, sizeBytesMax: number, options?: { readonly isFreedLater?: boolean | undefined }): Promise<Uint8Array | undefined>;
  /** Frees pieces and results that nothing refers to any more, a few milliseconds of the thread that calls: worth it where they were many megabytes. */
  freeGarbage(): void;
}

/** Nothing runs until it is asked for: the thread for zstd starts with the first such body. */
export function threadPoolCompression(): Compression {
  const zstd = new ZstdThread();
  let collect: GarbageCollector | undefined;
  return {
    gzip: (bytes, { level, sizeBytesMax } = {}) => gzipAsync(bytes, { ...(level !== undefined && { level }), ...(sizeBytesMax !== undefined && { maxOutputLength: sizeBytesMax }) }),
    gunzip: gunzipInto,
    gunzipInPieces: (bytes, pieceBytes, onPiece) => inPieces(createGunzip({ chunkSize: pieceBytes }), bytes, onPiece),
    async inflateInPieces(bytes, pieceBytes, onPiece) {
      const stream = isZlib(bytes) ? createInflate({ chunkSize: pieceBytes }) : createInflateRaw({ chunkSize: pieceBytes });
      await inPieces(stream, bytes, onPiece);
      if (stream.bytesWritten < bytes.length) throw new DeflateTrailing(bytes.length - stream.bytesWritten);
    },
    unzstd: (bytes, sizeBytesMax, { isFreedLater = false } = {}) => zstd.unzstd(bytes, sizeBytesMax, isFreedLater),
    freeGarbage() {
      collect ??= garbageCollector();
      collect({ type: "minor" }); // pieces and results are young
    },
  };
}

/** True for the error with which these reject bytes that are no complete stream. */
export function isTornStream(thrown: unknown): boolean {
  return thrown instanceof ZstdTorn || thrown instanceof DeflateTrailing || isOfZlib(thrown);
}

/** The header of zlib's format (RFC 1950): method 8, a window of 32 KiB at most, and a check. Raw deflate begins so only with padding that is not zero. */
export function isZlib(bytes: Uint8Array): boolean {
  const [method = 0, flags = 0] = bytes;
  return (method & 0x0f) === 8 && method >> 4 <= 7 && (method * 256 + flags) % 31 === 0;
}

/** Of a deflate stream that ends before the bytes do: zlib leaves those unread. After a gzip it refuses them itself, but for zeros, with which some tools pad a file. */
export class DeflateTrailing extends Error {
  constructor(sizeBytes: number) {
    super(`${sizeBytes} bytes follow its end`);
  }
}

function gunzipInto(bytes: Uint8Array, sizeBytes: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    // One byte more than needed: zlib allocates another buffer when one is full, only to find the end.
    gunzip(bytes, { maxOutputLength: Math.max(1, sizeBytes), chunkSize: Math.max(CHUNK_BYTES_MIN, sizeBytes + 1) }, (error, inflated) => {
      if (error === null) resolve(inflated);
      else if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") resolve(undefined); // Node.js' code for maxOutputLength
      else reject(error);
    });
  });
}

function inPieces(stream: Gunzip | Inflate | InflateRaw, bytes: Uint8Array, onPiece: (piece: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on("data", (piece: Uint8Array) => {
      try {
        onPiece(piece);
      } catch (thrown) {
        stream.destroy();
        reject(thrown as Error);
      }
    });
    stream.on("end", resolve);
    stream.on("error", reject);
    if (areLargeBytes(bytes)) writeCopies(stream, bytes);
    else stream.end(bytes);
  });
}

/**
 * Writes bytes that may be freed while a thread of the pool still reads what it was given: a stream that is destroyed does not say when that has ended. So it is
 * given copies.
 */
function writeCopies(stream: Gunzip | Inflate | InflateRaw, bytes: Uint8Array): void {
  let at = 0;
  const next = (): void => {
    if (stream.destroyed) return;
    if (at >= bytes.length) return void stream.end();
    const copy = Uint8Array.from(bytes.subarray(at, at + COPIED_BYTES));
    at += copy.length;
    stream.write(copy, next);
  };
  next();
}

/** So much of a compressed body is copied at a time. */
const COPIED_BYTES = 256 * 2 ** 10;

/** True for an error of zlib: these have a numeric `errno` and a code that begins with `Z_`. */
function isOfZlib(thrown: unknown): boolean {
  return thrown instanceof Error && typeof (thrown as NodeJS.ErrnoException).errno === "number" && String((thrown as NodeJS.ErrnoException).code).startsWith("Z_");
}

const gzipAsync = promisify<InputType, ZlibOptions, Uint8Array>(gzip);

/** The smallest buffer that zlib accepts. */
const CHUNK_BYTES_MIN = 64;
