/**
 * Sealed segments on local disk, waiting for upload: written durably under the key they will have in the bucket, read
 * by ranges, deleted when the bucket has them and no query reads them any more.
 *
 * What must stay true: `write` resolves after bytes and name are synced; a file never changes once it has its name. One that
 * did change (corruption) is set aside: out of every list, and on disk until a person removes it.
 */
import type { FileHandle } from "node:fs/promises";
import type { Clock, Random } from "@pyromesh/base";
import { CodedError, CorruptionError, describeSystemError, messageOf, unavailable } from "@pyromesh/base";
import { LRUCache } from "lru-cache";
import { checkKey } from "../bucket/bucket.ts";
import type { TreeFile } from "../bucket/file-tree.ts";
import { FileTree, isFileError, readFrom } from "../bucket/file-tree.ts";
import type { RangeSource } from "../segment/segment-reader.ts";

export interface LocalFiles {
  /** Where the file of `key` lies, for people. */
  pathOf(key: string): string;
  /** False where the key is there already: a repeated seal after a crash, with the same bytes. */
  write(key: string, bytes: Uint8Array): Promise<boolean>;
  /** The size is read once: a sealed file does not change. Rejects LOCAL_FILE_MISSING. */
  source(key: string): Promise<RangeSource>;
  /** Exactly `lengthBytes` bytes; a CorruptionError where the file ends before. Rejects with the signal's reason when it aborts first. */
  read(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array>;
  /** All files whose key begins with `prefix`, in key order. */
  list(prefix?: string): Promise<readonly TreeFile[]>;
  /** Resolves also where there was nothing. A read under way ends well: the file is open. */
  delete(key: string): Promise<void>;
  /** For a file that is not what was written. Where it lies now, for people; undefined where there was none. */
  setAside(key: string): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface FolderFilesOptions {
  readonly dir: string;
  /** Files kept open for reading. At the bound the one read longest ago is closed; files in the middle of a read stay on top of it. */
  readonly openFileCountMax?: number;
}

const OPEN_FILE_COUNT_MAX = 64;

/** One open for reading. Out of the cache it is closed by whoever reads it last. */
class OpenFile {
  readonly handle: Promise<FileHandle>;
  #readerCount = 0;
  #isDropped = false;
  #closed: Promise<void> | undefined;

  constructor(handle: Promise<FileHandle>) {
    this.handle = handle;
  }

  lend(): this {
    this.#readerCount++;
    return this;
  }

  giveBack(): Promise<void> | undefined {
    this.#readerCount--;
    return this.#closeIfUnused();
  }

  drop(): Promise<void> | undefined {
    this.#isDropped = true;
    return this.#closeIfUnused();
  }

  /** A file only ever read from loses nothing by a failed close. */
  #closeIfUnused(): Promise<void> | undefined {
    if (this.#isDropped && this.#readerCount === 0) this.#closed ??= this.handle.then((handle) => handle.close()).catch(() => {});
    return this.#closed;
  }
}

/** In a folder of the file system. */
export class FolderFiles implements LocalFiles {
  readonly #tree: FileTree;
  /** What an open file costs is its descriptor, so they are counted, not weighed. */
  readonly #open: LRUCache<string, OpenFile>;

  private constructor(tree: FileTree, openFileCountMax: number) {
    this.#tree = tree;
    this.#open = new LRUCache({ max: openFileCountMax, dispose: (file) => void file.drop() });
  }

  static async open(options: FolderFilesOptions, modules: { readonly clock: Clock; readonly random: Random }): Promise<FolderFiles> {
    try {
      return new FolderFiles(await FileTree.open(options.dir, modules), options.openFileCountMax ?? OPEN_FILE_COUNT_MAX);
    } catch (error) {
      throw asLocalError("open", options.dir, error);
    }
  }

  pathOf(key: string): string {
    return this.#tree.pathOf(key);
  }

  async write(key: string, bytes: Uint8Array): Promise<boolean> {
    checkKey(key);
    try {
      return await this.#tree.write(key, bytes, { ifAbsent: true });
    } catch (error) {
      throw asLocalError("write", key, error);
    }
  }

  async source(key: string): Promise<RangeSource> {
    try {
      const { sizeBytes } = await this.#tree.stat(key);
      return { sizeBytes, read: (offset, lengthBytes, signal) => this.read(key, offset, lengthBytes, signal) };
    } catch (error) {
      throw asLocalError("read", key, error);
    }
  }

  async read(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    const file = this.#borrow(key);
    try {
      const bytes = await readFrom(await this.#opened(key, file), offset, lengthBytes, signal);
      if (bytes.length < lengthBytes) {
        throw new CorruptionError({ object: key, offset: offset + bytes.length, expected: `${lengthBytes - bytes.length} more bytes`, found: `the end of ${this.pathOf(key)}` });
      }
      return bytes;
    } catch (error) {
      if (signal.aborted && error === signal.reason) throw error;
      throw asLocalError("read", key, error);
    } finally {
      await file.giveBack();
    }
  }

  async list(prefix = ""): Promise<readonly TreeFile[]> {
    const files: TreeFile[] = [];
    try {
      for await (const file of this.#tree.walk(prefix, "")) files.push(file);
    } catch (error) {
      throw asLocalError("list", prefix, error);
    }
    return files;
  }

  async delete(key: string): Promise<void> {
    await this.#drop(key);
    try {
      await this.#tree.delete(key);
    } catch (error) {
      throw asLocalError("delete", key, error);
    }
  }

  async setAside(key: string): Promise<string | undefined> {
    await this.#drop(key);
    try {
      return await this.#tree.setAside(key);
    } catch (error) {
      throw asLocalError("set aside", key, error);
    }
  }

  async close(): Promise<void> {
    for (const key of [...this.#open.keys()]) await this.#drop(key);
  }

  /** How many files the cache holds open. */
  get openFileCount(): number {
    return this.#open.size;
  }

  #borrow(key: string): OpenFile {
    let file = this.#open.get(key);
    if (file === undefined) this.#open.set(key, (file = new OpenFile(this.#tree.open(key))));
    return file.lend();
  }

  /** One that could not be opened is not kept: it may be there the next time. */
  async #opened(key: string, file: OpenFile): Promise<FileHandle> {
    try {
      return await file.handle;
    } catch (error) {
      if (this.#open.peek(key) === file) this.#open.delete(key);
      throw error;
    }
  }

  async #drop(key: string): Promise<void> {
    const file = this.#open.peek(key);
    this.#open.delete(key);
    await file?.drop();
  }
}

function asLocalError(doing: string, key: string, error: unknown): unknown {
  if (error instanceof CodedError) return error;
  if (doing !== "open" && isFileError(error, "ENOENT", "ENOTDIR", "EISDIR")) return unavailable("LOCAL_FILE_MISSING", `there is no sealed file ${JSON.stringify(key)} on this node's disk`, error);
  if (isFileError(error, "ENOSPC", "EDQUOT")) {
    return unavailable("LOCAL_DISK_FULL", `no room on this node's disk to ${doing} ${JSON.stringify(key)}: free some, or lower --head-disk-budget`, error);
  }
  return unavailable("LOCAL_FILE_FAILED", `this node's disk could not ${doing} ${JSON.stringify(key)}: ${describeSystemError(error) ?? messageOf(error)}`, error);
}
