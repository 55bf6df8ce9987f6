/** The head's small files in memory. */
import type { AtomicFile } from "@pyromesh/base";
import type { Checkpoint, CheckpointMark } from "../recovery/checkpoint.ts";

/** Not synced, so a power loss may take the last marks along: `lose`. */
export class MemoryCheckpoint implements Checkpoint {
  #marks: CheckpointMark[] = [];

  read(): CheckpointMark | undefined {
    return this.#marks.at(-1);
  }

  write(mark: CheckpointMark): void {
    this.#marks.push(mark);
  }

  lose(count: number): void {
    this.#marks = this.#marks.slice(0, Math.max(0, this.#marks.length - count));
  }

  close(): void {}
}

export class MemoryFile implements AtomicFile {
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
