/**
 * A dataset in memory as it was at one moment: a scan that pauses for pushes reads it.
 *
 * Rows, symbols and nodes are only ever added at the end, and a column that is full is copied into a larger one. So the counts and columns
 * of that moment stay right while pushes add to the dataset, and only the list of series is copied.
 */
import type { Dataset, DatasetView, RowSamples, SeriesEntry } from "./dataset.ts";
import type { StacktraceTree } from "../model/stacktrace-tree.ts";
import { symbolsNow } from "../model/symbol-table.ts";
import type { Symbols } from "../model/symbol-table.ts";

export class DatasetSnapshot implements DatasetView {
  readonly service: string;
  readonly symbols: Symbols;
  readonly tree: StacktraceTree;
  readonly series: readonly SeriesEntry[];
  readonly rowCount: number;
  readonly rowSeries: Uint32Array;
  readonly rowTimeNs: BigInt64Array;
  readonly identities: Uint8Array;
  readonly spans: Uint8Array;
  readonly traces: Uint8Array;
  readonly #dataset: Dataset;

  constructor(dataset: Dataset) {
    this.#dataset = dataset;
    const { nodeCount, nodeParent, nodeLocation } = dataset.tree;
    this.service = dataset.service;
    this.symbols = symbolsNow(dataset.symbols);
    this.tree = { nodeCount, nodeParent, nodeLocation };
    this.series = dataset.series.slice();
    this.rowCount = dataset.rowCount;
    this.rowSeries = dataset.rowSeries;
    this.rowTimeNs = dataset.rowTimeNs;
    this.identities = dataset.identities;
    this.spans = dataset.spans;
    this.traces = dataset.traces;
  }

  total(row: number, column: number): number | bigint {
    return this.#dataset.total(row, column);
  }

  read(row: number, column: number, into: RowSamples): void {
    this.#dataset.read(row, column, into);
  }

  durationNs(row: number): bigint {
    return this.#dataset.durationNs(row);
  }

  period(row: number): bigint {
    return this.#dataset.period(row);
  }

  profileId(row: number): Uint8Array | undefined {
    return this.#dataset.profileId(row);
  }

  sampleCount(row: number): number {
    return this.#dataset.sampleCount(row);
  }
}
