/**
 * Merges the stacktraces of one dataset: one add per sample into a column of sums by node, then the tree of the nodes with a value, by
 * function names (for flame graphs, which need no lines and addresses) or by locations (for pprof).
 */
import type { DatasetView } from "../dataset/dataset.ts";
import type { IdentitySet } from "./identity-set.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { ROW_STEPS, UNINTERRUPTED } from "../model/interrupt.ts";
import type { ProfileDurations } from "./profile-durations.ts";
import { emptyRowSamples, SampleFilter, scanRows } from "./scan.ts";
import type { RowQuery, ScannedRow } from "./scan.ts";
import { addressName } from "../graph/location-tree.ts";
import { StacktraceInterner } from "../dataset/stacktrace-interner.ts";
import { NO_STACKTRACE } from "../model/stacktrace-tree.ts";
import type { LocationTree, NameTree, StacktraceTree } from "../model/stacktrace-tree.ts";
import { SumColumn } from "../model/sums.ts";
import type { Symbols } from "../model/symbol-table.ts";

export interface MergedNodes {
  /** Self value by node of the dataset's tree. */
  readonly self: SumColumn;
  /** What the last row says, for a pprof's own field. */
  readonly period: bigint;
  readonly rowCount: number;
}

/** Sums the samples of every row that answers `query`, by leaf node. `durations`, where given, adds up the rows' durations. */
export function mergeNodes(view: DatasetView, query: RowQuery, seen: IdentitySet, durations?: ProfileDurations, interrupt: Interrupt = UNINTERRUPTED): MergedNodes {
  const self = new SumColumn(view.tree.nodeCount);
  const filter = new SampleFilter(view, query, interrupt);
  const samples = emptyRowSamples();
  let lastRow = -1;
  let rowCount = 0;
  const visit = ({ row, column }: ScannedRow): void => {
    view.read(row, column, samples);
    interrupt.after(ROW_STEPS + samples.sampleCount);
    rowCount++;
    lastRow = row;
    durations?.addRow(view, row);
    self.raise(view.total(row, column));
    const { sampleCount, node, value, wide } = samples;
    if (wide === undefined && filter.isOpen) {
      for (let i = 0; i < sampleCount; i++) self.add(node[i]!, value[i]!);
      return;
    }
    for (let i = 0; i < sampleCount; i++) {
      if (!filter.takes(samples, i)) continue;
      if (wide === undefined) self.add(node[i]!, value[i]!);
      else self.addBig(node[i]!, wide[i]!);
    }
  };
  scanRows(view, query, seen, visit, interrupt);
  return { self, period: lastRow < 0 ? 0n : view.period(lastRow), rowCount };
}

/** 1 for each node that has a value or a descendant with one. */
function nodesHit(tree: StacktraceTree, self: SumColumn): Uint8Array {
  const isHit = new Uint8Array(tree.nodeCount);
  const { low, high } = self.view();
  for (let node = tree.nodeCount - 1; node > 0; node--) {
    if (isHit[node] === 0 && low[node] === 0 && (high === undefined || high[node] === 0)) continue;
    isHit[node] = 1;
    isHit[tree.nodeParent[node]!] = 1;
  }
  return isHit;
}

/** The merged stacktraces by function name: an inlined frame becomes a node, a location without lines a node with its address, and samples without a stacktrace the node `NO_STACKTRACE`. */
export function nameTreeOf(view: Pick<DatasetView, "symbols" | "tree">, self: SumColumn, interrupt: Interrupt = UNINTERRUPTED): NameTree {
  const { symbols, tree } = view;
  const isHit = nodesHit(tree, self);
  const names = new FrameNames(symbols);
  const merged = new StacktraceInterner();
  const nameNode = new Uint32Array(tree.nodeCount);
  for (let node = 1; node < tree.nodeCount; node++) {
    if (isHit[node] === 0) continue;
    interrupt.after(1);
    let at = nameNode[tree.nodeParent[node]!]!;
    const location = tree.nodeLocation[node]!;
    const first = symbols.lineStart[location]!;
    const end = symbols.lineStart[location + 1]!;
    if (first === end) at = merged.child(at, names.ofAddress(location));
    for (let line = end - 1; line >= first; line--) at = merged.child(at, names.ofString(symbols.functionName[symbols.lineFunction[line]!]!));
    nameNode[node] = at;
  }
  if (self.at(0) !== 0) nameNode[0] = merged.child(0, names.ofText(NO_STACKTRACE));
  isHit[0] = 1;
  const sums = new SumColumn(merged.nodeCount);
  for (let node = 0; node < tree.nodeCount; node++) {
    if (isHit[node] === 0) continue;
    const value = self.at(node);
    if (value === 0) continue;
    sums.raise(value);
    if (typeof value === "number") sums.add(nameNode[node]!, value);
    else sums.addBig(nameNode[node]!, value);
  }
  return { nodeCount: merged.nodeCount, nodeParent: merged.nodeParent, nodeName: merged.nodeLocation, self: sums.view(), names: names.list };
}

/** The nodes with a value as a tree of locations, with ids of its own, over the dataset's symbols. Samples without a stacktrace stay at the root, and are moved when trees are merged. */
export function locationTreeOf(view: Pick<DatasetView, "symbols" | "tree">, self: SumColumn, interrupt: Interrupt = UNINTERRUPTED): LocationTree {
  const { tree } = view;
  const isHit = nodesHit(tree, self);
  const ids = new Uint32Array(tree.nodeCount);
  let nodeCount = 1;
  for (let node = 1; node < tree.nodeCount; node++) if (isHit[node] === 1) ids[node] = nodeCount++;
  const nodeParent = new Uint32Array(nodeCount);
  const nodeLocation = new Uint32Array(nodeCount);
  const sums = new SumColumn(nodeCount);
  for (let node = 0; node < tree.nodeCount; node++) {
    const id = ids[node]!;
    if (id === 0 && node > 0) continue;
    interrupt.after(1);
    nodeParent[id] = ids[tree.nodeParent[node]!]!;
    nodeLocation[id] = tree.nodeLocation[node]!;
    const value = self.at(node);
    if (value === 0) continue;
    sums.raise(value);
    if (typeof value === "number") sums.add(id, value);
    else sums.addBig(id, value);
  }
  return { tree: { nodeCount, nodeParent, nodeLocation }, self: sums.view(), symbols: view.symbols };
}

/** Decodes each name once, by string id. Index 0 is "", the root's. */
class FrameNames {
  readonly list: string[] = [""];
  readonly #symbols: Symbols;
  readonly #byString = new Map<number, number>();
  readonly #byText = new Map<string, number>();
  readonly #byAddress = new Map<number, number>();
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(symbols: Symbols) {
    this.#symbols = symbols;
  }

  ofString(id: number): number {
    let index = this.#byString.get(id);
    if (index === undefined) {
      const { stringBytes, stringOffset } = this.#symbols;
      // Copied, since a TextDecoder refuses shared memory, where cached sections lie.
      index = this.ofText(this.#decoder.decode(stringBytes.slice(stringOffset[id]!, stringOffset[id + 1]!)));
      this.#byString.set(id, index);
    }
    return index;
  }

  /** The name of a location without lines. */
  ofAddress(location: number): number {
    let index = this.#byAddress.get(location);
    if (index === undefined) this.#byAddress.set(location, (index = this.ofText(addressName(this.#symbols, location))));
    return index;
  }

  ofText(text: string): number {
    let index = this.#byText.get(text);
    if (index === undefined) {
      index = this.list.push(text) - 1;
      this.#byText.set(text, index);
    }
    return index;
  }
}
