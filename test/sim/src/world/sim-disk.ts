/**
 * The data directory on a simulated disk: the head's store, its small files, and the files of sealed segments. It outlives the runs of a node;
 * `crash` takes from it what was not safe.
 */
import { unavailable } from "@pyromesh/base";
import type { AtomicFile, Checkpoint, CheckpointMark } from "@pyromesh/head";
import type { NodeDisk } from "pyromesh";
import type { Chance } from "./chance.ts";
import type { Faults } from "./faults.ts";
import type { Journal } from "./journal.ts";
import type { Life, Scheduler } from "./scheduler.ts";
import { SimFiles } from "./sim-files.ts";
import { simStoreOpener, StoreState } from "./sim-store.ts";

/** What the disk's parts ask for each call: time, and whether a fault comes. Of one run of the node. */
export interface DiskCalls {
  readonly faults: Faults;
  readonly isFull: boolean;
  readonly chance: Chance;
  /** Resolves after some `typicalMs`, and `moreMs`; never, where the run ends before. */
  take(name: string, typicalMs: number, moreMs?: number): Promise<void>;
}

export class SimDisk {
  readonly store: StoreState = new StoreState();
  /** Of sealed segments, by key. */
  readonly files: Map<string, Uint8Array> = new Map();
  /** What power loss may undo: a name given or taken and not synced yet. */
  readonly looseNames: Map<string, Uint8Array | undefined> = new Map();
  readonly asideFiles: Map<string, Uint8Array> = new Map();
  /** By name: the quarantine list and the format file. */
  readonly smallFiles: Map<string, Uint8Array> = new Map();
  isFull = false;
  /** No file of a segment can be written. */
  isSealedFolderShut = false;
  /** When each file of a segment came. */
  readonly fileSinceMs: Map<string, number> = new Map();
  /** Files of segments written so far. */
  sealCount = 0;
  readonly #marks: CheckpointMark[] = [];
  readonly #chance: Chance;
  readonly #modules: { readonly scheduler: Scheduler; readonly faults: Faults; readonly journal: Journal };

  constructor(chance: Chance, modules: { readonly scheduler: Scheduler; readonly faults: Faults; readonly journal: Journal }) {
    this.#chance = chance;
    this.#modules = modules;
  }

  /** One run's way to it. */
  openFor(life: Life): NodeDisk {
    const calls = this.#callsOf(life);
    return {
      head: {
        place: "/sim/head",
        formatFile: this.#atomicFile("format", calls),
        quarantineFile: this.#atomicFile("quarantine", calls),
        prepare: () => calls.take("head prepare", 0.5),
        openCheckpoint: () => this.#checkpoint(),
        opener: () => simStoreOpener(this.store, calls),
        measure: async () => {
          await calls.take("head measured", 0.5);
          return { storeBytes: this.store.sizeBytes, otherBytes: this.fileBytes };
        },
      },
      prepare: () => calls.take("data dir prepare", 0.5),
      openLocalFiles: async () => {
        await calls.take("sealed open", 0.5);
        return new SimFiles(this, calls);
      },
      measure: async () => {
        await calls.take("disk measured", 0.2);
        // A full disk is one whose quota is used up, which does not show here. Where it does, a start keeps a small budget for good, and refuses
        // pushes with 400 until the next one: known, and not mended yet.
        return { freeBytes: DISK_BYTES / 2, sizeBytes: DISK_BYTES };
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
      take: (name, typicalMs, moreMs = 0) =>
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

  /** Of sealed segments, those set aside too. */
  get fileBytes(): number {
    let bytes = 0;
    for (const file of this.files.values()) bytes += file.length;
    for (const file of this.asideFiles.values()) bytes += file.length;
    return bytes;
  }

  /** The node died; with `power`, so did the machine. */
  crash(kind: "kill" | "power"): void {
    this.store.crash(kind, this.#chance);
    for (const [key, before] of this.looseNames) {
      if (kind !== "power" || this.#chance.isTrue(0.5)) continue;
      if (before === undefined) this.files.delete(key);
      else this.files.set(key, before);
    }
    this.looseNames.clear();
    // The checkpoint is never synced: power loss may leave an earlier one.
    if (kind === "power") this.#marks.length -= this.#chance.int(0, Math.min(this.#marks.length, 3));
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

  /** Replaced as a whole: a crash leaves the old or the new content. */
  #atomicFile(name: string, calls: DiskCalls): AtomicFile {
    return {
      read: async () => {
        await calls.take(`file ${name} read`, 0.2);
        return this.smallFiles.get(name);
      },
      write: async (bytes) => {
        const copy = Uint8Array.from(bytes);
        await calls.take(`file ${name} written`, 1);
        if (calls.isFull) throw diskFull(`write the file ${name}`);
        this.smallFiles.set(name, copy);
        await calls.take(`file ${name} synced`, 2);
      },
    };
  }
}

const DISK_BYTES = 100 * 2 ** 30;

/** As Node's own file errors. */
export function diskFull(doing: string): Error {
  return Object.assign(new Error(`ENOSPC: no space left on device, ${doing}`), { code: "ENOSPC" });
}

/** As `LocalFiles` says it. */
export function fileFailed(doing: string, key: string): Error {
  return unavailable("LOCAL_FILE_FAILED", `this node's disk could not ${doing} ${JSON.stringify(key)}: EIO`);
}
