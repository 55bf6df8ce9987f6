/**
 * What makes two queries the same for a worker: all that they ask, but not when. A time range counts by its length, to the next power of
 * two: a dashboard that asks again a minute later asks the same, and one that asks for half the time does not.
 */
import type { FinishSpec, ScanSpec, ScanTask } from "./compute.ts";
import type { LaneCall } from "./lane-protocol.ts";
import { isPush } from "./lane-protocol.ts";

/** What a query scans, wherever it does. */
export type Scanned = Pick<ScanTask, "spec" | "tenants">;

export function scanShape({ spec, tenants }: Scanned): string {
  return print(["scan", tenants, specOf(spec)]);
}

/** `scanned`: what gave the partial answers that are merged. */
export function mergeShape(spec: ScanSpec, scanned: Scanned | undefined): string {
  return print(["merge", scanned?.tenants, specOf(spec)]);
}

/** `scanned`: what gave the partial answers; undefined: there were none. */
export function finishShape(spec: FinishSpec, scanned: Scanned | undefined): string {
  return print(["finish", timeless(spec), scanned?.tenants, scanned === undefined ? undefined : specOf(scanned.spec)]);
}

/** Of one lane: each builds datasets of its own. */
export function buildShape(lane: number, generation: number, tenant: string, windowStartMs: number): string {
  return print(["build", lane, generation, tenant, windowStartMs]);
}

/** What a log line says of a call, without its data. */
export function describeCall(call: LaneCall): string {
  if (isPush(call)) return `push of tenant ${call[4]}`;
  switch (call.method) {
    case "scan":
      return `scan for ${call.task.spec.kind} of ${call.task.tenants.map((tenant) => `tenant ${tenant}`).join(", ")}`;
    case "merge":
      return `merge of partial answers for ${call.spec.kind}`;
    case "finish":
      return `finish of ${call.spec.kind}`;
    case "build":
      return `build of tenant ${call.tenant}, window ${call.windowStartMs}`;
    default:
      return call.method;
  }
}

function specOf(spec: ScanSpec): unknown {
  if (spec.kind === "listing" || spec.kind === "census") return { ...spec, startNs: undefined, endNs: undefined, range: rangeOf(spec.startNs, spec.endNs) };
  const { query } = spec;
  const shape = "shape" in spec ? timeless(spec.shape) : undefined;
  return { kind: spec.kind, shape, query: { ...query, startNs: undefined, endNs: undefined, range: rangeOf(query.startNs, query.endNs) } };
}

function timeless(shape: object): object {
  return { ...shape, startMs: undefined, endMs: undefined, timeNs: undefined };
}

/** The least power of two that is no shorter. */
function rangeOf(startNs: bigint, endNs: bigint): number {
  return Math.ceil(Math.log2(Math.max(1, Number(endNs - startNs))));
}

function print(parts: readonly unknown[]): string {
  return JSON.stringify(parts);
}
