/** What a cluster costs while nothing happens, per node. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { readProcessCost } from "../load/process-cost.ts";
import type { ClusterShape } from "./served-cluster.ts";
import { ServedCluster } from "./served-cluster.ts";

export interface IdleFigures {
  readonly cpuPercent: number;
  /** Messages of membership and gossip, before TLS. */
  readonly controlBytesPerSecond: number;
  /** Everything that goes over the loopback device, TLS, TCP and IP included, divided by the nodes. Other programs' too, so run alone. NaN without /proc. */
  readonly deviceBytesPerSecond: number;
}

/** The first probes, tables and dials are over. */
const SETTLE_MS = 10_000;

export async function measureIdle(dir: string, shape: ClusterShape, seconds: number): Promise<IdleFigures> {
  const cluster = await ServedCluster.start(dir, shape);
  try {
    await sleep(SETTLE_MS);
    const controlBefore = await controlBytes(cluster);
    // The pages of metrics are read outside of the time that is measured.
    const [cpuBefore, deviceBefore] = [readProcessCost(cluster.pids)?.cpuMs ?? NaN, loopbackBytes()];
    await sleep(seconds * 1000);
    const [cpuAfter, deviceAfter] = [readProcessCost(cluster.pids)?.cpuMs ?? NaN, loopbackBytes()];
    const controlAfter = await controlBytes(cluster);
    const each = shape.nodeCount * seconds;
    return { cpuPercent: (cpuAfter - cpuBefore) / 10 / each, controlBytesPerSecond: (controlAfter - controlBefore) / each, deviceBytesPerSecond: (deviceAfter - deviceBefore) / each };
  } finally {
    await cluster.stop();
  }
}

async function controlBytes(cluster: ServedCluster): Promise<number> {
  return (await cluster.metrics()).reduce((sum, metrics) => sum + metrics.sum("pyromesh_peer_control_bytes_total", { direction: "sent" }) + metrics.sum("pyromesh_peer_body_bytes_total", { direction: "sent" }), 0);
}

function loopbackBytes(): number {
  try {
    const line = readFileSync("/proc/net/dev", "latin1").split("\n").find((text) => text.trim().startsWith("lo:"));
    return Number(line?.trim().split(/\s+/)[9]);
  } catch {
    return NaN;
  }
}
