/** The head's small files in memory. */
import type { KeptFile } from "../store/kept-file.ts";
import type { Witness, WitnessMark } from "../recovery/witness.ts";

/** Not synced, so a power loss may take the last marks along: `lose`. */
export class MemoryWitness implements Witness {
  #marks: WitnessMark[] = [];

  read(): WitnessMark | undefined {
    return this.#marks.at(-1);
  }

  write(mark: WitnessMark): void {
    this.#marks.push(mark);
  }

  lose(count: number): void {
    this.#marks = this.#marks.slice(0, Math.max(0, this.#marks.length - count));
  }

  close(): void {}
}

export class MemoryFile implements KeptFile {
  bytes: Uint8Array | undefined;
  isFailing = false;

  async read(): Promise<Uint8Array | undefined> {
    return this.bytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.isFailing) throw new Error("the disk is full");
    this.bytes = Uint8Array.from(bytes);
  }
}
