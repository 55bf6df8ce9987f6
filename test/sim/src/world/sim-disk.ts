/**
 * The data directory on a simulated disk: the head's store, its small files, and the files of sealed segments. It outlives the runs of a node;
 * `crash` removes some of what was not synced.
 */
import { unavailable, type AtomicFile } from "@pyromesh/base";
import type { Checkpoint, CheckpointMark } from "@pyromesh/head";
import type { NodeDisk } from "pyromesh";
import type { Chance } from "./chance.ts";
import type { Faults } from "./faults.ts";
import type { Journal } from "./journal.ts";
import type { Life, Scheduler } from "./scheduler.ts";
import { SimFiles } from "./sim-files.ts";
import { simStoreOpener, StoreState } from "./sim-store.ts";
import type { StoreSnapshot } from "./sim-store.ts";

/** The time and the faults of one run's calls to the disk. */
export interface DiskCalls {
  readonly faults: Faults;
  readonly isFull: boolean;
  readonly chance: Chance;
  /** Resolves when the call is done: after `moreMs` plus about `typicalMs` (`Chance.delay`); never if the run ends before. */
  delay(name: string, typicalMs: number, moreMs?: number): Promise<void>;
}

/** All files of the data directory as they were at one moment. */
export interface DiskSnapshot {
  readonly store: StoreSnapshot;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly asideFiles: ReadonlyMap<string, Uint8Array>;
  readonly smallFiles: ReadonlyMap<string, Uint8Array>;
  readonly marks: readonly CheckpointMark[];
}

export class SimDisk {
  readonly store: StoreState = new StoreState();
  /** The files of sealed segments, by key. */
  readonly files: Map<string, Uint8Array> = new Map();
  /** Files that were created or deleted and whose folder is not synced: what power loss restores, undefined for a created file. */
  readonly unsyncedNames: Map<string, Uint8Array | undefined> = new Map();
  readonly asideFiles: Map<string, Uint8Array> = new Map();
  /** The quarantine list and the format file, by name. */
  readonly smallFiles: Map<string, Uint8Array> = new Map();
  isFull = false;
  /** While true, no file of a segment can be written. */
  isSealedFolderShut = false;
  /** When each file of a segment was written. */
  readonly fileSinceMs: Map<string, number> = new Map();
  /** How many files of segments were written so far. */
  sealCount = 0;
  readonly #marks: CheckpointMark[] = [];
  readonly #chance: Chance;
  readonly #modules: { readonly scheduler: Scheduler; readonly faults: Faults; readonly journal: Journal };

  constructor(chance: Chance, modules: { readonly scheduler: Scheduler; readonly faults: Faults; readonly journal: Journal }) {
    this.#chance = chance;
    this.#modules = modules;
  }

  /** The disk as one run of the node sees it. */
  openFor(life: Life): NodeDisk {
    const calls = this.#callsOf(life);
    return {
      head: {
        place: "/sim/head",
        formatFile: this.#atomicFile("format", calls),
        quarantineFile: this.#atomicFile("quarantine", calls),
        prepare: () => calls.delay("head prepare", 0.5),
        openCheckpoint: () => this.#checkpoint(),
        opener: () => simStoreOpener(this.store, calls),
        measure: async () => {
          await calls.delay("head measured", 0.5);
          return { storeBytes: this.store.sizeBytes, otherBytes: this.fileBytes };
        },
      },
      prepare: () => calls.delay("data dir prepare", 0.5),
      openLocalFiles: async () => {
        await calls.delay("sealed open", 0.5);
        return new SimFiles(this, calls);
      },
      openClusterFiles: async () => {
        await calls.delay("cluster files open", 0.5);
        return { keyFile: this.#atomicFile("cluster key", calls), stateFile: this.#atomicFile("cluster state", calls) };
      },
      measure: async () => {
        await calls.delay("disk measured", 0.2);
        return { freeBytes: this.isFull ? 0 : DISK_BYTES / 2, sizeBytes: DISK_BYTES };
      },
    };
  }

  #callsOf(life: Life): DiskCalls {
    const { scheduler, faults, journal } = this.#modules;
    const chance = this.#chance;
    const isFull = (): boolean => this.isFull;
    return {
      faults,
      chance,
      get isFull() {
        return isFull();
      },
      delay: (name, typicalMs, moreMs = 0) =>
        new Promise((resolve) => {
          scheduler.after(chance.delay(typicalMs) + moreMs, life, () => {
            journal.note("disk", name);
            resolve();
          });
        }),
    };
  }

  get nowMs(): number {
    return this.#modules.scheduler.nowMs;
  }

  /** The size of all files of sealed segments, including those set aside. */
  get fileBytes(): number {
    let bytes = 0;
    for (const file of this.files.values()) bytes += file.length;
    for (const file of this.asideFiles.values()) bytes += file.length;
    return bytes;
  }

  /** The node was killed, or the machine lost power. */
  crash(kind: "kill" | "power"): void {
    this.store.crash(kind, this.#chance);
    for (const [key, before] of this.unsyncedNames) {
      if (kind !== "power" || this.#chance.isTrue(0.5)) continue;
      if (before === undefined) this.files.delete(key);
      else this.files.set(key, before);
    }
    this.unsyncedNames.clear();
    // The checkpoint is never synced: power loss may leave an earlier one.
    if (kind === "power") this.#marks.length -= this.#chance.int(0, Math.min(this.#marks.length, 3));
  }

  snapshot(): DiskSnapshot {
    return { store: this.store.snapshot(), files: new Map(this.files), asideFiles: new Map(this.asideFiles), smallFiles: new Map(this.smallFiles), marks: [...this.#marks] };
  }

  /** Puts the data directory back to what it was. The node is down. */
  restore({ asideFiles, files, marks, smallFiles, store }: DiskSnapshot): void {
    this.store.restore(store);
    const back: [Map<string, Uint8Array>, ReadonlyMap<string, Uint8Array>][] = [[this.files, files], [this.asideFiles, asideFiles], [this.smallFiles, smallFiles]];
    for (const [now, before] of back) {
      now.clear();
      for (const [name, bytes] of before) now.set(name, bytes);
    }
    this.unsyncedNames.clear();
    this.#marks.splice(0, this.#marks.length, ...marks);
  }

  #checkpoint(): Checkpoint {
    const marks = this.#marks;
    return {
      read: () => marks.at(-1),
      write: (mark) => {
        marks.push(mark);
        if (marks.length > 64) marks.splice(0, 32);
      },
      close: () => {},
    };
  }

  /** A file that is replaced as a whole: a crash leaves the old or the new content. */
  #atomicFile(name: string, calls: DiskCalls): AtomicFile {
    return {
      read: async () => {
        await calls.delay(`file ${name} read`, 0.2);
        return this.smallFiles.get(name);
      },
      write: async (bytes) => {
        const copy = Uint8Array.from(bytes);
        await calls.delay(`file ${name} written`, 1);
        if (calls.isFull) throw diskFull(`write the file ${name}`);
        this.smallFiles.set(name, copy);
        await calls.delay(`file ${name} synced`, 2);
      },
    };
  }
}

const DISK_BYTES = 100 * 2 ** 30;

/** Has the code of Node's own error. */
export function diskFull(doing: string): Error {
  return Object.assign(new Error(`ENOSPC: no space left on device, ${doing}`), { code: "ENOSPC" });
}

/** The error that `LocalFiles` promises. */
export function fileFailed(doing: string, key: string): Error {
  return unavailable("LOCAL_FILE_FAILED", `this node's disk could not ${doing} ${JSON.stringify(key)}: EIO`);
}
