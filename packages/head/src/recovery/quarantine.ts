/**
 * The quarantine: what this store lost or may have lost, kept until an operator acknowledges it, and remembered after.
 *
 * It lives in a file of its own, not in LevelDB: it speaks of LevelDB's failures, and must outlive a store that is moved
 * aside. An entry is written before the store is repaired, so a crash between the two raises it again rather than never.
 *
 *   quarantine.json   {"version":1,"crc":<crc32 of the entries' JSON>,"entries":[...]}
 */
import type { Clock, Logger } from "@pyromesh/base";
import { crc32, encodeUtf8, messageOf } from "@pyromesh/base";
import type { AtomicFile } from "@pyromesh/base";

export interface QuarantineEntry {
  readonly id: string;
  readonly reason: string;
  /** Times of profiles that may be missing; undefined: any time. */
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
  readonly foundAtMs: number;
}

export interface NewQuarantine {
  readonly reason: string;
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
}

interface KeptEntry extends QuarantineEntry {
  readonly acknowledgedAtMs: number | undefined;
}

export class Quarantine {
  #entries: readonly KeptEntry[];
  readonly #file: AtomicFile;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #idCount: number;
  #writing: Promise<void> = Promise.resolve();

  private constructor(entries: readonly KeptEntry[], modules: { file: AtomicFile; clock: Clock; logger: Logger }) {
    this.#entries = entries;
    this.#file = modules.file;
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#idCount = entries.reduce((last, entry) => Math.max(last, Number(entry.id)), 0);
  }

  /** A file that cannot be read means that an earlier loss may be forgotten: that itself is quarantined, over all time. */
  static async open(modules: { readonly file: AtomicFile; readonly clock: Clock; readonly logger: Logger }): Promise<Quarantine> {
    try {
      return new Quarantine(decodeEntries(await modules.file.read()), modules);
    } catch (cause) {
      const quarantine = new Quarantine([], modules);
      await quarantine.add([{ reason: `the list of quarantines could not be read (${messageOf(cause)})`, startMs: undefined, endMs: undefined }]);
      return quarantine;
    }
  }

  /** Not acknowledged yet. */
  list(): readonly QuarantineEntry[] {
    return this.#entries
      .filter((entry) => entry.acknowledgedAtMs === undefined)
      .map(({ id, reason, startMs, endMs, foundAtMs }) => ({ id, reason, startMs, endMs, foundAtMs }));
  }

  /** The losses count at once. False where they could not be written: then the caller must not repair what they speak of, so that the next start finds it again. */
  async add(added: readonly NewQuarantine[]): Promise<boolean> {
    if (added.length === 0) return true;
    const foundAtMs = this.#clock.nowMs();
    const entries = added.map((entry): KeptEntry => {
      const kept: KeptEntry = { id: String(++this.#idCount), ...entry, foundAtMs, acknowledgedAtMs: undefined };
      this.#logger.error("quarantined", { id: kept.id, reason: kept.reason, startMs: kept.startMs, endMs: kept.endMs });
      return kept;
    });
    this.#entries = bounded([...this.#entries, ...entries]);
    try {
      await this.#write();
      return true;
    } catch (error) {
      this.#logger.error("the quarantine could not be written; it will be raised again at the next start", { error });
      return false;
    }
  }

  /** Resolves with how many there were, after the answer is on disk. Rejects, and changes nothing, if it cannot be written. */
  async acknowledge(): Promise<number> {
    const acknowledgedAtMs = this.#clock.nowMs();
    const before = this.#entries;
    const count = this.list().length;
    this.#entries = before.map((entry) => (entry.acknowledgedAtMs === undefined ? { ...entry, acknowledgedAtMs } : entry));
    try {
      await this.#write();
    } catch (cause) {
      this.#entries = before;
      throw cause;
    }
    return count;
  }

  /** One write at a time. Each writes what is known when its turn comes. */
  #write(): Promise<void> {
    const write = this.#writing.then(() => this.#file.write(encodeEntries(this.#entries)));
    this.#writing = write.catch(() => undefined);
    return write;
  }
}

/** At the bound: acknowledged entries leave, oldest first; open ones are merged into one that covers them all. */
const OPEN_COUNT_MAX = 1000;
const ACKNOWLEDGED_COUNT_MAX = 200;

function bounded(entries: readonly KeptEntry[]): readonly KeptEntry[] {
  const acknowledged = entries.filter((entry) => entry.acknowledgedAtMs !== undefined).slice(-ACKNOWLEDGED_COUNT_MAX);
  const open = entries.filter((entry) => entry.acknowledgedAtMs === undefined);
  if (open.length <= OPEN_COUNT_MAX) return [...acknowledged, ...open];
  const merged = open.slice(0, open.length - OPEN_COUNT_MAX + 1);
  const isBounded = merged.every((entry) => entry.startMs !== undefined && entry.endMs !== undefined);
  const one: KeptEntry = {
    ...merged[0]!,
    reason: `${merged.length} quarantines merged, the first: ${merged[0]!.reason}`.slice(0, 500),
    startMs: isBounded ? merged.reduce((least, entry) => Math.min(least, entry.startMs!), Infinity) : undefined,
    endMs: isBounded ? merged.reduce((most, entry) => Math.max(most, entry.endMs!), -Infinity) : undefined,
  };
  return [...acknowledged, one, ...open.slice(merged.length)];
}

function encodeEntries(entries: readonly KeptEntry[]): Uint8Array {
  const json = JSON.stringify(entries);
  return encodeUtf8(`{"version":1,"crc":${crc32(encodeUtf8(json))},"entries":${json}}\n`);
}

function decodeEntries(bytes: Uint8Array | undefined): readonly KeptEntry[] {
  if (bytes === undefined) return [];
  const file = JSON.parse(Buffer.from(bytes).toString("utf8")) as { version?: unknown; crc?: unknown; entries?: unknown }; // checked below
  if (file.version !== 1) throw new Error(`version ${String(file.version)}, expected 1`);
  if (!Array.isArray(file.entries) || crc32(encodeUtf8(JSON.stringify(file.entries))) !== file.crc) throw new Error("its checksum does not match");
  return (file.entries as KeptEntry[]).map((entry) => ({
    // the checksum says that we wrote them; JSON leaves out what is undefined
    id: entry.id,
    reason: entry.reason,
    startMs: entry.startMs,
    endMs: entry.endMs,
    foundAtMs: entry.foundAtMs,
    acknowledgedAtMs: entry.acknowledgedAtMs,
  }));
}
