/**
 * LevelDB (the `level` package) as an ordered store. The only file that imports it.
 *
 * LevelDB runs without paranoid checks and drops what it cannot read without a word: whoever stores must carry checksums
 * and count (checksum-envelope.ts, commit-entry.ts).
 */
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { Level } from "level";
import type { ClassicLevel } from "classic-level";
import type { Clock, Logger } from "@pyromesh/base";
import { CodedError, makeFolders, messageOf, systemErrorOf, Turns } from "@pyromesh/base";
import { atomicFile, syncDirectory } from "@pyromesh/base";
import { isTableSound, salvageTable } from "./level-table.ts";
import type { BatchOptions, KeyRange, OpenedStore, OrderedStore, StoreEntry, StoreOp, StoreOpener } from "../entries/store.ts";

/** On Node.js `level` is classic-level; its own types are those of what it has in common with the browser's. */
const LevelDb = Level as unknown as typeof ClassicLevel;

export interface LevelStoreOptions {
  /** What LevelDB gathers in memory before it writes a table; it may hold two of them. */
  readonly writeBufferBytes: number;
}

export interface LevelStoreModules {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends an opening that looks at many tables. */
  readonly signal?: AbortSignal | undefined;
}

export function storeDir(dir: string): string {
  return join(dir, "db");
}

/** Opens LevelDB in `<dir>/db`, and says in `<dir>/holder` which process holds it. */
export function levelStoreOpener(dir: string, modules: LevelStoreModules, { writeBufferBytes }: LevelStoreOptions): StoreOpener {
  const path = storeDir(dir);
  const holderPath = join(dir, "holder");

  const openOnce = async (): Promise<LevelStore> => {
    try {
      return await LevelStore.open(path, writeBufferBytes);
    } catch (cause) {
      if (codesOf(cause).includes("LEVEL_LOCKED")) throw await lockedError(dir, holderPath, cause);
      throw cause;
    }
  };

  /** Always throws: LEVEL_LOCKED where another process holds the store, another error where none does. */
  const probeLock = (): Promise<void> => new LevelDb(path, { errorIfExists: true, createIfMissing: false }).open();

  const openRepairing = async (): Promise<OpenedStore> => {
    // 1. Where another process holds the store, nothing is touched.
    await probeLock().catch(async (cause: unknown) => {
      if (codesOf(cause).includes("LEVEL_LOCKED")) throw await lockedError(dir, holderPath, cause);
    });
    // 2. LevelDB aborts the process over a damaged table, so it never sees one.
    const salvaged = await salvageTables(path, join(dir, "db.damaged"), modules);
    let reason = "";
    if (salvaged.length > 0) {
      reason = `damaged tables: ${salvaged.join(", ")}`;
    } else if (await isHeadless(path)) {
      // Without CURRENT, LevelDB would start an empty store and delete the tables of the old one: repair comes first.
      reason = "its CURRENT file is gone";
    } else {
      try {
        return { store: await openOnce(), loss: undefined };
      } catch (cause) {
        if (isNotDamage(cause)) throw cause;
        reason = fullMessage(cause);
      }
    }
    modules.logger.error("the head's store does not open, repairing it", { path, reason });
    try {
      await LevelDb.repair(path);
      return { store: await openOnce(), loss: { kind: "repaired", reason } };
    } catch (cause) {
      if (isNotDamage(cause)) throw cause;
      modules.logger.error("the head's store could not be repaired", { path, reason: fullMessage(cause) });
    }
    const asidePath = await moveAside(dir, path);
    modules.logger.error("the head's store was moved aside; starting with an empty one", { path, asidePath });
    return { store: await openOnce(), loss: { kind: "replaced", reason: `${reason}; the old store lies in ${asidePath}` } };
  };

  return {
    async open({ isRepairing }) {
      let opened: OpenedStore;
      try {
        await makeFolders(path);
        opened = isRepairing ? await openRepairing() : { store: await openOnce(), loss: undefined };
      } catch (cause) {
        // LevelDB writes what its log holds into a table before it opens.
        throw isDiskFull(cause) ? diskFullError(dir, writeBufferBytes, cause) : cause;
      }
      await syncDirectory(dir);
      await syncDirectory(dirname(dir));
      const holder: Holder = { pid: process.pid, host: hostname(), startedAt: new Date(modules.clock.nowMs()).toISOString() };
      // The lock is LevelDB's; this file lets the error for the next process name the holder.
      await writeFile(holderPath, JSON.stringify(holder)).catch((error: unknown) => modules.logger.warn("could not write the holder file", { error }));
      return opened;
    },
    repair: () => LevelDb.repair(path),
    release: () => rm(holderPath, { force: true }),
  };
}

class LevelStore implements OrderedStore {
  readonly #db: ClassicLevel<Uint8Array, Uint8Array>;

  private constructor(db: ClassicLevel<Uint8Array, Uint8Array>) {
    this.#db = db;
  }

  static async open(path: string, writeBufferBytes: number): Promise<LevelStore> {
    const db = new LevelDb<Uint8Array, Uint8Array>(path, {
      keyEncoding: "view",
      valueEncoding: "view",
      compression: false, // records are compressed already where it pays
      writeBufferSize: writeBufferBytes,
      maxFileSize: writeBufferBytes,
    });
    await db.open();
    return new LevelStore(db);
  }

  async batch(ops: Iterable<StoreOp>, { isSynced, sizeBytes = 0 }: BatchOptions): Promise<void> {
    if (sizeBytes > CHAINED_BYTES_MAX) {
      await this.#db.batch(Array.from(ops, operationOf), { sync: isSynced });
      return;
    }
    // Takes each op's bytes at once, and copies no object for it. It closes itself, also where the write fails.
    const batch = this.#db.batch();
    for (const op of ops) {
      if (op.kind === "put") batch.put(op.key, op.value);
      else batch.del(op.key);
    }
    await batch.write({ sync: isSynced });
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#db.get(key, { fillCache: false });
  }

  getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#db.getMany([...keys], { fillCache: false });
  }

  async *pages(range: KeyRange, { pageBytes }: { readonly pageBytes: number }): AsyncGenerator<readonly StoreEntry[]> {
    const iterator = this.#db.iterator({ gte: range.from, lt: range.to, highWaterMarkBytes: pageBytes, fillCache: false });
    try {
      for (;;) {
        const page = await iterator.nextv(PAGE_COUNT);
        if (page.length === 0) return;
        yield page.map(([key, value]) => ({ key, value }));
      }
    } finally {
      await iterator.close();
    }
  }

  compact(range: KeyRange): Promise<void> {
    return this.#db.compactRange(range.from, range.to);
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}

/**
 * A chained batch takes half the time of an array of operations. But its native memory, which V8 does not count, is freed only by a
 * garbage collection (records of 1 MB took 1.6 GB); an array's is freed once it is written. So large batches go as arrays.
 */
const CHAINED_BYTES_MAX = 256 << 10;

type LevelOperation = { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array } | { readonly type: "del"; readonly key: Uint8Array };

/** Copies the bytes: the next op may be written into the same buffer. */
function operationOf(op: StoreOp): LevelOperation {
  const key = Uint8Array.from(op.key);
  return op.kind === "put" ? { type: "put", key, value: new Uint8Array(op.value) } : { type: "del", key };
}

/** The greatest number of entries in a page. A page of records ends earlier, by `pageBytes`. */
const PAGE_COUNT = 1000;

interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly startedAt: string;
}

async function lockedError(dir: string, holderPath: string, cause: unknown): Promise<CodedError> {
  let holder = "another process";
  try {
    const { pid, host, startedAt } = JSON.parse(await readFile(holderPath, "utf8")) as Holder; // only printed
    holder = `process ${pid} on ${host}, since ${startedAt}`;
  } catch {
    // The holder has not written it yet, or it cannot be read: the error then names nobody.
  }
  return new CodedError({
    code: "HEAD_LOCKED",
    kind: "failed_precondition",
    message: `the data directory ${dir} is held by ${holder}: stop it, or give this one another --data-dir`,
    details: { dir, holder },
    cause,
  });
}

function isDiskFull(thrown: unknown): boolean {
  return codesOf(thrown).some((code) => code === "ENOSPC" || code === "EDQUOT") || /no space left|disk quota exceeded/i.test(fullMessage(thrown));
}

function diskFullError(dir: string, writeBufferBytes: number, cause: unknown): CodedError {
  return new CodedError({
    code: "HEAD_DISK_FULL",
    kind: "unavailable",
    message: `the disk of ${dir} is full, and opening the head takes up to some ${Math.ceil((2 * writeBufferBytes) / (1 << 20))} MB of it: free some and start again; nothing is lost`,
    details: { dir },
    cause,
  });
}

/** A full or forbidden disk is not a broken store: repairing would not help, and moving it aside would lose it. */
function isNotDamage(thrown: unknown): boolean {
  if (thrown instanceof CodedError) return true;
  if (isDiskFull(thrown)) return true;
  return ["EACCES", "EPERM", "EROFS", "EMFILE", "ENFILE", "ENOMEM"].includes(systemErrorOf(thrown)?.code ?? "");
}

function codesOf(thrown: unknown): string[] {
  const codes: string[] = [];
  for (let error = thrown; error instanceof Error; error = error.cause) codes.push(String((error as NodeJS.ErrnoException).code ?? ""));
  return codes;
}

function fullMessage(thrown: unknown): string {
  const messages: string[] = [];
  for (let error = thrown; error !== undefined && messages.length < 5; error = error instanceof Error ? error.cause : undefined) messages.push(messageOf(error));
  return messages.join(": ");
}

/** Names of the tables that were damaged. Each is kept under `asidePath`, and a table with its sound entries takes its place. */
async function salvageTables(path: string, asidePath: string, { clock, logger, signal }: LevelStoreModules): Promise<readonly string[]> {
  const turns = new Turns({ clock });
  const damaged: string[] = [];
  let buffer = Buffer.alloc(0); // used for every table: fresh memory pages for each cost more than reading it
  for (const name of (await readdir(path)).filter((name) => /\.(ldb|sst)$/.test(name)).sort()) {
    signal?.throwIfAborted();
    const file = await open(join(path, name), "r");
    let table: Buffer;
    try {
      const { size } = await file.stat();
      if (buffer.length < size) buffer = Buffer.allocUnsafe(size);
      table = buffer.subarray(0, (await file.read(buffer, 0, size, 0)).bytesRead);
    } finally {
      await file.close();
    }
    if (await isTableSound(table, turns)) continue;
    damaged.push(name);
    const salvaged = await salvageTable(table, turns);
    logger.error("a table of the head's store is damaged; what is sound in it is kept", { table: join(path, name), asidePath, sizeBytes: table.length, keptBytes: salvaged?.length ?? 0 });
    // The damaged table is kept first, so that a crash in between loses nothing.
    await makeFolders(asidePath);
    await atomicFile(join(asidePath, name)).write(table);
    if (salvaged === undefined) await rm(join(path, name));
    else await atomicFile(join(path, name)).write(salvaged);
  }
  return damaged;
}

async function isHeadless(path: string): Promise<boolean> {
  const names = await readdir(path);
  return !names.includes("CURRENT") && names.some((name) => /\.(ldb|sst|log)$/.test(name));
}

async function moveAside(dir: string, path: string): Promise<string> {
  const names = new Set(await readdir(dir));
  let count = 1;
  while (names.has(`db.lost-${count}`)) count++;
  const asidePath = join(dir, `db.lost-${count}`);
  await rename(path, asidePath);
  await mkdir(path);
  return asidePath;
}
