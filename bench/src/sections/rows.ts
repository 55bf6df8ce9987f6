/**
 * The rows to lay out: pushes of the load generator (or the corpus' programs, repeated unchanged) as a dataset holds them, in plain
 * arrays, so that only the layout is timed.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { ByteWriter } from "@pyromesh/base";
import { encodeDataset } from "@pyromesh/block";
import { Dataset, DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS, emptyRowSamples, encodePush, RecordDecoder } from "@pyromesh/profile";
import { PushGenerator } from "../load/generator.ts";
import { readPrograms } from "../load/program.ts";

/** Any whole hour: the bytes do not depend on the day. */
const END_MS = 1_772_463_600_000;

export interface Row {
  readonly series: number;
  /** Rows with the same profile types have the same column set. */
  readonly columnSet: number;
  readonly timeNs: bigint;
  /** Leaf nodes in their order of arrival. */
  readonly nodes: Uint32Array;
  /** Indexes of `nodes` by ascending node. */
  readonly byNode: Uint32Array;
  /** By column, in the order of `nodes`. */
  readonly columns: readonly Float64Array[];
}

export interface Rows {
  readonly pushCount: number;
  readonly dataset: Dataset;
  /** In their order of arrival. */
  readonly rows: readonly Row[];
  readonly nodeCount: number;
}

type Mix = "scaled" | "repeats";

/** One dataset of `pushCount` pushes, nearly 1.4 rows each. Throws where there is no corpus. */
export function readRows(pushCount: number, mix: Mix, corpusFolder: string): Rows {
  const workload = { seed: 1, pushCount, podCount: 200, serviceCount: 1, servicePrefix: "load", endMs: END_MS };
  const generator = new PushGenerator(workload, readPrograms(corpusFolder));
  const decoder = new RecordDecoder();
  const dataset = new Dataset("load-0");
  const whole = new Map(generator.programs.map(({ file }) => [file, pprofOf(path.join(corpusFolder, "pprof", file))]));
  for (let index = 0; index < pushCount; index++) {
    const plan = generator.plan(index);
    const records = encodePush({
      tenant: "anonymous",
      labels: [
        { name: "__name__", value: plan.program.profileName },
        { name: "service_name", value: plan.service },
        { name: "pod", value: generator.podName(plan.pod) },
      ],
      pprof: mix === "scaled" ? generator.encodePprof(plan).slice() : atTime(whole.get(plan.program.file)!, plan.timeNs),
      fallbackTimeNs: plan.timeNs,
      nonce: new Uint8Array(16),
      nowMs: END_MS,
      limits: DEFAULT_PROFILE_LIMITS,
      window: DEFAULT_ACCEPTANCE_WINDOW,
    });
    for (const { bytes } of records) dataset.insert(decoder.decode(bytes, "push"));
  }
  return { pushCount, dataset, rows: takeOut(dataset), nodeCount: dataset.tree.nodeCount };
}

/** The sections that block writes today, without a codec. */
export function rawBytes(dataset: Dataset): number {
  return encodeDataset(dataset).reduce((sum, { raw }) => sum + raw.length, 0);
}

function takeOut(dataset: Dataset): Row[] {
  const sets = new Map<string, number>();
  const read = emptyRowSamples();
  return Array.from({ length: dataset.rowCount }, (_, row) => {
    const series = dataset.rowSeries[row]!;
    const { sampleTypes, labels } = dataset.series[series]!;
    const key = JSON.stringify([labels.find(({ name }) => name === "__name__")?.value, sampleTypes]);
    if (!sets.has(key)) sets.set(key, sets.size);
    const columns = sampleTypes.map((__, column) => {
      dataset.read(row, column, read);
      return read.value.slice(0, read.sampleCount);
    });
    const nodes = read.node.slice(0, read.sampleCount);
    const byNode = Uint32Array.from(nodes, (__, place) => place).sort((a, b) => nodes[a]! - nodes[b]! || a - b);
    return { series, columnSet: sets.get(key)!, timeNs: dataset.rowTimeNs[row]!, nodes, byNode, columns };
  });
}

function pprofOf(file: string): Uint8Array {
  const bytes = readFileSync(file);
  return bytes[0] === 0x1f ? gunzipSync(bytes) : bytes;
}

/** The profile with another time_nanos: of a scalar field that occurs twice the last one counts. */
function atTime(pprof: Uint8Array, timeNs: bigint): Uint8Array {
  const field = new ByteWriter(11).u8(0x48).uvarint64(timeNs).finish();
  return Buffer.concat([pprof, field]);
}
