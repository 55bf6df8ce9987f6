/** The files of sealed segments on a simulated disk. A file has all its bytes once its name exists; power loss keeps the name once `write` has resolved. */
import { CorruptionError, unavailable } from "@pyromesh/base";
import type { LocalFiles } from "@pyromesh/block";
import { diskFull, fileFailed } from "./sim-disk.ts";
import type { DiskCalls, SimDisk } from "./sim-disk.ts";

export class SimFiles implements LocalFiles {
  readonly #disk: SimDisk;
  readonly #calls: DiskCalls;

  constructor(disk: SimDisk, calls: DiskCalls) {
    this.#disk = disk;
    this.#calls = calls;
  }

  pathOf(key: string): string {
    return `/sim/sealed/${key}`;
  }

  async write(key: string, bytes: Uint8Array): Promise<boolean> {
    const { files, unsyncedNames } = this.#disk;
    const copy = Uint8Array.from(bytes);
    await this.#calls.delay(`sealed ${key} written`, 3);
    if (this.#calls.isFull) throw unavailable("LOCAL_DISK_FULL", `no room for ${key}`, diskFull("write"));
    if (this.#disk.isSealedFolderShut || this.#calls.faults.comes("sealed file is not written")) throw fileFailed("write", key);
    if (files.has(key)) return false;
    files.set(key, copy);
    unsyncedNames.set(key, undefined);
    this.#disk.sealCount++;
    this.#disk.fileSinceMs.set(key, this.#disk.nowMs);
    await this.#calls.delay(`sealed ${key} synced`, 2);
    unsyncedNames.delete(key);
    return true;
  }

  async source(key: string): Promise<{ readonly sizeBytes: number; read(offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> }> {
    await this.#calls.delay(`sealed ${key} looked at`, 0.1);
    const file = this.#file(key);
    return { sizeBytes: file.length, read: (offset, lengthBytes, signal) => this.read(key, offset, lengthBytes, signal) };
  }

  async read(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    await this.#calls.delay(`sealed ${key} read ${offset}+${lengthBytes}`, 0.5);
    signal.throwIfAborted();
    if (this.#calls.faults.comes("sealed file is not read")) throw fileFailed("read", key);
    const file = this.#file(key);
    if (offset + lengthBytes > file.length) throw new CorruptionError({ object: key, offset: file.length, expected: `${offset + lengthBytes - file.length} more bytes`, found: "the end" });
    return file.slice(offset, offset + lengthBytes);
  }

  async list(prefix = ""): Promise<readonly { readonly key: string; readonly sizeBytes: number; readonly modifiedMs: number }[]> {
    await this.#calls.delay("sealed list", 1);
    const keys = [...this.#disk.files.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.map((key) => ({ key, sizeBytes: this.#disk.files.get(key)!.length, modifiedMs: 0 }));
  }

  async delete(key: string): Promise<void> {
    const { files, unsyncedNames } = this.#disk;
    const before = files.get(key);
    files.delete(key);
    if (before !== undefined) unsyncedNames.set(key, before);
    await this.#calls.delay(`sealed ${key} deleted`, 1);
    unsyncedNames.delete(key);
  }

  async setAside(key: string): Promise<string | undefined> {
    const { asideFiles, files } = this.#disk;
    await this.#calls.delay(`sealed ${key} set aside`, 1);
    const file = files.get(key);
    if (file === undefined) return undefined;
    files.delete(key);
    asideFiles.set(key, file);
    return `/sim/sealed/%rot/${key}`;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #file(key: string): Uint8Array {
    const file = this.#disk.files.get(key);
    if (file === undefined) throw unavailable("LOCAL_FILE_MISSING", `there is no sealed file ${JSON.stringify(key)} on this node's disk`);
    return file;
  }
}
