/** Queries beside an overload, at a steady rate, to each node in turn: flame graphs of one service over all that was pushed. */
import { performance } from "node:perf_hooks";
import { RANGE_MS } from "../load/options.ts";
import type { Workload } from "../load/options.ts";
import { quantile } from "./open-loop.ts";

export interface QueryFigures {
  readonly sentCount: number;
  /** By status; 0: without an answer within HANGING_MS. */
  readonly answers: ReadonlyMap<number, number>;
  readonly p50Ms: number;
  readonly maxMs: number;
  /** 503 without Retry-After. */
  readonly untimedCount: number;
  /** The first few refusals. */
  readonly texts: readonly string[];
}

/** A query without an answer by then hangs. The longest that a query may take is 60 s unless its settings say otherwise. */
const HANGING_MS = 65_000;
const TEXTS_MAX = 5;
const TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

export class QueryLoad {
  readonly #urls: readonly string[];
  readonly #workload: Workload;
  readonly #running: Promise<void>[] = [];
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #answers = new Map<number, number>();
  readonly #tookMs: number[] = [];
  readonly #texts: string[] = [];
  #untimedCount = 0;

  /** Begins at once. */
  constructor({ perSecond, workload }: { readonly perSecond: number; readonly workload: Workload }, { urls }: { readonly urls: readonly string[] }) {
    this.#urls = urls;
    this.#workload = workload;
    this.#timer = perSecond > 0 ? setInterval(() => void this.#running.push(this.#ask(this.#running.length)), 1000 / perSecond) : undefined;
  }

  /** Resolves when the last has been answered. */
  async end(): Promise<QueryFigures> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
    return { sentCount: this.#running.length, answers: this.#answers, p50Ms: quantile(this.#tookMs, 0.5), maxMs: quantile(this.#tookMs, 1), untimedCount: this.#untimedCount, texts: this.#texts };
  }

  async #ask(index: number): Promise<void> {
    const { endMs, serviceCount, servicePrefix } = this.#workload;
    const query = { profileTypeID: TYPE, labelSelector: `{service_name="${servicePrefix}-${index % serviceCount}"}`, start: endMs - RANGE_MS - 60_000, end: endMs + 60_000 };
    const startMs = performance.now();
    let status = 0;
    let text = "no answer";
    try {
      const reply = await fetch(`${this.#urls[index % this.#urls.length]!}/querier.v1.QuerierService/SelectMergeStacktraces`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(query),
        signal: AbortSignal.timeout(HANGING_MS),
      });
      text = await reply.text();
      status = reply.status;
      if (status === 503 && reply.headers.get("retry-after") === null) this.#untimedCount++;
    } catch (error) {
      text = (error as Error).message;
    }
    this.#answers.set(status, (this.#answers.get(status) ?? 0) + 1);
    this.#tookMs.push(performance.now() - startMs);
    if (status !== 200 && this.#texts.length < TEXTS_MAX) this.#texts.push(`${status} ${text.slice(0, 200)}`);
  }
}
