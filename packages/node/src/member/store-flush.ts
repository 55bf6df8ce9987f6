/**
 * Brings to the bucket all that this store holds when it is asked: its own records by a cut, and those that it keeps for others by their flush, or by a takeover. `POST /flush`, a node
 * that leaves, and a replication that rises wait for it.
 */
import { CodedError, within } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { Head } from "@pyromesh/head";
import type { FlushAnswer } from "../cluster/flush-message.ts";
import type { FlushDemand } from "./flush-demand.ts";
import type { Flusher } from "../background/flusher.ts";

export interface StoreFlushModules {
  readonly head: Pick<Head, "nextSeq" | "oldestSeq" | "stats">;
  readonly flusher: Pick<Flusher, "flush" | "isFlushedBefore">;
  readonly demand: FlushDemand;
  /** What others are to flush, or have flushed, is looked at now: see `Takeover.hurry` and `Matcher.retryNow`. */
  readonly hurry: () => void;
  readonly clock: Clock;
}

interface Wait {
  readonly seq: number;
  readonly resolve: () => void;
}

export class StoreFlush {
  readonly #modules: StoreFlushModules;
  readonly #waits = new Set<Wait>();

  constructor(modules: StoreFlushModules) {
    this.#modules = modules;
  }

  /**
   * Resolves when all that was accepted here before is in the bucket, whoever put it there. Rejects FLUSH_TIMEOUT (503) after `timeoutMs`, naming what is not there
   * yet; it goes on in the background.
   */
  async flush(timeoutMs: number, signal: AbortSignal): Promise<FlushAnswer> {
    const { clock, demand, flusher, head, hurry } = this.#modules;
    const seq = head.nextSeq;
    const endDemand = demand.add(seq);
    let wait: Wait | undefined;
    try {
      // What is not sealed or uploaded in time is named by the flusher.
      const own = flusher.flush(timeoutMs, signal);
      hurry();
      const done = new Promise<void>((resolve) => this.#waits.add((wait = { seq, resolve })));
      this.look();
      const lateError = (): CodedError => this.#timeoutError(timeoutMs);
      const [ofOwn, ofAll] = await Promise.allSettled([own, within(done, { timeoutMs, lateError }, { clock, signal })]);
      signal.throwIfAborted();
      if (ofOwn.status === "rejected") throw ofOwn.reason as Error; // what the flusher rejects with
      if (ofAll.status === "rejected") throw ofAll.reason as Error; // made here
      return ofOwn.value;
    } finally {
      endDemand();
      if (wait !== undefined) this.#waits.delete(wait);
    }
  }

  /** Call it when records have left the head, or a segment is in the bucket. */
  look(): void {
    for (const { seq, resolve } of this.#waits) if (this.#modules.flusher.isFlushedBefore(seq)) resolve();
  }

  #timeoutError(timeoutMs: number): CodedError {
    const { openCount, ownOpenCount, cutCount } = this.#modules.head.stats;
    const keptCount = openCount - ownOpenCount;
    const parts: string[] = [];
    if (keptCount > 0) parts.push(`${keptCount} records are kept here for other stores, which have not flushed them`);
    if (ownOpenCount + cutCount > 0) parts.push(`${ownOpenCount + cutCount} records are not sealed`);
    if (parts.length === 0) parts.push("sealed segments wait on local disk");
    const message = `not all is in the bucket after ${timeoutMs} ms: ${parts.join("; ")}; the flush goes on in the background`;
    return new CodedError({ code: "FLUSH_TIMEOUT", kind: "unavailable", message, details: { timeoutMs, keptCount } });
  }
}
