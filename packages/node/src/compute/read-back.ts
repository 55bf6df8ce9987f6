/**
 * Gives a worker that was started again the rows that the one before it held: every record of the head that is this worker's and was
 * committed before that one died. What is committed later comes by the usual way, so each record comes once.
 *
 *   committed before the death          │ committed after it
 *   read from the head, a page a time   │ `onCommitted` -> insert
 *                             `untilSeq` ┘ the head's next seq in the turn in which the death was noticed
 *
 * A page is read and handed over between two writes of the head. Its records go into the generation of the cut that they belong to at
 * that moment; records of a sealed cut are left out.
 *
 * A record that no worker can intern would end one worker after the other. So one page is at work at a time, and what was at work when
 * a worker died or refused is a suspect:
 *
 *   a page          its records are suspects: the next worker gets them first, one by one
 *   one record      the next worker gets it before any other, while it holds nothing
 *   that one again  nothing else can have been the cause: it is set aside, its time is quarantined, and the others go on without it
 */
import { assert, CodedError, messageOf, retryDelayMs } from "@pyromesh/base";
import type { Clock, Logger } from "@pyromesh/base";
import type { LivePage, SeqRange } from "@pyromesh/head";
import type { Generation, InsertedRecord, RowSource } from "./compute.ts";
import { workerOf } from "./worker-of.ts";
import type { WorkerCall } from "./worker-protocol.ts";
import { sharedCopy } from "./shared-copy.ts";

/** What the read-back needs of the worker. */
export interface RefilledWorker {
  /** Rises by one when a worker dies. */
  readonly epoch: number;
  insertBack(generation: Generation, records: readonly InsertedRecord[]): { readonly call: WorkerCall; readonly done: Promise<void> };
  /** Ends the worker's thread, whose rows may be incomplete. */
  restart(message: string): void;
}

/** Some 25 records of 10 KiB: some 10 ms of a worker and 1 ms of the main thread. */
const PAGE_BYTES = 256 << 10;
/** A record is set aside after this many threads died while they worked on it alone. The last of them held no other rows. */
const TRIES_MAX = 2;
/** Waits between tries to read where the disk fails; there is no last try. Queries wait for the rows meanwhile, 10 s at most, and are then refused. */
const RETRY = { firstMs: 500, maxMs: 15_000 };

interface Handed {
  readonly call: WorkerCall;
  readonly done: Promise<void>;
  readonly seqs: readonly number[];
}

export interface ReadBackModules {
  readonly worker: RefilledWorker;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ReadBack {
  readonly #worker: number;
  readonly #workerCount: number;
  readonly #modules: ReadBackModules;
  /** By seq: how many threads died while they worked on this record alone. Bound: the records of one page. */
  readonly #suspects = new Map<number, number>();
  #atWork: readonly Handed[] = [];
  #progress: { readonly startedMs: number; firstSeq: number; nextSeq: number; readonly untilSeq: number } | undefined;

  constructor(options: { readonly worker: number; readonly workerCount: number }, modules: ReadBackModules) {
    this.#worker = options.worker;
    this.#workerCount = options.workerCount;
    this.#modules = modules;
  }

  /** The thread died. `atWork`: the calls that it had begun. */
  onGone(atWork: readonly WorkerCall[]): void {
    for (const { call, seqs } of this.#atWork) if (atWork.includes(call)) this.#suspect(seqs);
    this.#atWork = [];
    this.#progress = undefined;
  }

  /** How long the rest will take at the pace so far; undefined before the first page. */
  get remainingMs(): number | undefined {
    if (this.#progress === undefined) return undefined;
    const { startedMs, firstSeq, nextSeq, untilSeq } = this.#progress;
    if (nextSeq <= firstSeq) return undefined;
    return ((this.#modules.clock.monotonicMs() - startedMs) / (nextSeq - firstSeq)) * (untilSeq - nextSeq);
  }

  /**
   * Resolves with the count of records when the worker holds all of them; with undefined when it died before (`onGone` was called then) or
   * `signal` aborted. Calls `onSetAside` when a record is out of the way.
   */
  async run(source: RowSource, untilSeq: number, signal: AbortSignal, onSetAside: () => void): Promise<number | undefined> {
    const { clock, worker } = this.#modules;
    const { epoch } = worker;
    const isOver = (): boolean => signal.aborted || worker.epoch !== epoch || round.isBroken;
    const round: Round = { source, isOver, signal, done: new Set<number>(), recordCount: 0, isBroken: false, onSetAside };
    for (const [seq, deaths] of this.#worstFirst()) {
      if (isOver()) return undefined;
      if (deaths >= TRIES_MAX) {
        await this.#setAside(round, seq, `record ${seq} ended ${deaths} worker threads that held nothing else`);
      } else {
        await this.#page(round, { fromSeq: seq, untilSeq: seq + 1 });
        round.done.add(seq);
      }
      if (isOver()) return undefined;
      this.#suspects.delete(seq);
    }
    this.#progress = { startedMs: clock.monotonicMs(), firstSeq: untilSeq, nextSeq: 0, untilSeq };
    for (let fromSeq: number | undefined = 0; fromSeq !== undefined && fromSeq < untilSeq; ) {
      if (isOver()) return undefined;
      fromSeq = await this.#page(round, { fromSeq, untilSeq });
      if (!isOver() && fromSeq !== undefined) this.#progress.nextSeq = fromSeq;
    }
    if (isOver()) return undefined;
    this.#progress = undefined;
    return round.recordCount;
  }

  /** Hands over one page and waits until it is interned. Returns where the next page begins. */
  async #page(round: Round, range: SeqRange): Promise<number | undefined> {
    let unreadable: LivePage["unreadable"] = [];
    let handed: readonly Handed[] = [];
    const next = await this.#patiently(round, () =>
      round.source.readLive(range, PAGE_BYTES, (page) => {
        if (round.isOver()) return;
        unreadable = page.unreadable;
        handed = this.#handOver(round, page);
        // They are awaited in turn below. A death refuses all of them at once, and the first refusal ends the round.
        for (const { done } of handed) done.catch(() => undefined);
        this.#atWork = handed;
        const [first] = page.records;
        if (this.#progress !== undefined && first !== undefined) this.#progress.firstSeq = Math.min(this.#progress.firstSeq, first.seq);
      }),
    );
    for (const { done, seqs } of handed) {
      try {
        await done;
        round.recordCount += seqs.length;
      } catch (error) {
        if (round.isOver()) return undefined;
        // The worker may have interned some of the page and not the rest, so its thread is ended.
        this.#suspect(seqs);
        this.#atWork = [];
        round.isBroken = true;
        this.#modules.worker.restart(`an accepted record could not be interned: ${messageOf(error)}`);
        return undefined;
      }
    }
    if (round.isOver()) return undefined;
    this.#atWork = [];
    // A corrupt record does not tell its worker. If it is another's, that one still has the row, and the quarantine covers more than it must.
    for (const { seq, reason } of unreadable) await this.#setAside(round, seq, `record ${seq}, read again after a worker died, is corrupt: ${reason}`);
    return next;
  }

  /** Hands over all records of the page, or none where it throws. */
  #handOver({ source, done }: Round, page: LivePage): Handed[] {
    const byGeneration = new Map<Generation, { seqs: number[]; records: InsertedRecord[] }>();
    for (const { seq, cutId, record } of page.records) {
      if (workerOf(record, this.#workerCount) !== this.#worker || done.has(seq)) continue;
      const generation = source.generationOf(cutId);
      if (generation === undefined) continue;
      const { tenant, service, timeMs, bytes } = record;
      let group = byGeneration.get(generation);
      if (group === undefined) byGeneration.set(generation, (group = { seqs: [], records: [] }));
      group.seqs.push(seq);
      group.records.push({ tenant, service, timeMs, bytes: sharedCopy(bytes) });
    }
    return Array.from(byGeneration, ([generation, { seqs, records }]) => ({ ...this.#modules.worker.insertBack(generation, records), seqs }));
  }

  async #setAside(round: Round, seq: number, reason: string): Promise<void> {
    await this.#patiently(round, () => round.source.setAside(seq, reason));
    if (!round.isOver()) round.onSetAside();
  }

  /** Tries again until it works, or the round is over. */
  async #patiently<T>(round: Round, work: () => Promise<T>): Promise<T | undefined> {
    const { clock, logger } = this.#modules;
    for (let failureCount = 1; !round.isOver(); failureCount++) {
      try {
        return await work();
      } catch (error) {
        if (round.isOver()) break;
        // The node is stopping: nobody waits for the rows any more.
        if (error instanceof CodedError && error.code === "HEAD_CLOSED") {
          round.isBroken = true;
          break;
        }
        const waitMs = retryDelayMs(failureCount, RETRY);
        logger.error("the rows of a worker could not be read back, and are tried again; its queries wait", { worker: this.#worker, retryMs: waitMs, error });
        await clock.sleep(waitMs, round.signal).catch(() => undefined);
      }
    }
    return undefined;
  }

  #suspect(seqs: readonly number[]): void {
    const [seq] = seqs;
    assert(seq !== undefined, "what is handed over holds a record");
    if (seqs.length === 1) this.#suspects.set(seq, (this.#suspects.get(seq) ?? 0) + 1);
    else for (const one of seqs) if (!this.#suspects.has(one)) this.#suspects.set(one, 0);
  }

  #worstFirst(): [seq: number, deaths: number][] {
    return [...this.#suspects].sort(([, a], [, b]) => b - a);
  }
}

interface Round {
  readonly source: RowSource;
  readonly isOver: () => boolean;
  readonly signal: AbortSignal;
  /** Suspects that are interned already, each by itself. */
  readonly done: Set<number>;
  readonly onSetAside: () => void;
  recordCount: number;
  /** A record was refused and the worker is being ended, or the head is closed. */
  isBroken: boolean;
}
