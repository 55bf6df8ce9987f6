/**
 * A dataset as sections, and back: which section holds what, under which tag, compressed how.
 * section-symbols.ts and section-rows.ts hold the layouts; FORMAT.md draws them; docs/decisions has the measurements
 * that chose codecs and orders.
 */
import { CorruptionError } from "@pyromesh/base";
import type { Dataset, DatasetView, RowSamples, StacktraceTree, Symbols } from "@pyromesh/profile";
import { encodeRows, SegmentRows } from "./section-rows.ts";
import { decodeStrings, decodeSymbols, decodeTree, encodeFunctions, encodeLocations, encodeMappings, encodeStrings, encodeTree } from "./section-symbols.ts";

/** Append only: a number once used keeps its meaning for ever. */
export const TAG = {
  strings: 1,
  mappings: 2,
  functions: 3,
  locations: 4,
  tree: 5,
  series: 6,
  rows: 7,
  identities: 8,
  totals: 9,
  stacks: 10,
  samples: 11,
  spans: 12,
  sampleSpans: 13,
  traces: 14,
  sampleTraces: 15,
  /** VALUES of column k have tag `values + k`. */
  values: 32,
} as const;

export interface RawSection {
  readonly tag: number;
  readonly raw: Uint8Array;
  /** False where compressing cannot help: identities are hashes. */
  readonly isCompressible: boolean;
}

/** Deterministic: the same rows, inserted in the same order, give the same bytes. */
export function encodeDataset(dataset: Dataset): RawSection[] {
  const rows = encodeRows(dataset);
  const sections: RawSection[] = [];
  const add = (tag: number, raw: Uint8Array | undefined, isCompressible = true): void => {
    if (raw !== undefined) sections.push({ tag, raw, isCompressible });
  };
  add(TAG.strings, encodeStrings(dataset.symbols));
  add(TAG.mappings, encodeMappings(dataset.symbols));
  add(TAG.functions, encodeFunctions(dataset.symbols));
  add(TAG.locations, encodeLocations(dataset.symbols));
  add(TAG.tree, encodeTree(dataset.tree));
  add(TAG.series, rows.series);
  add(TAG.rows, rows.rows);
  add(TAG.identities, rows.identities, false);
  add(TAG.totals, rows.totals);
  add(TAG.stacks, rows.stacks);
  add(TAG.samples, rows.samples);
  add(TAG.spans, rows.spans, false);
  add(TAG.sampleSpans, rows.sampleSpans);
  add(TAG.traces, rows.traces, false);
  add(TAG.sampleTraces, rows.sampleTraces);
  rows.values.forEach((values, column) => add(TAG.values + column, values));
  return sections;
}

/** Opens sections by tag when they are first needed; undefined where the dataset has none under that tag. */
export type SectionOpener = (tag: number) => Uint8Array | undefined;

/** A dataset of a segment, ready for scans. Symbols and stacks are decoded when a query first needs them. */
export class SegmentDataset implements DatasetView {
  readonly service: string;
  readonly #open: SectionOpener;
  readonly #object: string;
  readonly #rows: SegmentRows;
  #symbols: Symbols | undefined;
  #tree: StacktraceTree | undefined;

  constructor(service: string, open: SectionOpener, object: string) {
    this.service = service;
    this.#open = open;
    this.#object = object;
    this.#rows = new SegmentRows(
      {
        series: this.#must(TAG.series),
        rows: this.#must(TAG.rows),
        identities: this.#must(TAG.identities),
        totals: this.#must(TAG.totals),
        stacks: () => this.#must(TAG.stacks),
        samples: () => this.#must(TAG.samples),
        values: (column) => this.#must(TAG.values + column),
        spans: () => open(TAG.spans),
        sampleSpans: () => open(TAG.sampleSpans),
        traces: () => open(TAG.traces),
        sampleTraces: () => open(TAG.sampleTraces),
      },
      () => this.tree.nodeCount,
      object,
    );
  }

  get symbols(): Symbols {
    this.#symbols ??= decodeSymbols(
      { mappings: this.#must(TAG.mappings), functions: this.#must(TAG.functions), locations: this.#must(TAG.locations) },
      decodeStrings(this.#must(TAG.strings), this.#object),
      this.#object,
    );
    return this.#symbols;
  }

  get tree(): StacktraceTree {
    this.#tree ??= decodeTree(this.#must(TAG.tree), this.symbols.locationCount, this.#object);
    return this.#tree;
  }

  get series(): DatasetView["series"] {
    return this.#rows.series;
  }

  get rowCount(): number {
    return this.#rows.rowCount;
  }

  get rowSeries(): Uint32Array {
    return this.#rows.rowSeries;
  }

  get rowTimeNs(): BigInt64Array {
    return this.#rows.rowTimeNs;
  }

  get identities(): Uint8Array {
    return this.#rows.identities;
  }

  get spans(): Uint8Array {
    return this.#rows.spans;
  }

  get traces(): Uint8Array {
    return this.#rows.traces;
  }

  total(row: number, column: number): number | bigint {
    return this.#rows.total(row, column);
  }

  read(row: number, column: number, into: RowSamples): void {
    this.#rows.read(row, column, into);
  }

  durationNs(row: number): bigint {
    return this.#rows.durationNs(row);
  }

  period(row: number): bigint {
    return this.#rows.period(row);
  }

  profileId(row: number): Uint8Array | undefined {
    return this.#rows.profileId(row);
  }

  sampleCount(row: number): number {
    return this.#rows.sampleCount(row);
  }

  #must(tag: number): Uint8Array {
    const raw = this.#open(tag);
    if (raw === undefined) throw new CorruptionError({ object: this.#object, offset: -1, expected: `a section with tag ${tag}`, found: "none" });
    return raw;
  }
}
