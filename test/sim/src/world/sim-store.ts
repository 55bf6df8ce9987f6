/**
 * The head's ordered store on a simulated disk. It behaves as LevelDB does: a batch is first written to the log, and is durable once the log is
 * synced, together with all batches before it. Power loss takes the last of the unsynced batches, each as a whole. A write that failed may be
 * there or not, and the store refuses all others until it is opened again.
 */
import type { KeyRange, OpenedStore, OrderedStore, StoreEntry, StoreOp, StoreOpener } from "@pyromesh/head";
import { copyOf, META_NOTES, pagesOf } from "@pyromesh/head/testing";
import type { Chance } from "./chance.ts";
import { diskFull } from "./sim-disk.ts";
import type { DiskCalls } from "./sim-disk.ts";

interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export type StoreSnapshot = ReadonlyMap<string, Entry>;

/** The content of the store, which outlives the runs of a node. Keys are texts in latin1, which sort as their bytes do. */
export class StoreState {
  /** What an open store reads. */
  readonly live: Map<string, Entry> = new Map();
  /** What is left after power loss. */
  readonly #synced = new Map<string, Entry>();
  /** Batches that are in the log and not synced, in order. */
  #unsynced: (readonly StoreOp[])[] = [];
  /** The number of the last handle. Earlier ones are closed. */
  #handle = 0;
  #sizeBytes = 0;
  #isWriting = false;
  /** The keys in order; undefined after they changed, until they are sorted again. */
  #sorted: string[] | undefined;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** It is in use, and nothing in it says into which objects its records went: a member's store is like that after an earlier build, or where its first start was cut short. */
  get lacksNotes(): boolean {
    return this.live.size > 0 && !this.live.has(textOf(META_NOTES));
  }

  nextHandle(): number {
    return ++this.#handle;
  }

  isCurrent(handle: number): boolean {
    return handle === this.#handle;
  }

  /** Writes a batch to the log. Reads see it from now on. */
  keep(ops: readonly StoreOp[]): void {
    this.#apply(this.live, ops, true);
    this.#unsynced.push(ops);
  }

  sync(): void {
    for (const ops of this.#unsynced) this.#apply(this.#synced, ops, false);
    this.#unsynced = [];
  }

  /** True while a batch was given to the store and is not answered yet. */
  setWriting(isWriting: boolean): void {
    this.#isWriting = isWriting;
  }

  /**
   * The node died. A kill loses at most the batch that is being written, which the system may not have been given yet. Power loss keeps the first
   * few of the unsynced batches.
   */
  crash(kind: "kill" | "power", chance: Chance): void {
    this.#handle++;
    const count = this.#unsynced.length;
    const lostMax = kind === "power" ? count : Math.min(count, this.#isWriting ? 1 : 0);
    this.#unsynced.length = count - chance.int(0, lostMax);
    this.#isWriting = false;
    this.sync();
    this.#readSynced();
  }

  #readSynced(): void {
    this.live.clear();
    this.#sorted = undefined;
    this.#sizeBytes = 0;
    for (const [key, entry] of this.#synced) {
      this.live.set(key, entry);
      this.#sizeBytes += entry.key.length + entry.value.length;
    }
  }

  /** What a snapshot of the disk has, taken while the store is in use. */
  snapshot(): StoreSnapshot {
    return new Map(this.#synced);
  }

  /** Puts the snapshot in the store's place. No run of the node has it open. */
  restore(snapshot: StoreSnapshot): void {
    this.#handle++;
    this.#unsynced = [];
    this.#isWriting = false;
    this.#synced.clear();
    for (const [key, entry] of snapshot) this.#synced.set(key, entry);
    this.#readSynced();
  }

  between({ from, to }: KeyRange): StoreEntry[] {
    const first = textOf(from);
    const end = textOf(to);
    this.#sorted ??= [...this.live.keys()].sort(compareUnits);
    const found: StoreEntry[] = [];
    for (const key of this.#sorted) if (key >= first && key < end) found.push(this.live.get(key)!);
    return found;
  }

  #apply(map: Map<string, Entry>, ops: readonly StoreOp[], isLive: boolean): void {
    for (const op of ops) {
      const key = textOf(op.key);
      if (isLive) {
        const before = map.get(key);
        if (before !== undefined) this.#sizeBytes -= before.key.length + before.value.length;
        if (op.kind === "put") this.#sizeBytes += op.key.length + op.value.length;
        if ((before === undefined) === (op.kind === "put")) this.#sorted = undefined;
      }
      if (op.kind === "put") map.set(key, op);
      else map.delete(key);
    }
  }
}

/** The store as one run of the node opens it. */
export function simStoreOpener(state: StoreState, calls: DiskCalls): StoreOpener {
  return {
    async open(): Promise<OpenedStore> {
      await calls.delay("store open", 2);
      // LevelDB writes what its log holds into a table before it opens. A disk that is full for pushes may still have the few blocks for that.
      if (calls.isFull && calls.chance.isTrue(0.5)) throw diskFull("open the store");
      // So what the log held is durable from now on, including what a failed write left.
      state.sync();
      return { store: openHandle(state, calls), loss: undefined };
    },
    repair: () => calls.delay("store repair", 5),
    release: () => Promise.resolve(),
  };
}

function openHandle(state: StoreState, calls: DiskCalls): OrderedStore {
  const handle = state.nextHandle();
  let isBroken = false;
  const check = (): void => {
    if (!state.isCurrent(handle)) throw new Error("the store is closed");
  };
  return {
    async batch(given, { isSynced }) {
      check();
      if (isBroken) throw new Error("the store takes no batch after one that failed");
      const ops = Array.from(given, copyOf);
      const name = `store batch of ${ops.length}`;
      const { faults } = calls;
      const refuses = calls.isFull ? "full" : faults.comes("store refuses a write") ? "refuse" : faults.comes("store refuses a write and keeps it") ? "keep" : "take";
      if (refuses === "full" || refuses === "refuse") {
        await calls.delay(`${name} refused`, 2);
        check();
        isBroken = true;
        throw refuses === "full" ? diskFull("write to the store") : new Error("EIO: i/o error, write");
      }
      // The batch is in the log from now on; a crash during the sync may keep or lose it.
      state.keep(ops);
      state.setWriting(true);
      if (isSynced) await calls.delay(name, 2, faults.comes("store syncs slowly") ? faults.slowMs() : 0);
      else await calls.delay(`${name}, unsynced`, 0.1);
      check();
      state.setWriting(false);
      if (refuses === "keep") {
        isBroken = true;
        throw new Error("EIO: i/o error, fsync");
      }
      if (isSynced) state.sync();
    },
    async get(key) {
      check();
      const entry = state.live.get(textOf(key));
      await calls.delay("store get", 0.1);
      return entry?.value;
    },
    async getMany(keys) {
      check();
      const found = keys.map((key) => state.live.get(textOf(key))?.value);
      await calls.delay(`store get of ${keys.length}`, 0.2);
      return found;
    },
    async *pages(range, { pageBytes }) {
      check();
      for (const page of pagesOf(state.between(range), pageBytes)) {
        await calls.delay("store page", 0.3);
        check();
        yield page;
      }
    },
    async compact() {
      check();
      await calls.delay("store compact", 20);
      check();
    },
    async close() {
      await calls.delay("store close", 1);
      if (state.isCurrent(handle)) state.nextHandle();
    },
  };
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
