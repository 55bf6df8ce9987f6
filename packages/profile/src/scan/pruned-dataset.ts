/**
 * The same rows in a dataset of their own, which holds what they refer to and nothing else: what a build encodes where rows
 * were prepared and never added, since their symbols belong to pushes that were refused.
 *
 *   rows, in order --> stacktraces not met yet --> with their symbols (symbol-subset.ts) --> interned as those of a push
 *
 * What must stay true: it comes out as if only these records had ever been inserted, number for number. A record's columns
 * are numbered by first use, root first, and leaving out stacktraces that are known already does not
 * change the order in which the others are met.
 */
import type { RowSamples } from "../dataset/dataset.ts";
import { Dataset } from "../dataset/dataset.ts";
import type { RecordView, ValueColumn } from "../model/record-view.ts";
import { emptyRowSamples } from "./scan.ts";
import { SymbolSubset } from "../dataset/symbol-subset.ts";

/** Between two pauses: about a millisecond, or a row that takes longer. */
const WORK_A_STEP = 1 << 14;
/** What a node new to the pruned dataset costs, with its symbols, in numbers of a row copied. */
const NODE_WORK = 16;

/** In steps, so that whoever runs them can do something else between two. The dataset must not change meanwhile; it stays as it is. */
export function* pruneInSteps(dataset: Dataset): Generator<undefined, Dataset> {
  const pruned = new Dataset(dataset.service, dataset.hashSeed);
  const subset = new SymbolSubset(dataset.symbols, dataset.tree);
  const read = emptyRowSamples();
  /** The pruned dataset's node by the dataset's own, for those that end a stacktrace; 0: not met yet. */
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

/** The stacktraces of a row that were not met in an earlier one. */
function unmetStacks({ sampleNode, sampleCount }: RecordView, nodeOf: Uint32Array): Uint32Array {
  const unmet: number[] = [];
  for (let i = 0; i < sampleCount; i++) if (sampleNode[i] !== 0 && nodeOf[sampleNode[i]!] === 0) unmet.push(sampleNode[i]!);
  return Uint32Array.from(unmet);
}

/** A row as a record by the dataset's own numbers. Valid until the next. */
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
