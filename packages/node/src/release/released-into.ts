/**
 * The objects into which this store released or sealed records: a query whose plan lacks one of them would find the records neither there nor here, so the
 * digest round names them (design 10.2).
 *
 * What must stay true: an object is noted in the turn in which the head forgets its records, and on disk in the batch in which it does (`noteOf`). So after a restart the
 * store names it again, and the answer does not depend on whether a LIST shows it already. Where the notes of the disk may lack one, the memory begins anew: `sinceMs`
 * says so, and a reader that has not listed the bucket since then lists first. Nothing is noted on disk before `beginNoting`: an earlier build would not keep the notes.
 *
 * Bound: 24 h and `countMax` objects, some 700 bytes each in memory and 500 on disk. At the bound those noted longest ago are forgotten, and `sinceMs` moves on: after 24 h to a
 * time after which a LIST shows them for sure, at `countMax` to their own time, so that there a LIST must not be late. A segment that waits for its upload is not forgotten: no
 * LIST shows it. The disk budget bounds how many there are.
 */
import type { Clock } from "@pyromesh/base";
import type { HeardObject } from "@pyromesh/block";
import type { BegunNotes, FoundNotes, LeavingNote } from "@pyromesh/head";
import { decodeObjectNote, encodeObjectNote } from "./object-note.ts";

export interface ReleasedIntoOptions {
  readonly countMax?: number;
  /** What the disk has, of an earlier process. Absent: nothing is known of what left before. */
  readonly found?: FoundNotes;
}

const COUNT_MAX = 50_000;
const KEPT_MS = 24 * 3_600_000;
/** How long after its put a LIST may not show an object yet: S3 shows it at once, and what copies a bucket or stands before it may be late. */
const LIST_LATE_MS_MAX = 600_000;
/** Notes that one write takes from the disk. What is left goes with the next. */
const ERASED_COUNT_MAX = 256;

interface Noted {
  readonly object: HeardObject;
  readonly atMs: number;
}

export class ReleasedInto {
  readonly #clock: Clock;
  readonly #countMax: number;
  /** By key, the one noted longest ago first. */
  readonly #noted = new Map<string, Noted>();
  /** Keys by tenant and window. */
  readonly #windows = new Map<string, Map<number, Set<string>>>();
  /** Keys of which the disk may have a note that is needed no more. */
  readonly #erasable = new Set<string>();
  #sinceMs = -Infinity;
  #isNoting = false;

  constructor({ countMax = COUNT_MAX, found }: ReleasedIntoOptions, { clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.#countMax = countMax;
    this.#sinceMs = found === undefined ? clock.monotonicMs() : this.#restore(found);
  }

  /** By this node's monotonic clock: every object into which records went since then is remembered. */
  get sinceMs(): number {
    this.#expire();
    return Math.max(this.#sinceMs, this.#clock.monotonicMs() - KEPT_MS + LIST_LATE_MS_MAX);
  }

  get count(): number {
    return this.#noted.size;
  }

  /** Again for an object that takes more records, or that was uploaded meanwhile. */
  note(object: HeardObject): void {
    this.#remove(object.key);
    this.#erasable.delete(object.key);
    this.#add(object, this.#clock.monotonicMs());
    this.#expire();
  }

  /** From now on `noteOf` has notes. What is remembered already goes to `Head.beginNotes`, before any of these; what waits for its upload will be noted then. */
  beginNoting(): BegunNotes {
    this.#isNoting = true;
    const [nowMs, wallMs] = [this.#clock.monotonicMs(), Math.floor(this.#clock.nowMs())];
    const notes: LeavingNote[] = [];
    for (const { atMs, object } of this.#noted.values()) if (object.isUploaded) notes.push({ key: object.key, bytes: encodeObjectNote({ object, atMs: Math.max(0, Math.floor(wallMs - (nowMs - atMs))) }), forgotten: [] });
    return { sinceMs: this.#sinceMs === -Infinity ? 0 : Math.max(1, Math.ceil(wallMs - (nowMs - this.#sinceMs))), notes };
  }

  /** What the disk keeps of an object of the bucket. It goes into the batch in which records leave for the object: `Head.release`, `Head.unseal`. */
  noteOf(object: HeardObject): LeavingNote | undefined {
    if (!this.#isNoting) return undefined;
    const forgotten: string[] = [];
    for (const key of this.#erasable) {
      if (forgotten.length >= ERASED_COUNT_MAX) break;
      if (key !== object.key) forgotten.push(key);
    }
    // Where the batch is refused they stay on disk, and the next start finds them again.
    for (const key of forgotten) this.#erasable.delete(key);
    return { key: object.key, bytes: encodeObjectNote({ object, atMs: Math.floor(this.#clock.nowMs()) }), forgotten };
  }

  /** It can be planned no more: the segment was lost, and the bucket says so by a mark. */
  forget(key: string): void {
    if (this.#remove(key)) this.#erasable.add(key);
  }

  /** All that are remembered, the one noted longest ago first. */
  *objects(): Generator<HeardObject, void> {
    for (const { object } of this.#noted.values()) yield object;
  }

  /** Of these tenants, in windows that begin in [firstWindowMs, lastWindowMs]. */
  within(tenants: readonly string[], firstWindowMs: number, lastWindowMs: number): HeardObject[] {
    this.#expire();
    const found: HeardObject[] = [];
    for (const tenant of tenants) {
      for (const [windowStartMs, keys] of this.#windows.get(tenant) ?? []) {
        if (windowStartMs < firstWindowMs || windowStartMs > lastWindowMs) continue;
        for (const key of keys) found.push(this.#noted.get(key)!.object); // both change together
      }
    }
    return found;
  }

  /**
   * Takes in what the disk has. Since when it lacks no object, by the monotonic clock. That clock begins anew with a process or a machine, so ages are by the wall clock: one
   * that seems older than 24 h may be due to a wrong clock.
   */
  #restore({ entries, sinceMs }: FoundNotes): number {
    const [nowMs, wallMs] = [this.#clock.monotonicMs(), this.#clock.nowMs()];
    const found: Noted[] = [];
    let isSound = entries.size < this.#countMax;
    for (const [key, bytes] of entries) {
      try {
        const { object, atMs } = decodeObjectNote(bytes);
        found.push({ object, atMs: nowMs - Math.max(0, wallMs - atMs) });
      } catch {
        isSound = false; // of a later version, or not what was written
        this.#erasable.add(key);
      }
    }
    found.sort((a, b) => a.atMs - b.atMs);
    for (const { object, atMs } of found) this.#add(object, atMs);
    const count = this.#noted.size;
    this.#expire();
    if (sinceMs === undefined || !isSound || this.#noted.size !== count) return nowMs;
    return sinceMs === 0 ? -Infinity : nowMs - Math.max(0, wallMs - sinceMs);
  }

  #add(object: HeardObject, atMs: number): void {
    this.#noted.set(object.key, { object, atMs });
    const { tenant, windowStartMs } = object.meta;
    let windows = this.#windows.get(tenant);
    if (windows === undefined) this.#windows.set(tenant, (windows = new Map()));
    const keys = windows.get(windowStartMs);
    if (keys === undefined) windows.set(windowStartMs, new Set([object.key]));
    else keys.add(object.key);
  }

  #remove(key: string): boolean {
    const noted = this.#noted.get(key);
    if (noted === undefined) return false;
    this.#noted.delete(key);
    const { tenant, windowStartMs } = noted.object.meta;
    const windows = this.#windows.get(tenant);
    const keys = windows?.get(windowStartMs);
    keys?.delete(key);
    if (keys?.size === 0) windows?.delete(windowStartMs);
    if (windows?.size === 0) this.#windows.delete(tenant);
    return true;
  }

  #expire(): void {
    const oldestMs = this.#clock.monotonicMs() - KEPT_MS;
    for (const [key, { object, atMs }] of this.#noted) {
      if (this.#noted.size <= this.#countMax && atMs >= oldestMs) return;
      if (!object.isUploaded) continue;
      this.#sinceMs = Math.max(this.#sinceMs, atMs + 1);
      this.forget(key);
    }
  }
}
