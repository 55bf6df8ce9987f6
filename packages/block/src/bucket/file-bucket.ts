/**
 * A bucket in a folder (`file://dir`): the default of one node; several nodes can share one on a mounted file system. A put resolves after
 * the file and its folders are synced (`file-tree.ts`).
 */
import type { Clock, Random } from "@pyromesh/base";
import { messageOf } from "@pyromesh/base";
import type { Bucket, BucketObject, ListOptions, PutOptions } from "./bucket.ts";
import { BucketError, bucketUnavailable, checkKey, checkObjectSize, objectNotFound, rangeOutside } from "./bucket.ts";
import { FileTree, isFileError, readFrom } from "./file-tree.ts";

const PAGE_LENGTH_MAX = 1000;

export class FileBucket implements Bucket {
  readonly name: string;
  readonly #tree: FileTree;

  /** Does not look at the folder and does not make it: `create` does. */
  constructor(dir: string, modules: { readonly clock: Clock; readonly random: Random }) {
    this.name = `file://${dir}`;
    this.#tree = FileTree.at(dir, modules);
  }

  async create(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    try {
      await this.#tree.create();
    } catch (error) {
      throw asBucketError(this.name, "make", "", error, signal);
    }
  }

  async check(signal: AbortSignal): Promise<void> {
    for await (const _page of this.list("", { limit: 1 }, signal)) return;
  }

  async get(key: string, signal: AbortSignal): Promise<Uint8Array> {
    return this.#reading("read", key, signal, async () => {
      const handle = await this.#tree.open(key);
      try {
        const { size } = await handle.stat();
        checkObjectSize(this.name, key, size);
        return await readFrom(handle, 0, size, signal);
      } finally {
        await handle.close();
      }
    });
  }

  async getRange(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    if (lengthBytes === 0) return new Uint8Array(0);
    return this.#reading("read", key, signal, async () => {
      const handle = await this.#tree.open(key);
      try {
        const { size } = await handle.stat();
        if (offset + lengthBytes > size) throw rangeOutside(this.name, key, offset, lengthBytes, size);
        const bytes = await readFrom(handle, offset, lengthBytes, signal);
        if (bytes.length < lengthBytes) throw rangeOutside(this.name, key, offset, lengthBytes, offset + bytes.length);
        return bytes;
      } finally {
        await handle.close();
      }
    });
  }

  async head(key: string, signal: AbortSignal): Promise<BucketObject> {
    return this.#reading("find", key, signal, async () => asObject(await this.#tree.stat(key)));
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions, signal: AbortSignal): Promise<{ readonly isCreated: boolean }> {
    signal.throwIfAborted();
    checkKey(key);
    checkObjectSize(this.name, key, bytes.length);
    try {
      await this.#tree.prepare();
      return { isCreated: await this.#tree.write(key, bytes, { ifAbsent: options.ifAbsent === true }, signal) };
    } catch (error) {
      throw asBucketError(this.name, "keep", key, error, signal);
    }
  }

  async *list(prefix: string, options: ListOptions, signal: AbortSignal): AsyncIterable<readonly BucketObject[]> {
    signal.throwIfAborted();
    const { startAfter = "", limit = Infinity } = options;
    let page: BucketObject[] = [];
    let left = limit;
    try {
      if (left > 0) {
        await this.#prepareToRead();
        for await (const file of this.#tree.walk(prefix, startAfter)) {
          signal.throwIfAborted();
          page.push(asObject(file));
          left--;
          if (left === 0) break;
          if (page.length === PAGE_LENGTH_MAX) {
            yield page;
            page = [];
          }
        }
      }
    } catch (error) {
      throw asBucketError(this.name, "list", prefix, error, signal);
    }
    if (page.length > 0) yield page;
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    checkKey(key);
    try {
      await this.#tree.prepare();
      await this.#tree.delete(key);
    } catch (error) {
      throw asBucketError(this.name, "delete", key, error, signal);
    }
  }

  async close(): Promise<void> {}

  /** A folder that exists is read from although it is empty, or this process may not write to it. */
  async #prepareToRead(): Promise<void> {
    try {
      await this.#tree.prepare();
    } catch (error) {
      if (!isFileError(error, "ENOENT", "EACCES", "EPERM", "EROFS") || !(await this.#tree.isThere())) throw error;
    }
  }

  async #reading<T>(doing: string, key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    checkKey(key);
    try {
      await this.#prepareToRead();
      return await work();
    } catch (error) {
      // A folder in the file's place (EISDIR), or a file in a folder's (ENOTDIR), is no object of this key.
      if (isFileError(error, "ENOENT", "ENOTDIR", "EISDIR") && (await this.#tree.isThere())) throw objectNotFound(this.name, key, error);
      throw asBucketError(this.name, doing, key, error, signal);
    }
  }
}

function asObject(file: { readonly key: string; readonly sizeBytes: number; readonly modifiedMs: number }): BucketObject {
  return { key: file.key, sizeBytes: file.sizeBytes, lastModifiedMs: Math.floor(file.modifiedMs) };
}

function asBucketError(bucket: string, doing: string, key: string, error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof BucketError || (signal?.aborted === true && error === signal.reason)) return error;
  if (isFileError(error, "EACCES", "EPERM", "EROFS")) {
    return new BucketError("BUCKET_FORBIDDEN", key, `${bucket} does not let us ${doing} ${JSON.stringify(key)}: give the user of this process the right to read and write the folder (${messageOf(error)})`, error);
  }
  if (isFileError(error, "ENAMETOOLONG", "ENOTDIR", "EISDIR", "EEXIST")) {
    return new BucketError("BUCKET_KEY_INVALID", key, `${bucket} cannot keep ${JSON.stringify(key)}: a segment is too long for this file system, or a key is a folder of another (${messageOf(error)})`, error);
  }
  if (isFileError(error, "ENOENT")) {
    return new BucketError("BUCKET_MISSING", key, `the folder of ${bucket} is not there, or is empty: mount its disk, or correct --bucket (${messageOf(error)})`, error);
  }
  return bucketUnavailable(bucket, doing, key, error);
}
