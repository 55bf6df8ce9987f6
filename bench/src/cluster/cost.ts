/**
 * What a push costs a cluster: CPU of all nodes, flush included, requests and bytes to the bucket, and how often a record is stored there.
 *
 * The nodes take other pushes first that are not counted, each node as many whatever the shape: each process compiles the same code, so the first thousands of
 * pushes to three nodes cost what three compilers cost, and three nodes that share what one node takes would be measured with a third of its experience.
 */
import type { PushGenerator } from "../load/generator.ts";
import { runPushes } from "../load/push-run.ts";
import { readProcessCost } from "../load/process-cost.ts";
import type { ClusterShape } from "./served-cluster.ts";
import { ServedCluster, TurnClient } from "./served-cluster.ts";

/** Of bodies that are made before they are pushed. */
const AHEAD_BYTES = 256 * 2 ** 20;

export interface CostFigures {
  readonly failedCount: number;
  readonly pushesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Per push, of all nodes together, from the first push to the end of the flush. */
  readonly cpuMs: number;
  /** What of it was used after the last answer, by the flush of what the nodes still held. */
  readonly flushCpuMs: number;
  /** The same, in the unit of bench load: what decompressing one of the bodies costs. */
  readonly cpuInG: number;
  readonly bucketRequests: number;
  readonly bucketBytes: number;
  /** Bytes between the nodes, requests and answers. */
  readonly peerBytes: number;
  /** Records in the segments that were uploaded, per push: against the same pushes to one node it is the number of copies. */
  readonly records: number;
  readonly takeoverCount: number;
}

export interface CostModules {
  /** Pushes that come first and are not counted: of all nodes together. */
  readonly warming: PushGenerator;
  readonly generator: PushGenerator;
  /** For each node: three nodes that share what one takes alone commit smaller groups, and so cost more a push. */
  readonly inFlightCount: number;
  readonly progress: (line: string) => void;
}

export async function measureCost(dir: string, shape: ClusterShape, { warming, generator, inFlightCount: inFlightPerNode, progress }: CostModules): Promise<CostFigures> {
  const cluster = await ServedCluster.start(dir, shape);
  try {
    const inFlightCount = inFlightPerNode * shape.nodeCount;
    const client = new TurnClient(cluster.nodes, inFlightCount);
    const warmed = await runPushes({ inFlightCount, aheadBytes: AHEAD_BYTES, pids: [], isFlushedAtEnd: true }, { generator: warming, client, progress });
    if (warmed.flush?.status !== 200) throw new Error(`the flush was answered ${warmed.flush?.status}`);
    const before = await cluster.metrics();
    const recordCountBefore = cluster.uploadedRecordCount;
    const startCpuMs = readProcessCost(cluster.pids)?.cpuMs ?? NaN; // NaN where there is no /proc
    const run = await runPushes({ inFlightCount, aheadBytes: AHEAD_BYTES, pids: cluster.pids, isFlushedAtEnd: true }, { generator, client, progress });
    const cpuMs = (readProcessCost(cluster.pids)?.cpuMs ?? NaN) - startCpuMs;
    client.close();
    if (run.flush?.status !== 200) throw new Error(`the flush was answered ${run.flush?.status}`);
    const after = await cluster.metrics();
    const growth = (name: string, labels?: Readonly<Record<string, string>>): number => after.reduce((sum, metrics, node) => sum + metrics.sum(name, labels) - before[node]!.sum(name, labels), 0);
    const sorted = run.latenciesMs.slice().sort();
    const perPush = (sum: number): number => sum / run.ackedCount;
    return {
      failedCount: run.pushCount - run.ackedCount,
      pushesPerSecond: (run.ackedCount / run.elapsedMs) * 1000,
      p50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? NaN,
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? NaN,
      cpuMs: perPush(cpuMs),
      flushCpuMs: perPush(run.flush.cpuMs ?? NaN),
      cpuInG: perPush(cpuMs) / run.gunzipMs,
      bucketRequests: perPush(growth("pyromesh_bucket_requests_total")),
      bucketBytes: perPush(growth("pyromesh_bucket_written_bytes_total")),
      peerBytes: perPush(growth("pyromesh_peer_body_bytes_total", { direction: "sent" })),
      records: perPush(cluster.uploadedRecordCount - recordCountBefore),
      takeoverCount: growth("pyromesh_takeover_records_total"),
    };
  } finally {
    await cluster.stop();
  }
}
