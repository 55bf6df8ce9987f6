/**
 * Copies the rows of a dataset into a new one that holds only the symbols and nodes that they refer to. A build encodes the copy where rows
 * were prepared and never added, since the symbols of those belong to pushes that were refused.
 *
 *   rows, in order --> stacktraces not met yet --> with their symbols (symbol-subset.ts) --> interned as those of a push
 *
 * What must stay true: the copy is the same, number for number, as if only these records had been inserted. That holds since a
 * record's columns are numbered by first use, root first, and leaving out stacktraces that are known already does not change the
 * order of the others.
 */
import type { RowSamples } from "../dataset/dataset.ts";
import { Dataset } from "../dataset/dataset.ts";
import type { RecordView, ValueColumn } from "../model/record-view.ts";
import { emptyRowSamples } from "./scan.ts";
import { SymbolSubset } from "../dataset/symbol-subset.ts";

/** Numbers copied between two pauses: about a millisecond, unless one row takes longer. */
const WORK_A_STEP = 1 << 14;
/** The work of a new node with its symbols, in numbers of a row that are copied in the same time. */
const NODE_WORK = 16;

/** Runs in steps, between which the caller can do something else. The dataset is not changed, and must not change meanwhile. */
export function* pruneInSteps(dataset: Dataset): Generator<undefined, Dataset> {
  const pruned = new Dataset(dataset.service, dataset.hashSeed);
  const subset = new SymbolSubset(dataset.symbols, dataset.tree);
  const read = emptyRowSamples();
  /** For each node of the dataset at which a stacktrace ends: its node in the copy; 0 if it was not met yet. */
  const nodeOf = new Uint32Array(dataset.tree.nodeCount);
  let work = 0;
  let stepEnd = WORK_A_STEP;
  for (let row = 0; row < dataset.rowCount; row++) {
    const record = recordOf(dataset, row, read);
    const unmet = unmetStacks(record, nodeOf);
    if (unmet.length > 0) {
      const { symbols, tree, nodes } = subset.take(unmet);
      const interned = pruned.intern({ symbols, tree });
      for (let i = 0; i < unmet.length; i++) nodeOf[unmet[i]!] = interned[nodes[i]!]!;
    }
    pruned.insert(record, nodeOf);
    work += record.sampleCount * (1 + record.values.length);
    if (work + pruned.tree.nodeCount * NODE_WORK < stepEnd) continue;
    yield;
    stepEnd = work + pruned.tree.nodeCount * NODE_WORK + WORK_A_STEP;
  }
  return pruned;
}

/** The stacktraces of a row that no earlier row has. */
function unmetStacks({ sampleNode, sampleCount }: RecordView, nodeOf: Uint32Array): Uint32Array {
  const unmet: number[] = [];
  for (let i = 0; i < sampleCount; i++) if (sampleNode[i] !== 0 && nodeOf[sampleNode[i]!] === 0) unmet.push(sampleNode[i]!);
  return Uint32Array.from(unmet);
}

/** A row as a record, by the dataset's numbers. Valid until the next one. */
function recordOf(dataset: Dataset, row: number, read: RowSamples): RecordView {
  const { labels, sampleTypes, periodType } = dataset.series[dataset.rowSeries[row]!]!;
  const values: ValueColumn[] = [];
  dataset.readColumns(row, read, () => void values.push(read.wide ?? read.value.slice(0, read.sampleCount)));
  dataset.readNodes(row, read);
  return {
    identity: dataset.identities.subarray(row * 16, row * 16 + 16),
    tenant: "", // a dataset is one tenant's and does not know whose
    labels,
    timeNs: dataset.rowTimeNs[row]!,
    durationNs: dataset.durationNs(row),
    period: dataset.period(row),
    periodType,
    sampleTypes,
    profileId: dataset.profileId(row),
    symbols: dataset.symbols,
    tree: dataset.tree,
    sampleCount: read.sampleCount,
    sampleNode: read.node,
    values,
    sampleSpan: read.span,
    spans: dataset.spans,
    sampleTrace: read.trace,
    traces: dataset.traces,
  };
}
