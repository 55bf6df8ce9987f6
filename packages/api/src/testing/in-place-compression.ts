/** Compression on the thread that asks. Each step runs when `deliver` runs it. */
import { gunzipSync, gzipSync, inflateRawSync, inflateSync } from "node:zlib";
import type { Inflate } from "node:zlib";
import { DeflateTrailing, isZlib } from "../ports/compression.ts";
import type { Compression } from "../ports/compression.ts";
import { loadZstd } from "../ports/zstd.ts";
import type { Deliver } from "./memory-network.ts";

export function inPlaceCompression(deliver: Deliver): Compression {
  const later = <T>(work: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      deliver(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error as Error); // zlib's error, or the one that `onPiece` threw
        }
      });
    });
  const inPieces = async (inflate: () => Uint8Array, pieceBytes: number, onPiece: (piece: Uint8Array) => void): Promise<void> => {
    const inflated = await later(inflate);
    for (let at = 0; at < inflated.length; at += pieceBytes) await later(() => onPiece(inflated.subarray(at, at + pieceBytes)));
  };
  return {
    gzip: (bytes, { level, sizeBytesMax } = {}) =>
      later(() => gzipSync(bytes, { ...(level !== undefined && { level }), ...(sizeBytesMax !== undefined && { maxOutputLength: sizeBytesMax }) })),
    gunzip: (bytes, sizeBytes) =>
      later(() => {
        const inflated = gunzipSync(bytes);
        return inflated.length > Math.max(1, sizeBytes) ? undefined : inflated;
      }),
    gunzipInPieces: (bytes, pieceBytes, onPiece) => inPieces(() => gunzipSync(bytes), pieceBytes, onPiece),
    inflateInPieces: (bytes, pieceBytes, onPiece) => inPieces(() => inflateWhole(bytes), pieceBytes, onPiece),
    async unzstd(bytes, sizeBytesMax) {
      const unzstd = await loadZstd();
      return later(() => unzstd(bytes, sizeBytesMax));
    },
    freeGarbage: () => {},
  };
}

/** Throws where bytes follow the end of the stream, as the compression of a real node does. */
function inflateWhole(bytes: Uint8Array): Uint8Array {
  // With `info` these return the stream too; its types do not know that.
  const { buffer, engine } = (isZlib(bytes) ? inflateSync : inflateRawSync)(bytes, { info: true }) as unknown as { readonly buffer: Uint8Array; readonly engine: Pick<Inflate, "bytesWritten"> };
  if (engine.bytesWritten < bytes.length) throw new DeflateTrailing(bytes.length - engine.bytesWritten);
  return buffer;
}
