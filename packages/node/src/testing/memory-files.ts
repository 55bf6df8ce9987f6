/** Local files in memory: they outlive a restart of the store in a test. */
import { CodedError, CorruptionError } from "@pyromesh/base";
import type { LocalFiles, RangeSource, TreeFile } from "@pyromesh/block";

export class MemoryFiles implements LocalFiles {
  readonly #files = new Map<string, Uint8Array>();

  pathOf(key: string): string {
    return `memory:${key}`;
  }

  write(key: string, bytes: Uint8Array): Promise<boolean> {
    const isNew = !this.#files.has(key);
    this.#files.set(key, Uint8Array.from(bytes));
    return Promise.resolve(isNew);
  }

  async source(key: string): Promise<RangeSource> {
    return { sizeBytes: this.#of(key).length, read: (offset, lengthBytes, signal) => this.read(key, offset, lengthBytes, signal) };
  }

  async read(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    const bytes = this.#of(key);
    if (offset + lengthBytes > bytes.length) throw new CorruptionError({ object: key, offset: bytes.length, expected: `${lengthBytes} bytes`, found: "the end" });
    return bytes.slice(offset, offset + lengthBytes);
  }

  list(prefix = ""): Promise<TreeFile[]> {
    return Promise.resolve(Array.from(this.#files, ([key, { length }]) => ({ key, sizeBytes: length, modifiedMs: 0 })).filter(({ key }) => key.startsWith(prefix)));
  }

  delete(key: string): Promise<void> {
    this.#files.delete(key);
    return Promise.resolve();
  }

  setAside(key: string): Promise<string | undefined> {
    return Promise.resolve(this.#files.delete(key) ? `memory:aside/${key}` : undefined);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #of(key: string): Uint8Array {
    const bytes = this.#files.get(key);
    if (bytes === undefined) throw new CodedError({ code: "LOCAL_FILE_MISSING", kind: "unavailable", message: `no file ${key}` });
    return bytes;
  }
}
