/**
 * Says which queries count as the same one when workers die of them: those that differ in nothing but their time, over ranges of about the same length
 * (rounded up to a power of two). A dashboard that is refreshed a minute later asks the same; a query over half the time is another.
 */
import type { DrawTask, FinishSpec, ScanSpec, ScanTask } from "./compute.ts";
import type { WorkerCall } from "./worker-protocol.ts";
import { isPush } from "./worker-protocol.ts";

/** What a query scans, without the places where its rows lie. */
export type Scanned = Pick<ScanTask, "spec" | "tenants">;

export function scanShape({ spec, tenants }: Scanned): string {
  return print(["scan", tenants, specOf(spec)]);
}

/** `scanned`: the scan whose partial answers are merged. */
export function mergeShape(spec: ScanSpec, scanned: Scanned | undefined): string {
  return print(["merge", scanned?.tenants, specOf(spec)]);
}

/**
 * `sides`: the scans whose partial answers are finished: one, or the two of a diff, or a flame graph and its timeline. Undefined where a scan
 * found nothing.
 */
export function finishShape(spec: FinishSpec, sides: readonly (Scanned | undefined)[]): string {
  const shape = "shape" in spec ? timeless(spec.shape) : undefined;
  // How many partial answers a side has depends on where the rows lie, not on the query.
  const asked = { ...timeless(spec), shape, leftCount: undefined, graphCount: undefined };
  return print(["finish", asked, ...sides.flatMap((scanned) => [scanned?.tenants, scanned === undefined ? undefined : specOf(scanned.spec)])]);
}

/** Splits partial answers into those of each scan. */
export function sidesOf<T>(spec: FinishSpec, partials: readonly T[]): readonly (readonly T[])[] {
  const firstCount = spec.kind === "diff" ? spec.leftCount : spec.kind === "render" ? spec.graphCount : undefined;
  return firstCount === undefined ? [partials] : [partials.slice(0, firstCount), partials.slice(firstCount)];
}

/** The part of a build that one worker does: it builds the datasets that it holds. */
export function buildShape(worker: number, generation: number, tenant: string, windowStartMs: number): string {
  return print(["build", worker, generation, tenant, windowStartMs]);
}

/** `contentOf`: a digest of a file's bytes. */
export function drawShape({ files }: Pick<DrawTask, "files">, contentOf: (bytes: Uint8Array) => string): string {
  return print(["draw", ...files.map(({ bytes }) => contentOf(bytes))]);
}

/** Names a call in a log line, without its data. */
export function describeCall(call: WorkerCall): string {
  if (isPush(call)) return `push of tenant ${call[4]}`;
  switch (call.method) {
    case "scan":
      return `scan for ${call.task.spec.kind} of ${call.task.tenants.map((tenant) => `tenant ${tenant}`).join(", ")}`;
    case "merge":
      return `merge of partial answers for ${call.spec.kind}`;
    case "finish":
      return `finish of ${call.spec.kind}`;
    case "draw":
      return call.task.files.length === 1 ? "drawing of an uploaded file" : "drawing of the diff of two uploaded files";
    case "build":
      return `build of tenant ${call.tenant}, window ${call.windowStartMs}`;
    case "resume":
      return "push of a body of many profiles";
    default:
      return call.method;
  }
}

function specOf(spec: ScanSpec): unknown {
  if (spec.kind === "listing" || spec.kind === "cardinality") return { ...spec, startNs: undefined, endNs: undefined, range: rangeOf(spec.startNs, spec.endNs) };
  const { query } = spec;
  const shape = "shape" in spec ? timeless(spec.shape) : undefined;
  return { kind: spec.kind, shape, query: { ...query, startNs: undefined, endNs: undefined, range: rangeOf(query.startNs, query.endNs) } };
}

function timeless(shape: object): object {
  return { ...shape, startMs: undefined, endMs: undefined, timeNs: undefined };
}

/** The exponent of the smallest power of two that is at least the range. */
function rangeOf(startNs: bigint, endNs: bigint): number {
  return Math.ceil(Math.log2(Math.max(1, Number(endNs - startNs))));
}

function print(parts: readonly unknown[]): string {
  return JSON.stringify(parts);
}
