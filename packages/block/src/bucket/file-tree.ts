/**
 * A folder of files that exist whole or not at all. Everything that this package writes to a disk goes through it: `FileBucket` and
 * `FolderFiles` are made of it.
 *
 *   root/
 *     v1/anonymous/20260101T00/L0-...seg     a key's segments are folders and a file, escaped (see `escapeSegment`)
 *     %tmp/6f0c...                           a write in progress; no escaped name can begin "%t"
 *     %rot/v1/anonymous/...                  corrupt files that were set aside for people; never listed, never deleted
 *
 * What must stay true: when `write` resolves, the bytes, the name and every folder on the way have been synced; a name
 * never leads outside the root.
 *
 * Throws Node's own file errors (`code: "ENOENT"`). The caller gives them a meaning.
 */
import type { FileHandle } from "node:fs/promises";
import { link, mkdir, open, readdir, rename, rmdir, stat, unlink } from "node:fs/promises";
import path from "node:path";
import type { Clock, Random } from "@pyromesh/base";
import { makeFolders, toHex } from "@pyromesh/base";
import { compareText } from "@pyromesh/profile";

export interface TreeFile {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

const TEMPORARY = "%tmp";
/** The name that data dirs have on disk. */
const SET_ASIDE = "%rot";
/** Older temporary files are removed. Far longer than any write takes: another process that shares the folder keeps those it is writing. */
const TEMPORARY_AGE_MS_MAX = 3_600_000;
/** A folder may vanish during a write, when its last file is deleted. Each try makes it again; at the bound the write fails. */
const WRITE_TRIES_MAX = 5;

interface FileTreeModules {
  readonly clock: Clock;
  readonly random: Random;
}

export class FileTree {
  readonly root: string;
  readonly #clock: Clock;
  readonly #random: Random;
  /** The disk does not tell `A` from `a`. Then capitals are escaped too, since two tenants must never share a folder. Known once the tree is prepared. */
  #isCaseBlind = false;
  #isPrepared = false;

  private constructor(root: string, modules: FileTreeModules) {
    this.root = path.resolve(root);
    this.#clock = modules.clock;
    this.#random = modules.random;
  }

  /** Makes the folder where it is missing and removes what an earlier process left half written. */
  static async open(root: string, modules: FileTreeModules): Promise<FileTree> {
    const tree = new FileTree(root, modules);
    await tree.create();
    return tree;
  }

  /** A tree whose folder may be missing, and is not made: `create` does that. Call `prepare` before anything else. */
  static at(root: string, modules: FileTreeModules): FileTree {
    return new FileTree(root, modules);
  }

  /** Makes the folder where it is missing. */
  async create(): Promise<void> {
    await makeFolder(path.join(this.root, TEMPORARY));
    this.#isPrepared = false;
    await this.prepare();
  }

  /**
   * Looks at the folder once it is there. ENOENT where it is not, or where it is empty: a mount point whose disk is away is an empty
   * folder, and what is written there is lost to sight when the disk comes back.
   */
  async prepare(): Promise<void> {
    if (this.#isPrepared) return;
    const temporary = path.join(this.root, TEMPORARY);
    if (!(await exists(temporary))) {
      if ((await readdir(this.root)).length === 0) throw missing(`${this.root} is empty`);
      await ignoring(mkdir(temporary), "EEXIST"); // a copy of a tree, made without it
      await syncFolder(this.root);
    }
    this.#isCaseBlind = await exists(path.join(this.root, TEMPORARY.toUpperCase()));
    await removeStale(temporary, this.#clock.nowMs() - TEMPORARY_AGE_MS_MAX);
    this.#isPrepared = true;
  }

  pathOf(key: string): string {
    return path.join(this.root, ...key.split("/").map((segment) => escapeSegment(segment, this.#isCaseBlind)));
  }

  /**
   * The order matters:
   *  1. write and sync a temporary file, so that a name never stands for bytes the disk may lose;
   *  2. give it its name: `rename` replaces at once, `link` refuses where the name is taken;
   *  3. sync the folders from the file's up to the root, or the name itself may be lost. Also where the name was taken:
   *     whoever took it may not have come to this step, and we are about to say that it is there.
   * Returns false where `ifAbsent` was asked and the name is taken.
   */
  async write(key: string, bytes: Uint8Array, options: { readonly ifAbsent: boolean }, signal?: AbortSignal): Promise<boolean> {
    const target = this.pathOf(key);
    const temporary = path.join(this.root, TEMPORARY, toHex(this.#random.bytes(16)));
    try {
      const handle = await open(temporary, "wx").catch((error: unknown) => {
        this.#isPrepared = false; // the folder may be another one now
        throw error;
      });
      try {
        await writeAll(handle, bytes, signal);
        await handle.sync();
      } finally {
        await handle.close();
      }
      for (let tries = 1; ; tries++) {
        try {
          const isCreated = await this.#name(temporary, target, options.ifAbsent);
          await this.#syncFolders(path.dirname(target));
          return isCreated;
        } catch (error) {
          if (!isFileError(error, "ENOENT") || tries === WRITE_TRIES_MAX) throw error;
        }
      }
    } finally {
      await ignoring(unlink(temporary), "ENOENT");
    }
  }

  async #name(temporary: string, target: string, ifAbsent: boolean): Promise<boolean> {
    await this.#makeFolders(path.dirname(target));
    if (!ifAbsent) {
      await rename(temporary, target);
      return true;
    }
    try {
      await link(temporary, target);
      return true;
    } catch (error) {
      if (!isFileError(error, "EEXIST")) throw error;
      return false;
    }
  }

  /** Makes the folders between the root and `folder`. Never the root: where that is missing, its disk may not be mounted. */
  async #makeFolders(folder: string): Promise<void> {
    let at = this.root;
    for (const name of path.relative(this.root, folder).split(path.sep)) {
      if (name === "") continue; // the root itself
      at = path.join(at, name);
      await ignoring(mkdir(at), "EEXIST");
    }
  }

  async #syncFolders(folder: string): Promise<void> {
    for (let at = folder; ; at = path.dirname(at)) {
      await ignoring(syncFolder(at), "ENOENT"); // gone: the file was deleted after we named it, which is as if after the put
      if (at === this.root) return;
    }
  }

  /** False when somebody removed the root under us. */
  async isThere(): Promise<boolean> {
    return exists(this.root);
  }

  async open(key: string): Promise<FileHandle> {
    return open(this.pathOf(key), "r");
  }

  async stat(key: string): Promise<TreeFile> {
    const found = await stat(this.pathOf(key));
    if (!found.isFile()) throw missing(`${this.pathOf(key)} is a folder`);
    return { key, sizeBytes: found.size, modifiedMs: found.mtimeMs };
  }

  /** Synced when it resolves. False where there was nothing. Folders that become empty are removed too. */
  async delete(key: string): Promise<boolean> {
    const target = this.pathOf(key);
    const folder = path.dirname(target);
    try {
      await unlink(target);
      await syncFolder(folder);
    } catch (error) {
      if (isFileError(error, "ENOENT", "ENOTDIR", "EISDIR", "EPERM") && !(await isFile(target))) return false;
      if (!isFileError(error, "ENOENT")) throw error; // ENOENT of the sync: another delete took the folder as well
    }
    for (let at = folder; at !== this.root; at = path.dirname(at)) {
      try {
        await rmdir(at);
      } catch {
        break; // not empty, or gone: either way it is not ours to remove
      }
    }
    return true;
  }

  /**
   * Moves a corrupt file out of the tree, synced when it resolves, and returns its new path. A file of the same key that was set aside
   * before is kept too. Undefined where there was nothing.
   */
  async setAside(key: string): Promise<string | undefined> {
    const from = this.pathOf(key);
    const aside = path.join(this.root, SET_ASIDE, path.relative(this.root, from));
    await makeFolder(path.dirname(aside));
    const to = (await exists(aside)) ? `${aside}.${toHex(this.#random.bytes(8))}` : aside;
    try {
      await rename(from, to);
    } catch (error) {
      if (isFileError(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
    await syncFolder(path.dirname(to));
    await syncFolder(path.dirname(from));
    return to;
  }

  /**
   * Files after `startAfter` whose key begins with `prefix`, in key order. Holds one folder's names a level. Throws where the root was
   * taken away or another put in its place meanwhile: the rest would look deleted.
   */
  async *walk(prefix: string, startAfter: string): AsyncGenerator<TreeFile> {
    const before = await stat(this.root);
    yield* this.#walkFolder("", prefix, startAfter);
    const after = await stat(this.root);
    if (after.ino !== before.ino || after.dev !== before.dev) throw Object.assign(new Error(`${this.root} was swapped for another folder while it was listed`), { code: "ESTALE" });
  }

  async *#walkFolder(base: string, prefix: string, startAfter: string): AsyncGenerator<TreeFile> {
    const folder = base === "" ? this.root : this.pathOf(base.slice(0, -1));
    const entries = await orUndefined(readdir(folder, { withFileTypes: true }), "ENOENT", "ENOTDIR");
    if (entries === undefined) {
      if (base === "") throw missing(`${this.root} is gone`);
      return;
    }
    const names: string[] = [];
    for (const entry of entries) {
      const name = unescapeSegment(entry.name);
      if (name === undefined) continue; // not ours
      // A folder sorts as its keys do: with its slash.
      if (entry.isDirectory()) names.push(`${base}${name}/`);
      else if (entry.isFile()) names.push(`${base}${name}`);
    }
    names.sort(compareText);
    for (const name of names) {
      if (name.endsWith("/")) {
        const mayHold = (name.startsWith(prefix) || prefix.startsWith(name)) && (compareText(name, startAfter) > 0 || startAfter.startsWith(name));
        if (mayHold) yield* this.#walkFolder(name, prefix, startAfter);
      } else if (name.startsWith(prefix) && compareText(name, startAfter) > 0) {
        const found = await orUndefined(this.stat(name), "ENOENT", "ENOTDIR"); // deleted while we walked
        if (found !== undefined) yield found;
      }
    }
  }
}

/** Reads exactly `lengthBytes`; fewer only where the file ends. */
export async function readFrom(handle: FileHandle, offset: number, lengthBytes: number, signal?: AbortSignal): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  let done = 0;
  while (done < lengthBytes) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(bytes, done, Math.min(lengthBytes - done, CHUNK_BYTES), offset + done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}

/** True for a file error with one of these codes. */
export function isFileError(thrown: unknown, ...codes: readonly string[]): boolean {
  return thrown instanceof Error && "code" in thrown && codes.includes(String(thrown.code));
}

function missing(message: string): Error {
  return Object.assign(new Error(message), { code: "ENOENT" });
}

/** The size of one read: small, so that an abort takes effect within about 10 ms. */
const CHUNK_BYTES = 8 * 2 ** 20;

/**
 * How much of a file is written before it is synced. A sync writes out what the file system holds back for all files, so a commit of the
 * head at the same time would wait for a whole segment (measured: 30 to 70 ms for 5 MB).
 */
const SYNC_BYTES = 2 ** 19;

async function writeAll(handle: FileHandle, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    signal?.throwIfAborted();
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, SYNC_BYTES));
    done += bytesWritten;
    if (done < bytes.length) await handle.datasync();
  }
}

/** Bytes outside this set are written %xx: safe on every file system we know, and readable. */
const PLAIN = /^[A-Za-z0-9_.!*'()=+@,~-]$/;

function escapeSegment(segment: string, isCaseBlind: boolean): string {
  let escaped = "";
  for (const byte of Buffer.from(segment, "utf8")) {
    const char = String.fromCharCode(byte);
    const isPlain = PLAIN.test(char) && !(isCaseBlind && char >= "A" && char <= "Z");
    escaped += isPlain ? char : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return escaped;
}

/** Undefined for a name that `escapeSegment` does not make. */
function unescapeSegment(name: string): string | undefined {
  try {
    const segment = decodeURIComponent(name);
    return segment.includes("/") || /%(?![0-9a-f]{2})/.test(name) || /[^\x21-\x7e]/.test(name) ? undefined : segment;
  } catch {
    return undefined;
  }
}

/** Makes a folder and those above it; each new one is synced into its parent. */
async function makeFolder(folder: string): Promise<void> {
  const [first] = await makeFolders(folder);
  if (first === undefined) return;
  for (let at = folder; ; at = path.dirname(at)) {
    await syncFolder(at);
    if (at === path.dirname(first)) return;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function removeStale(folder: string, beforeMs: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name);
    const found = await orUndefined(stat(file), "ENOENT");
    if (found !== undefined && found.isFile() && found.mtimeMs < beforeMs) await ignoring(unlink(file), "ENOENT");
  }
}

async function exists(file: string): Promise<boolean> {
  return (await orUndefined(stat(file), "ENOENT", "ENOTDIR")) !== undefined;
}

async function isFile(file: string): Promise<boolean> {
  return (await orUndefined(stat(file), "ENOENT", "ENOTDIR"))?.isFile() ?? false;
}

async function orUndefined<T>(work: Promise<T>, ...codes: readonly string[]): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isFileError(error, ...codes)) return undefined;
    throw error;
  }
}

async function ignoring(work: Promise<void>, ...codes: readonly string[]): Promise<void> {
  await orUndefined(work, ...codes);
}
