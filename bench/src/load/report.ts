/** The result of a run, as data and as a table. It names the machine and the commit: without them the figures mean nothing later. */
import { execFileSync } from "node:child_process";
import os from "node:os";
import type { LoadOptions } from "./options.ts";
import type { PushRunResult } from "./push-run.ts";
import type { VerifyResult } from "./verify.ts";

export interface LoadReport {
  readonly bench: "load";
  readonly takenAt: string;
  readonly machine: string;
  readonly commit: string;
  readonly url: string;
  readonly workload: LoadOptions["workload"];
  readonly inFlightCount: number;
  readonly push: PushReport | undefined;
  readonly verify: VerifyResult | undefined;
}

interface PushReport {
  readonly pushCount: number;
  readonly ackedCount: number;
  readonly refusedCount: number;
  readonly unsureCount: number;
  readonly failures: readonly string[];
  readonly elapsedS: number;
  readonly pushesPerS: number;
  readonly rawMbPerS: number;
  readonly rawBytesPerPush: number;
  readonly sentBytesPerPush: number;
  readonly gunzipMsPerPush: number;
  readonly cpuMsPerPush: number | undefined;
  /** The server's CPU per push, relative to the cost of decompressing the body. */
  readonly cpuPerPushInG: number | undefined;
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
  readonly peakAnonymousMb: number | undefined;
  readonly peakResidentMb: number | undefined;
  readonly flush: { readonly elapsedMs: number; readonly cpuMs: number | undefined; readonly status: number } | undefined;
}

const MB = 2 ** 20;

export function reportOf(options: LoadOptions, takenAt: string, push: PushRunResult | undefined, verified: VerifyResult | undefined): LoadReport {
  return {
    bench: "load",
    takenAt,
    machine: describeMachine(),
    commit: describeCommit(),
    url: options.url,
    workload: options.workload,
    inFlightCount: options.inFlightCount,
    push: push === undefined ? undefined : pushReportOf(push),
    verify: verified,
  };
}

function pushReportOf(run: PushRunResult): PushReport {
  const elapsedS = run.elapsedMs / 1000;
  const cpuMsPerPush = run.cpuMs === undefined || run.ackedCount === 0 ? undefined : run.cpuMs / run.ackedCount;
  const sorted = run.latenciesMs.slice().sort();
  const quantile = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
  return {
    pushCount: run.pushCount,
    ackedCount: run.ackedCount,
    refusedCount: run.refused.length,
    unsureCount: run.unsure.length,
    failures: run.failures,
    elapsedS,
    pushesPerS: run.ackedCount / elapsedS,
    rawMbPerS: run.rawBytes / MB / elapsedS,
    rawBytesPerPush: run.rawBytes / Math.max(1, run.ackedCount),
    sentBytesPerPush: run.sentBytes / Math.max(1, run.ackedCount),
    gunzipMsPerPush: run.gunzipMs,
    cpuMsPerPush,
    cpuPerPushInG: cpuMsPerPush === undefined ? undefined : cpuMsPerPush / run.gunzipMs,
    latencyMs: { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: sorted[sorted.length - 1] ?? 0 },
    peakAnonymousMb: run.peak === undefined ? undefined : run.peak.anonymousBytes / MB,
    peakResidentMb: run.peak === undefined ? undefined : run.peak.residentBytes / MB,
    flush: run.flush,
  };
}

export function printReport(report: LoadReport): string {
  const rows: [string, string][] = [
    ["machine", report.machine],
    ["commit", report.commit],
    ["server", report.url],
    ["workload", `seed ${report.workload.seed}, ${report.workload.pushCount} pushes, ${report.workload.podCount} pods, ${report.workload.serviceCount} services, ${report.inFlightCount} in flight`],
  ];
  const { push, verify } = report;
  if (push !== undefined) {
    const { latencyMs } = push;
    rows.push(
      ["pushes", `${push.ackedCount} acknowledged, ${push.refusedCount} refused, ${push.unsureCount} unsure`],
      ["rate", `${push.pushesPerS.toFixed(0)} pushes/s, ${push.rawMbPerS.toFixed(1)} MB/s of pprof (${push.elapsedS.toFixed(1)} s)`],
      ["push size", `${(push.rawBytesPerPush / 1024).toFixed(1)} KB, ${(push.sentBytesPerPush / 1024).toFixed(1)} KB sent`],
      ["latency", `p50 ${latencyMs.p50.toFixed(1)}, p90 ${latencyMs.p90.toFixed(1)}, p99 ${latencyMs.p99.toFixed(1)}, max ${latencyMs.max.toFixed(1)} ms`],
      ["gunzip (G)", `${push.gunzipMsPerPush.toFixed(3)} ms a push`],
      ["server CPU", push.cpuMsPerPush === undefined ? "unknown (no --pid)" : `${push.cpuMsPerPush.toFixed(3)} ms a push, ${push.cpuPerPushInG!.toFixed(2)} G`],
      ["server memory", push.peakAnonymousMb === undefined ? "unknown (no --pid)" : `peak ${push.peakAnonymousMb.toFixed(0)} MB anonymous, ${push.peakResidentMb!.toFixed(0)} MB resident`],
    );
    if (push.flush !== undefined) {
      const cpu = push.flush.cpuMs === undefined ? "" : `, ${push.flush.cpuMs.toFixed(0)} ms of CPU`;
      rows.push(["flush", `${push.flush.status} in ${push.flush.elapsedMs.toFixed(0)} ms${cpu}`]);
    }
    for (const failure of push.failures) rows.push(["failure", failure]);
  }
  if (verify !== undefined) {
    rows.push(["verify", `${verify.mismatchCount} mismatches in ${verify.sumCount} sums of ${verify.comparedCount} answers (${(verify.elapsedMs / 1000).toFixed(1)} s)`]);
    for (const mismatch of verify.mismatches) rows.push(["mismatch", mismatch]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join("");
}

function describeMachine(): string {
  const cpus = os.cpus();
  return `${cpus[0]?.model.trim() ?? "unknown CPU"} x${cpus.length}, ${(os.totalmem() / 2 ** 30).toFixed(0)} GB, ${os.type()} ${os.release()}, Node ${process.version}`;
}

function describeCommit(): string {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty", "--abbrev=12"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown";
  }
}
