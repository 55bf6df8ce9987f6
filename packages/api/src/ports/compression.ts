/** gzip and gunzip that do not hold the thread that asks: on Node's thread pool, or where a simulator says when each is done. */
import { promisify } from "node:util";
import { createGunzip, gunzip, gzip } from "node:zlib";
import type { InputType, ZlibOptions } from "node:zlib";

export interface Compression {
  /** `sizeBytesMax`: rejects where the outcome would be larger. Absent: any. */
  gzip(bytes: Uint8Array, options?: { readonly level?: number; readonly sizeBytesMax?: number }): Promise<Uint8Array>;
  /** Straight into a buffer of `sizeBytes`. Undefined where there is more of it. Rejects for what is no whole gzip stream. */
  gunzip(bytes: Uint8Array, sizeBytes: number): Promise<Uint8Array | undefined>;
  /** Piece by piece. What `onPiece` throws ends it, and is what it rejects with. Rejects for what is no whole gzip stream. */
  gunzipInPieces(bytes: Uint8Array, pieceBytes: number, onPiece: (piece: Uint8Array) => void): Promise<void>;
}

export const threadPoolCompression: Compression = {
  gzip: (bytes, { level, sizeBytesMax } = {}) => gzipAsync(bytes, { ...(level !== undefined && { level }), ...(sizeBytesMax !== undefined && { maxOutputLength: sizeBytesMax }) }),

  gunzip: (bytes, sizeBytes) =>
    new Promise((resolve, reject) => {
      // A byte more than is needed: a full buffer would cost another one, to see that nothing follows.
      gunzip(bytes, { maxOutputLength: Math.max(1, sizeBytes), chunkSize: Math.max(CHUNK_BYTES_MIN, sizeBytes + 1) }, (error, inflated) => {
        if (error === null) resolve(inflated);
        else if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") resolve(undefined); // Node's own, for maxOutputLength
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

/** zlib takes no smaller buffer. */
const CHUNK_BYTES_MIN = 64;
