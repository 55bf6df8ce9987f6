/**
 * The scan: which rows of a dataset answer a query, and what they add up to. Pure; the same code reads rows in memory
 * and rows of a segment. Every row is counted once, by its identity, in the source in which it is found first.
 */
import type { DatasetView, RowSamples, SeriesEntry } from "../dataset/dataset.ts";
import type { IdentitySet } from "./identity-set.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import type { Labels } from "../labels/labels.ts";
import { addressName, stringAt } from "../graph/location-tree.ts";
import type { Matcher } from "../selector/matcher.ts";
import { matchesLabels, seriesSteps } from "../selector/matcher.ts";
import { printProfileType, profileTypeOf, seriesLabels } from "../labels/profile-type.ts";
import type { ProfileType } from "../labels/profile-type.ts";
import { NO_STACKTRACE } from "../model/stacktrace-tree.ts";

/** Which rows and samples to count. Times are nanoseconds, both ends inclusive. An empty list means all. */
export interface RowQuery {
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly profileType: ProfileType;
  readonly selector: readonly Matcher[];
  /** Function names from the root. */
  readonly callSite: readonly string[];
  /** 32 hex digits each. */
  readonly profileIds: readonly string[];
  /** 16 hex digits each. */
  readonly spanIds: readonly string[];
  /** 32 hex digits each. */
  readonly traceIds: readonly string[];
}

/** A row that answers the query. `samples` is overwritten by the next row. */
export interface ScannedRow {
  readonly row: number;
  readonly column: number;
  readonly series: number;
}

export function emptyRowSamples(): RowSamples {
  return { sampleCount: 0, node: new Uint32Array(256), value: new Float64Array(256), wide: undefined, span: undefined, trace: undefined };
}

/** Calls `visit` for each row that is in range, matches, and was not counted before. */
export function scanRows(view: DatasetView, query: RowQuery, seen: IdentitySet, visit: (row: ScannedRow) => void, interrupt: Interrupt = UNINTERRUPTED): void {
  const columns = matchingColumns(view, query, interrupt);
  const wantedIds = query.profileIds.length === 0 ? undefined : new Set(query.profileIds);
  for (let row = 0; row < view.rowCount; row++) {
    const series = view.rowSeries[row]!;
    const column = columns[series]!;
    interrupt.after(1);
    if (column < 0) continue;
    const timeNs = view.rowTimeNs[row]!;
    if (timeNs < query.startNs || timeNs > query.endNs) continue;
    if (wantedIds !== undefined && !wantedIds.has(profileIdHex(view, row))) continue;
    if (!seen.add(view.identities, row * 16)) continue;
    visit({ row, column, series });
  }
}

/** For each series of the dataset: the column of the queried type if the series matches, else -1. */
export function matchingColumns(view: DatasetView, query: Pick<RowQuery, "profileType" | "selector">, interrupt: Interrupt = UNINTERRUPTED): Int32Array {
  const columns = new Int32Array(view.series.length).fill(-1);
  const typeId = printProfileType(query.profileType);
  const steps = seriesSteps([query.selector]);
  view.series.forEach((entry, index) => {
    interrupt.after(steps);
    for (let column = 0; column < entry.sampleTypes.length; column++) {
      const type = profileTypeOf(entry.labels, entry.sampleTypes[column]!, entry.periodType);
      if (printProfileType(type) !== typeId) continue;
      if (query.selector.length === 0 || matchesLabels(query.selector, seriesLabels(entry.labels, type))) columns[index] = column;
      break;
    }
  });
  return columns;
}

/** The client's id of a profile. Where it gave none, the record's identity, so that every profile can be asked for. */
export function profileIdHex(view: DatasetView, row: number): string {
  return hexOf(view.profileId(row) ?? view.identities.subarray(row * 16, row * 16 + 16), 0, 16);
}

/** Says which samples of a row count, by call site, span and trace. */
export class SampleFilter {
  readonly #nodes: Uint8Array | undefined;
  readonly #spans: Uint8Array | undefined;
  readonly #traces: Uint8Array | undefined;

  constructor(view: Pick<DatasetView, "symbols" | "tree" | "spans" | "traces">, query: Pick<RowQuery, "callSite" | "spanIds" | "traceIds">, interrupt: Interrupt = UNINTERRUPTED) {
    this.#nodes = query.callSite.length === 0 ? undefined : nodesUnder(view, query.callSite, interrupt);
    this.#spans = query.spanIds.length === 0 ? undefined : chosen(view.spans, 8, query.spanIds, interrupt);
    this.#traces = query.traceIds.length === 0 ? undefined : chosen(view.traces, 16, query.traceIds, interrupt);
  }

  /** True where every sample counts, so that totals of rows may be used. */
  get isOpen(): boolean {
    return this.#nodes === undefined && this.#spans === undefined && this.#traces === undefined;
  }

  takes(samples: RowSamples, index: number): boolean {
    if (this.#nodes !== undefined && this.#nodes[samples.node[index]!] === 0) return false;
    if (this.#spans !== undefined && (samples.span === undefined || this.#spans[samples.span[index]!] === 0)) return false;
    if (this.#traces !== undefined && (samples.trace === undefined || this.#traces[samples.trace[index]!] === 0)) return false;
    return true;
  }
}

export interface TimeRange {
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** 1 for each series that has a row in range whose record is not left out. */
export function liveSeries(view: DatasetView, range: TimeRange, interrupt: Interrupt = UNINTERRUPTED, except?: IdentitySet): Uint8Array {
  const isLive = new Uint8Array(view.series.length);
  for (let row = 0; row < view.rowCount; row++) {
    const timeNs = view.rowTimeNs[row]!;
    interrupt.after(1);
    if (timeNs < range.startNs || timeNs > range.endNs) continue;
    // A view of a segment opens its identities only when it is asked for them.
    if (except === undefined || !except.leavesOut(view.identities, row * 16)) isLive[view.rowSeries[row]!] = 1;
  }
  return isLive;
}

/** The label sets of a series, one per sample type, that match one of the selectors (none given: all of them). */
export function seriesMatching({ labels, sampleTypes, periodType }: SeriesEntry, selectors: readonly (readonly Matcher[])[]): Labels[] {
  return sampleTypes
    .map((sampleType) => seriesLabels(labels, profileTypeOf(labels, sampleType, periodType)))
    .filter((own) => selectors.length === 0 || selectors.some((selector) => matchesLabels(selector, own)));
}

/** Lower-case hex digits of `length` bytes. */
export function hexOf(bytes: Uint8Array, start: number, length: number): string {
  let text = "";
  for (let i = start; i < start + length; i++) text += (bytes[i]! < 16 ? "0" : "") + bytes[i]!.toString(16);
  return text;
}

function chosen(table: Uint8Array, width: number, wanted: readonly string[], interrupt: Interrupt): Uint8Array {
  const set = new Set(wanted.map((id) => id.toLowerCase()));
  const flags = new Uint8Array(Math.max(1, table.length / width));
  for (let id = 1; id < flags.length; id++) {
    interrupt.after(width);
    if (set.has(hexOf(table, id * width, width))) flags[id] = 1;
  }
  return flags;
}

/** 1 for each node whose frames from the root begin with `callSite`. Inlined functions, addresses without a name and `NO_STACKTRACE` are frames too. */
function nodesUnder({ symbols, tree }: Pick<DatasetView, "symbols" | "tree">, callSite: readonly string[], interrupt: Interrupt): Uint8Array {
  // By node: how many names of the call site its path matches so far; -1 where it does not match.
  const depth = new Int32Array(tree.nodeCount);
  const under = new Uint8Array(tree.nodeCount);
  if (callSite.length === 1 && callSite[0] === NO_STACKTRACE) under[0] = 1;
  const nameOf = new Map<number, string>();
  for (let node = 1; node < tree.nodeCount; node++) {
    let matched = depth[tree.nodeParent[node]!]!;
    interrupt.after(1);
    const location = tree.nodeLocation[node]!;
    const first = symbols.lineStart[location]!;
    const end = symbols.lineStart[location + 1]!;
    if (first === end && matched >= 0 && matched < callSite.length) {
      matched = addressName(symbols, location) === callSite[matched] ? matched + 1 : -1;
    }
    // The caller-most function of a location is its last line.
    for (let line = end - 1; line >= first && matched >= 0 && matched < callSite.length; line--) {
      const id = symbols.functionName[symbols.lineFunction[line]!]!;
      let name = nameOf.get(id);
      if (name === undefined) nameOf.set(id, (name = stringAt(symbols, id)));
      matched = name === callSite[matched] ? matched + 1 : -1;
    }
    depth[node] = matched;
    if (matched === callSite.length) under[node] = 1;
  }
  return under;
}
