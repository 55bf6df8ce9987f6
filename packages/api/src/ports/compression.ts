/** gzip and gunzip beside the thread that asks: on Node.js' thread pool, or where a simulator says when each one is done. */
import { promisify } from "node:util";
import { createGunzip, gunzip, gzip } from "node:zlib";
import type { InputType, ZlibOptions } from "node:zlib";

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
}

export const threadPoolCompression: Compression = {
  gzip: (bytes, { level, sizeBytesMax } = {}) => gzipAsync(bytes, { ...(level !== undefined && { level }), ...(sizeBytesMax !== undefined && { maxOutputLength: sizeBytesMax }) }),

  gunzip: (bytes, sizeBytes) =>
    new Promise((resolve, reject) => {
      // One byte more than needed: zlib allocates another buffer when one is full, only to find the end.
      gunzip(bytes, { maxOutputLength: Math.max(1, sizeBytes), chunkSize: Math.max(CHUNK_BYTES_MIN, sizeBytes + 1) }, (error, inflated) => {
        if (error === null) resolve(inflated);
        else if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") resolve(undefined); // Node.js' code for maxOutputLength
        else reject(error);
      });
    }),

  gunzipInPieces: (bytes, pieceBytes, onPiece) =>
    new Promise((resolve, reject) => {
      const stream = createGunzip({ chunkSize: pieceBytes });
      stream.on("data", (piece: Uint8Array) => {
        try {
          onPiece(piece);
        } catch (thrown) {
          stream.destroy();
          reject(thrown as Error);
        }
      });
      stream.on("end", () => resolve());
      stream.on("error", reject);
      stream.end(bytes);
    }),
};

const gzipAsync = promisify<InputType, ZlibOptions, Uint8Array>(gzip);

/** The smallest buffer that zlib accepts. */
const CHUNK_BYTES_MIN = 64;
