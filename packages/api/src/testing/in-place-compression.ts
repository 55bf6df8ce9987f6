/** Compression on the thread that asks. Each step runs when `deliver` runs it. */
import { gunzipSync, gzipSync } from "node:zlib";
import type { Compression } from "../ports/compression.ts";
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
  return {
    gzip: (bytes, { level, sizeBytesMax } = {}) =>
      later(() => gzipSync(bytes, { ...(level !== undefined && { level }), ...(sizeBytesMax !== undefined && { maxOutputLength: sizeBytesMax }) })),
    gunzip: (bytes, sizeBytes) =>
      later(() => {
        const inflated = gunzipSync(bytes);
        return inflated.length > Math.max(1, sizeBytes) ? undefined : inflated;
      }),
    async gunzipInPieces(bytes, pieceBytes, onPiece) {
      const inflated = await later(() => gunzipSync(bytes));
      for (let at = 0; at < inflated.length; at += pieceBytes) await later(() => onPiece(inflated.subarray(at, at + pieceBytes)));
    },
  };
}
