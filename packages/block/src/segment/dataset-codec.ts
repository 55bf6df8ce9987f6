/**
 * A dataset as sections, and back: which section holds what, under which tag, compressed how.
 * section-symbols.ts, section-names.ts and section-rows.ts hold the layouts; FORMAT.md draws them; docs/decisions has the measurements
 * that chose codecs and orders.
 */
import { CorruptionError } from "@pyromesh/base";
import type { Dataset, DatasetView, RowSamples, StacktraceTree, Symbols } from "@pyromesh/profile";
import type { Frames } from "./frames.ts";
import { decodeNames, encodeNames } from "./section-names.ts";
import { decodeStacks, encodeRows, SegmentRows } from "./section-rows.ts";
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
  // 11 was given up before the format was frozen.
  spans: 12,
  sampleSpans: 13,
  traces: 14,
  sampleTraces: 15,
  names: 16,
  /** From here on, for each column set of the dataset: its SAMPLES, then VALUES of each of its columns. */
  columns: 32,
} as const;

export interface RawSection {
  readonly tag: number;
  readonly raw: Uint8Array;
  /** False where compressing cannot help: identities are hashes. */
  readonly isCompressible: boolean;
}

/** Deterministic: the same rows, inserted in the same order, give the same bytes. Rows prepared and never added leave symbols: prune before. */
export function encodeDataset(dataset: Dataset): RawSection[] {
  const steps = encodeDatasetInSteps(dataset);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** As `encodeDataset`, in steps of one or two milliseconds. The dataset must not change meanwhile. */
export function* encodeDatasetInSteps(dataset: Dataset): Generator<undefined, RawSection[]> {
  const rows = yield* encodeRows(dataset);
  const sections: RawSection[] = [];
  const add = (tag: number, raw: Uint8Array | undefined, isCompressible = true): void => {
    if (raw !== undefined) sections.push({ tag, raw, isCompressible });
  };
  add(TAG.strings, encodeStrings(dataset.symbols));
  add(TAG.mappings, encodeMappings(dataset.symbols));
  add(TAG.functions, encodeFunctions(dataset.symbols));
  add(TAG.locations, encodeLocations(dataset.symbols));
  add(TAG.tree, encodeTree(dataset.tree));
  yield;
  add(TAG.names, encodeNames(dataset.symbols, dataset.tree, rows.stackNodes));
  add(TAG.series, rows.series);
  add(TAG.rows, rows.rows);
  add(TAG.identities, rows.identities, false);
  add(TAG.totals, rows.totals);
  add(TAG.stacks, rows.stacks);
  add(TAG.spans, rows.spans, false);
  add(TAG.sampleSpans, rows.sampleSpans);
  add(TAG.traces, rows.traces, false);
  add(TAG.sampleTraces, rows.sampleTraces);
  let tag: number = TAG.columns;
  for (const { samples, values } of rows.columnSets) {
    add(tag++, samples);
    for (const column of values) add(tag++, column);
  }
  return sections;
}

/** Opens sections by tag when they are first needed; undefined where the dataset has none under that tag. */
export type SectionOpener = (tag: number) => Uint8Array | undefined;

/** Rows of a segment over one kind of frames, which are decoded when a query first needs them. */
class FramedRows implements DatasetView {
  readonly service: string;
  readonly #rows: SegmentRows;
  readonly #decode: () => Frames;
  #frames: Frames | undefined;

  constructor(service: string, rows: SegmentRows, decode: () => Frames) {
    this.service = service;
    this.#rows = rows;
    this.#decode = decode;
  }

  get symbols(): Symbols {
    return this.#opened().symbols;
  }

  get tree(): StacktraceTree {
    return this.#opened().tree;
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
    this.#rows.read(row, column, this.#opened().stacks, into);
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

  #opened(): Frames {
    this.#frames ??= this.#decode();
    return this.#frames;
  }
}

/** A dataset of a segment, ready for scans, its stacktraces by location. */
export class SegmentDataset extends FramedRows {
  /**
   * The same rows, their stacktraces by function name: what a flame graph reads, and no more. Where some frames are addresses the
   * stacktraces by location, since NAMES does not say in which mapping an address lies, by which it is named.
   */
  readonly byName: DatasetView;

  constructor(service: string, open: SectionOpener, object: string) {
    const must = (tag: number): Uint8Array => {
      const raw = open(tag);
      if (raw === undefined) throw new CorruptionError({ object, offset: -1, expected: `a section with tag ${tag}`, found: "none" });
      return raw;
    };
    const rows = new SegmentRows(
      {
        series: must(TAG.series),
        rows: must(TAG.rows),
        identities: must(TAG.identities),
        totals: must(TAG.totals),
        columns: (place) => must(TAG.columns + place),
        spans: () => open(TAG.spans),
        sampleSpans: () => open(TAG.sampleSpans),
        traces: () => open(TAG.traces),
        sampleTraces: () => open(TAG.sampleTraces),
      },
      object,
    );
    let byLocation: Frames | undefined;
    const openByLocation = (): Frames => {
      const sections = { mappings: must(TAG.mappings), functions: must(TAG.functions), locations: must(TAG.locations) };
      const symbols = decodeSymbols(sections, decodeStrings(must(TAG.strings), object), object);
      const tree = decodeTree(must(TAG.tree), symbols.locationCount, object);
      return { symbols, tree, stacks: decodeStacks(must(TAG.stacks), tree.nodeCount, object) };
    };
    const framesByLocation = (): Frames => (byLocation ??= openByLocation());
    super(service, rows, framesByLocation);
    this.byName = new FramedRows(service, rows, () => {
      const named = decodeNames(must(TAG.names), decodeStrings(must(TAG.strings), object), object);
      return holdsAddresses(named.symbols) ? framesByLocation() : named;
    });
  }
}

/** Whether a location has no line, and so goes by its address. */
function holdsAddresses({ locationCount, lineStart }: Symbols): boolean {
  for (let location = 1; location < locationCount; location++) if (lineStart[location] === lineStart[location + 1]) return true;
  return false;
}
