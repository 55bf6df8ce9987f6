/**
 * Serves the sealed segments of this node to other members, which read them by range like any object until they are in the bucket.
 *
 * What must stay true: only segments that wait here are served, and only their own bytes: a peer names a key, never a path. The memory of all
 * replies together is bounded; at the bound a read is refused (SEALED_READS_BUSY), and the peer tries again or answers without.
 */
import { CodedError, invalidArgument, unavailable } from "@pyromesh/base";
import type { Catalog } from "../catalog/catalog.ts";
import type { LocalFiles } from "./local-file.ts";

/** The size of one reply. A longer range is read in pieces. */
export const SEALED_READ_BYTES_MAX: number = 4 * 2 ** 20;
/** The size of all replies together that are being read or sent. */
const BYTES_AT_ONCE_MAX = 32 * 2 ** 20;

export interface SealedReadsOptions {
  readonly bytesAtOnceMax?: number;
}

export interface SealedReadsModules {
  readonly catalog: Pick<Catalog, "get" | "acquire">;
  readonly localFiles: Pick<LocalFiles, "read">;
}

export class SealedReads {
  readonly #modules: SealedReadsModules;
  readonly #bytesAtOnceMax: number;
  #bytesAtOnce = 0;

  constructor(options: SealedReadsOptions, modules: SealedReadsModules) {
    this.#modules = modules;
    this.#bytesAtOnceMax = options.bytesAtOnceMax ?? BYTES_AT_ONCE_MAX;
  }

  /** The size of the replies that are being read or sent. */
  get bytesAtOnce(): number {
    return this.#bytesAtOnce;
  }

  /**
   * Gives `send` exactly the bytes of the range, and resolves when `send` has: until then they count. Rejects SEALED_NOT_HERE for what does
   * not wait here (any more: the bucket has it), SEALED_RANGE_INVALID, SEALED_READS_BUSY, and with what `send` rejects with.
   */
  async readSealed<T>(key: string, range: { readonly offset: number; readonly lengthBytes: number }, send: (bytes: Uint8Array) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const { catalog, localFiles } = this.#modules;
    const { offset, lengthBytes } = range;
    const entry = catalog.get(key);
    if (entry?.place !== "local") throw notHere(key);
    checkRange(key, range, entry.sizeBytes);
    if (this.#bytesAtOnce + lengthBytes > this.#bytesAtOnceMax) throw unavailable("SEALED_READS_BUSY", "this node serves as many sealed segments as it may at once: ask again in a second");
    // No tenants and no range: it pins no entry of its own, and keeps local files until it is released.
    const snapshot = catalog.acquire([], 0, 0);
    this.#bytesAtOnce += lengthBytes;
    try {
      return await send(await localFiles.read(key, offset, lengthBytes, signal));
    } catch (error) {
      // Set aside as corrupt, or deleted between two steps.
      if (error instanceof CodedError && error.code === "LOCAL_FILE_MISSING") throw notHere(key, error);
      throw error;
    } finally {
      this.#bytesAtOnce -= lengthBytes;
      snapshot.release();
    }
  }
}

function checkRange(key: string, { offset, lengthBytes }: { readonly offset: number; readonly lengthBytes: number }, sizeBytes: number): void {
  const isWhole = Number.isSafeInteger(offset) && Number.isSafeInteger(lengthBytes) && offset >= 0 && lengthBytes >= 1;
  if (isWhole && lengthBytes <= SEALED_READ_BYTES_MAX && offset + lengthBytes <= sizeBytes) return;
  throw invalidArgument("SEALED_RANGE_INVALID", `bytes ${offset} to ${offset + lengthBytes} of ${JSON.stringify(key)} were asked for: it has ${sizeBytes}, of which 1 to ${SEALED_READ_BYTES_MAX} are read at a time`);
}

function notHere(key: string, cause?: unknown): CodedError {
  return unavailable("SEALED_NOT_HERE", `no segment ${JSON.stringify(key.slice(0, 1024))} waits at this node for its upload: the bucket may have it`, cause);
}
