/**
 * Reads ranges of objects wherever they lie: one port, so that whoever reads an object need not know its place.
 *
 *   bucket        the bucket
 *   local         a sealed segment on this node's disk, waiting for upload
 *   store:<id>    the same on the disk of another member, which is asked for it (`sealed-reads.ts` is its side)
 *
 * What must stay true: an object's bytes are the same in every place, so that a plan may be carried out while an upload moves the object: what no longer
 * waits at its store is read in the bucket. Where it is not there either, a read rejects with BUCKET_NOT_FOUND, and the query plans again.
 */
import { CodedError, unavailable } from "@pyromesh/base";
import type { Bucket } from "../bucket/bucket.ts";
import { storeOf } from "../catalog/catalog-entry.ts";
import type { CatalogEntry } from "../catalog/catalog-entry.ts";
import type { LocalFiles } from "./local-file.ts";
import { SEALED_READ_BYTES_MAX } from "./sealed-reads.ts";

export type PlacedObject = Pick<CatalogEntry, "key" | "place" | "sizeBytes">;

export interface ObjectSource {
  /** Exactly `lengthBytes` bytes, as they are now. */
  read(object: PlacedObject, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array>;
  /** The object's size as it is now: another than the catalog's where it was torn, or repaired, after it was listed. */
  sizeOf(object: PlacedObject, signal: AbortSignal): Promise<number>;
}

/** Other members, of which each serves the sealed segments of its store. */
export interface SealedPeers {
  /** At most `SEALED_READ_BYTES_MAX` bytes. Rejects with the peer's own error, or where it does not answer. */
  readSealed(storeId: string, key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array>;
}

export interface PlacedSourceModules {
  readonly bucket: Pick<Bucket, "getRange" | "head">;
  readonly localFiles: Pick<LocalFiles, "read" | "source">;
  /** Absent: the node is alone, and reads no peer's segments. */
  readonly peers?: SealedPeers;
}

export class PlacedSource implements ObjectSource {
  readonly #modules: PlacedSourceModules;

  constructor(modules: PlacedSourceModules) {
    this.#modules = modules;
  }

  read({ key, place }: PlacedObject, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    if (place === "bucket") return this.#modules.bucket.getRange(key, offset, lengthBytes, signal);
    if (place === "local") return this.#modules.localFiles.read(key, offset, lengthBytes, signal);
    return this.#readOfPeer(storeOf(place)!, key, offset, lengthBytes, signal).catch((error: unknown) => {
      if (signal.aborted || !(error instanceof CodedError)) throw error;
      // Uploaded since the plan was made, as often as not.
      if (error.code === "SEALED_NOT_HERE") return this.#modules.bucket.getRange(key, offset, lengthBytes, signal);
      // Its member may have died after the upload, and before it told this node of it.
      if (error.code !== "PEER_UNREACHABLE" && error.code !== "PEER_TIMEOUT") throw error;
      return this.#modules.bucket.getRange(key, offset, lengthBytes, signal).catch(() => Promise.reject(error));
    });
  }

  async sizeOf({ key, place, sizeBytes }: PlacedObject, signal: AbortSignal): Promise<number> {
    if (place === "bucket") return (await this.#modules.bucket.head(key, signal)).sizeBytes;
    if (place === "local") return (await this.#modules.localFiles.source(key)).sizeBytes;
    return sizeBytes; // the peer names it with the segment, and a sealed file does not change
  }

  /** In pieces as large as a peer gives, one after the other. */
  async #readOfPeer(storeId: string, key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    const { peers } = this.#modules;
    if (peers === undefined) throw unavailable("SEALED_NOT_HERE", `${JSON.stringify(key)} waits at another node (store ${storeId}), and this one reads from none`);
    const bytes = new Uint8Array(lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const wanted = Math.min(SEALED_READ_BYTES_MAX, lengthBytes - done);
      const piece = await peers.readSealed(storeId, key, offset + done, wanted, signal);
      if (piece.length !== wanted) throw new CodedError({ code: "SEALED_READ_FAILED", kind: "unavailable", message: `store ${storeId} was asked for ${wanted} bytes of ${JSON.stringify(key)} and sent ${piece.length}` });
      bytes.set(piece, done);
      done += wanted;
    }
    return bytes;
  }
}
