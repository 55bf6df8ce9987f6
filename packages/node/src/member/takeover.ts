/**
 * The takeover: what another store should have flushed is flushed by this one. `takeover-plan.ts` (pure) has the rule; this file asks, looks and cuts.
 *
 *   due ──▶ ask the lower ranks ──▶ match the segments that they name ──▶ plan ──▶ LIST ──▶ match ──▶ ask again ──▶ cut what is left ──▶ sealed and uploaded as any cut
 *
 * What must stay true: nothing is taken over before a LIST that began after the decision, and a match with all that it shows: what is in the bucket is not put there
 * again. The second question is for what rank 0 did not know: where a flush was asked for, a push may be under way that reaches it a moment later. While the bucket
 * cannot be listed, records stay where they are: they are durable, and would not get into the bucket sooner.
 *
 * Bounds: a round takes `STATUS_COUNT_MAX` records at most, and cuts at most `cutBytesMax` of them; the rest waits until that cut is sealed. One round at a time.
 */
import { CorruptionError, messageOf, toHex, Turns } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics, TenantId } from "@pyromesh/base";
import { isBucketError } from "@pyromesh/block";
import type { Catalog, CatalogEntry, WindowRef } from "@pyromesh/block";
import type { Cut, Head, HeadEntry } from "@pyromesh/head";
import { WINDOW_MS } from "@pyromesh/profile";
import type { Member, StoreId } from "@pyromesh/ring";
import type { Cluster } from "../cluster/ports.ts";
import { openStatusAnswer, packStatusRequest, STATUS_COUNT_MAX } from "../cluster/status-message.ts";
import type { RecordStatus, StatusWindow } from "../cluster/status-message.ts";
import type { FlushDemand } from "./flush-demand.ts";
import type { Matcher } from "../release/matcher.ts";
import { planTakeover } from "./takeover-plan.ts";
import type { FlusherStatus, TakeoverReason, TakeoverView } from "./takeover-plan.ts";

export interface TakeoverOptions {
  /** As the head has it. */
  readonly dueAfterMs: number;
  /** Asked each time. */
  readonly cutBytesMax: () => number;
}

export interface TakeoverModules {
  readonly cluster: Pick<Cluster, "view" | "peers">;
  readonly head: Pick<Head, "entry" | "has" | "replicas">;
  readonly catalog: Pick<Catalog, "addByMeta" | "get" | "plan">;
  readonly matcher: Pick<Matcher, "match">;
  readonly demand: FlushDemand;
  /** See `Flusher.takeOver`. */
  readonly takeOver: (identities: readonly Uint8Array[]) => Promise<Cut | undefined>;
  /** Lists these windows of the bucket, by LISTs that begin after the call. */
  readonly list: (windows: readonly WindowRef[], signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The pause between two rounds is a quarter of the due time, within these; while someone waits for a flush it is `HURRIED_MS`. */
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 5_000;
const HURRIED_MS = 500;
const STATUS_TIMEOUT_MS = 5_000;

interface Overdue {
  readonly entry: HeadEntry;
  readonly stores: readonly StoreId[];
}

/** By seq of the record: what the stores of lower ranks say of it, by rank. */
type Statuses = Map<number, FlusherStatus[]>;

export class Takeover {
  readonly #options: TakeoverOptions;
  readonly #modules: TakeoverModules;
  readonly #stopped = new AbortController();
  readonly #taken: Counter;
  #takenCount = 0;
  #running: Promise<void> = Promise.resolve();
  /** Ends the pause. */
  #wake: () => void = () => {};
  #isAsked = false;
  /** Where the next round begins: those before it were looked at in this one. */
  #fromSeq = 0;

  constructor(options: TakeoverOptions, modules: TakeoverModules) {
    this.#options = options;
    this.#modules = modules;
    this.#taken = modules.metrics.counter("pyromesh_takeover_records_total", "Records that this store flushes in the place of another, by why: gone (it is dead, left or lost), unknown (it does not have them to flush), late (three due times are over).", ["reason"]);
    for (const reason of ["gone", "unknown", "late"] satisfies readonly TakeoverReason[]) this.#taken.add({ reason }, 0);
  }

  /** Records that were taken over since the start. */
  get takenCount(): number {
    return this.#takenCount;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wake();
    await this.#running;
  }

  /** More is due now than was before. */
  hurry(): void {
    this.#isAsked = true;
    this.#wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    const { clock, demand, logger } = this.#modules;
    const pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, this.#options.dueAfterMs / 4));
    while (!signal.aborted) {
      this.#isAsked = false;
      try {
        await this.round(signal);
      } catch (error) {
        if (!signal.aborted) logger.warn("records that other stores should have flushed could not be taken over now; it is tried again", { reason: messageOf(error) });
      }
      if (this.#isAsked || signal.aborted) continue;
      await new Promise<void>((resolve) => {
        const timer = clock.after(demand.isEmpty ? pauseMs : Math.min(HURRIED_MS, pauseMs), resolve);
        this.#wake = () => {
          timer.cancel();
          resolve();
        };
      });
      this.#wake = () => {};
    }
  }

  /** One round, for tests. */
  async round(signal: AbortSignal): Promise<void> {
    const overdue = await this.#overdue();
    if (overdue.length === 0) return;
    const before = await this.#planned(overdue, signal);
    if (before.size === 0) return;
    const windows = windowsOf(before.keys());
    await this.#modules.list(windows, signal);
    await this.#matchWindows(windows, signal);
    const again = overdue.filter(({ entry }) => before.get(entry) === "unknown" && this.#modules.head.has(entry.identity));
    const still = again.length === 0 ? before : await this.#planned(again, signal);
    await this.#cut(new Map([...before].filter(([entry, reason]) => reason !== "unknown" || still.has(entry))), signal);
  }

  /** Those of the records that are to be taken over, by what the lower ranks say now. */
  async #planned(overdue: readonly Overdue[], signal: AbortSignal): Promise<ReadonlyMap<HeadEntry, TakeoverReason>> {
    const statuses = await this.#ask(overdue, signal);
    await this.#matchNamed(statuses, signal);
    return this.#plan(overdue, statuses);
  }

  /** Records past their due time, and those that are asked for. */
  async #overdue(): Promise<Overdue[]> {
    const { clock, demand, head } = this.#modules;
    const nowMs = clock.monotonicMs();
    const turns = new Turns({ clock });
    const found: Overdue[] = [];
    let fromSeq: number | undefined = this.#fromSeq;
    while (fromSeq !== undefined && found.length < STATUS_COUNT_MAX) {
      const { entries, nextSeq } = head.replicas({ fromSeq, countMax: Math.min(1000, STATUS_COUNT_MAX - found.length) });
      for (const entry of entries) {
        const stores = entry.stores.map(toHex);
        if (entry.dueAtMs <= nowMs || demand.includes(entry.seq, stores)) found.push({ entry, stores });
      }
      // They come in the order in which they become due.
      const last = entries.at(-1);
      fromSeq = last !== undefined && last.dueAtMs > nowMs && demand.isEmpty ? undefined : nextSeq;
      if (turns.areDue) await turns.give();
    }
    this.#fromSeq = fromSeq ?? 0;
    return found;
  }

  // --- asking ------------------------------------------------------------------------------------------------------

  /** What the stores of lower ranks say of each, by seq. What they name is in the catalog then. */
  async #ask(overdue: readonly Overdue[], signal: AbortSignal): Promise<Statuses> {
    const statuses: Statuses = new Map();
    const asked = new Map<StoreId, { readonly member: Member; readonly records: Overdue[] }>();
    const members = this.#liveMembers();
    for (const record of overdue) {
      const { rank, seq } = record.entry;
      const said: FlusherStatus[] = record.stores.slice(0, rank).map((storeId) => ({ kind: members.has(storeId) ? "silent" : "gone" }));
      statuses.set(seq, said);
      for (const storeId of record.stores.slice(0, rank)) {
        const member = members.get(storeId);
        if (member === undefined) continue;
        const group = asked.get(storeId);
        if (group === undefined) asked.set(storeId, { member, records: [record] });
        else group.records.push(record);
      }
    }
    await Promise.all(Array.from(asked.values(), ({ member, records }) => this.#askOne(member, records, statuses, signal)));
    return statuses;
  }

  async #askOne(member: Member, records: readonly Overdue[], statuses: Statuses, signal: AbortSignal): Promise<void> {
    const { cluster, logger } = this.#modules;
    const { windows, inOrder } = byWindow(records);
    try {
      const answer = await cluster.peers.request(member.name, "status", packStatusRequest({ windows }), { timeoutMs: STATUS_TIMEOUT_MS, signal });
      const { storeId, statuses: told } = openStatusAnswer(answer, inOrder.length);
      // Another store has its name by now: this view is behind, and a later one says so.
      if (storeId !== member.storeId) return;
      for (const [at, { entry, stores }] of inOrder.entries()) statuses.get(entry.seq)![stores.indexOf(storeId)] = told[at]!;
      this.#catalogue(told, storeId);
    } catch (error) {
      signal.throwIfAborted();
      logger.debug("a store did not say what it has flushed", { member: member.name, reason: messageOf(error) });
    }
  }

  #liveMembers(): ReadonlyMap<StoreId, Member> {
    const live = new Map<StoreId, Member>();
    for (const member of this.#modules.cluster.view.members) if (member.state === "active" || member.state === "leaving") live.set(member.storeId, member);
    return live;
  }

  // --- looking -----------------------------------------------------------------------------------------------------

  #catalogue(statuses: readonly RecordStatus[], storeId: StoreId): void {
    const { catalog, logger } = this.#modules;
    const keys = new Set<string>();
    for (const status of statuses) {
      if (status.kind !== "segment" || keys.has(status.segment.key)) continue;
      keys.add(status.segment.key);
      const outcome = catalog.addByMeta(status.segment, { storeId });
      if (outcome.kind === "refused") logger.debug("a segment that a store named was not taken into the catalog", { key: status.segment.key, code: outcome.code, reason: outcome.because });
    }
  }

  async #matchNamed(statuses: Statuses, signal: AbortSignal): Promise<void> {
    const { catalog, logger } = this.#modules;
    const keys = new Set<string>();
    for (const said of statuses.values()) for (const status of said) if (status.kind === "segment") keys.add(status.segment.key);
    await this.#match([...keys].flatMap((key) => catalog.get(key) ?? []), signal).catch((error: unknown) => {
      signal.throwIfAborted();
      logger.debug("a segment that a store named could not be read; its records stay in the head until it can", { reason: messageOf(error) });
    });
  }

  async #matchWindows(windows: readonly WindowRef[], signal: AbortSignal): Promise<void> {
    const { catalog } = this.#modules;
    for (const { tenant, windowStartMs } of windows) await this.#match(catalog.plan([tenant], windowStartMs, windowStartMs + WINDOW_MS - 1), signal);
  }

  /** Those in the bucket. One that is gone or corrupt holds nothing that could be released, and holds up no other; rejects where one cannot be read now. */
  async #match(objects: readonly CatalogEntry[], signal: AbortSignal): Promise<void> {
    const { logger, matcher } = this.#modules;
    for (const object of objects) {
      if (object.place !== "bucket") continue;
      try {
        await matcher.match([object], signal);
      } catch (error) {
        if (!(error instanceof CorruptionError) && !isBucketError(error, "BUCKET_NOT_FOUND")) throw error;
        logger.debug("an object of the bucket cannot be used, and records are taken over without it", { key: object.key, reason: messageOf(error) });
      }
    }
  }

  // --- taking over -------------------------------------------------------------------------------------------------

  #plan(overdue: readonly Overdue[], statuses: Statuses): Map<HeadEntry, TakeoverReason> {
    const { clock, head } = this.#modules;
    const view: TakeoverView = { nowMs: clock.monotonicMs(), dueAfterMs: this.#options.dueAfterMs };
    const reasons = new Map<HeadEntry, TakeoverReason>();
    for (const { entry } of overdue) {
      if (!head.has(entry.identity)) continue;
      const step = planTakeover(entry, statuses.get(entry.seq) ?? [], view);
      if (step.kind === "take") reasons.set(entry, step.reason);
    }
    return reasons;
  }

  async #cut(reasons: ReadonlyMap<HeadEntry, TakeoverReason>, signal: AbortSignal): Promise<void> {
    const { head, logger, takeOver } = this.#modules;
    const left = [...reasons].filter(([{ identity }]) => head.has(identity));
    while (left.length > 0) {
      signal.throwIfAborted();
      const cutBytesMax = this.#options.cutBytesMax();
      const chunk: typeof left = [];
      for (let bytes = 0; left.length > 0 && (chunk.length === 0 || bytes + left[0]![0].sizeBytes <= cutBytesMax); ) {
        bytes += left[0]![0].sizeBytes;
        chunk.push(left.shift()!);
      }
      const cut = await takeOver(chunk.map(([{ identity }]) => identity));
      if (cut === undefined) return;
      for (const [{ identity }, reason] of chunk) {
        if (head.entry(identity)?.cutId !== cut.cutId) continue;
        this.#takenCount++;
        this.#taken.add({ reason });
      }
      logger.info("records that other stores should have flushed are taken over", { cut: cut.cutId, records: cut.groups.reduce((sum, { recordCount }) => sum + recordCount, 0) });
    }
  }
}

function windowsOf(entries: Iterable<HeadEntry>): WindowRef[] {
  const windows = new Map<string, WindowRef>();
  for (const { tenant, windowStartMs } of entries) windows.set(`${windowStartMs}/${tenant}`, { tenant: tenant as TenantId, windowStartMs }); // the API parsed the tenant before the head took the record
  return [...windows.values()];
}

/** The windows to ask for, and the records in the order in which that asks for them. */
function byWindow(records: readonly Overdue[]): { readonly windows: readonly StatusWindow[]; readonly inOrder: readonly Overdue[] } {
  const groups = new Map<string, Overdue[]>();
  for (const record of records) {
    const id = `${record.entry.windowStartMs}/${record.entry.tenant}`;
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [record]);
    else group.push(record);
  }
  const inOrder = [...groups.values()].flat();
  const windows = Array.from(groups.values(), (group) => {
    const { tenant, windowStartMs } = group[0]!.entry; // a group has a record
    return { tenant: tenant as TenantId, windowStartMs, identities: Buffer.concat(group.map(({ entry }) => entry.identity)) }; // the API parsed the tenant before the head took the record
  });
  return { windows, inOrder };
}
