/** A RecordView from a short spec, for tests that need rows without pprof bytes. */
import { createHash } from "node:crypto";
import type { Label } from "../labels/labels.ts";
import { sortLabels } from "../labels/labels.ts";
import type { SampleType } from "../labels/profile-type.ts";
import type { RecordView, ValueColumn } from "../model/record-view.ts";
import { StacktraceInterner } from "../dataset/stacktrace-interner.ts";
import { SymbolInterner } from "../dataset/symbol-interner.ts";

export interface RecordSpec {
  readonly labels: Readonly<Record<string, string>>;
  readonly timeNs: bigint;
  readonly types?: readonly SampleType[];
  readonly period?: SampleType;
  readonly profileId?: Uint8Array;
  /** Frames from the root; a value per type; a span of 16 hex digits. */
  readonly samples: readonly { readonly stack: readonly string[]; readonly values: readonly (number | bigint)[]; readonly span?: string }[];
  /** Makes the identity another one for the same content. */
  readonly salt?: string;
}

export function recordView(spec: RecordSpec): RecordView {
  const symbols = new SymbolInterner();
  const tree = new StacktraceInterner();
  const locationOf = (frame: string): number => {
    const one = new SymbolInterner();
    const name = Buffer.from(frame);
    const string = one.string(name, 0, name.length);
    one.functionCount = 2;
    one.functionName[1] = string;
    one.functionSystemName[1] = string;
    one.locationCount = 2;
    one.lineCount = 1;
    one.lineStart[2] = 1;
    one.lineFunction[0] = 1;
    one.lineNumber[0] = 7;
    return symbols.translate(one).location[1]!;
  };
  const sampleNode = Uint32Array.from(spec.samples.map(({ stack }) => stack.reduce((node, frame) => tree.child(node, locationOf(frame)), 0)));
  const types = spec.types ?? [{ type: "cpu", unit: "nanoseconds" }];
  const spans = [...new Set(spec.samples.map(({ span }) => span).filter((span) => span !== undefined))];
  const values = types.map((_, column): ValueColumn => {
    const own = spec.samples.map((sample) => sample.values[column]!);
    return own.some((value) => BigInt(value) >= 2n ** 53n) ? BigInt64Array.from(own.map(BigInt)) : Float64Array.from(own.map(Number));
  });
  const labels: Label[] = sortLabels(Object.entries(spec.labels).map(([name, value]) => ({ name, value })));
  const content = JSON.stringify({ ...spec, profileId: undefined }, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
  return {
    identity: createHash("sha256").update(content).digest().subarray(0, 16),
    tenant: "anonymous",
    labels,
    timeNs: spec.timeNs,
    durationNs: 10_000_000_000n,
    period: 10_000_000n,
    periodType: spec.period ?? { type: "cpu", unit: "nanoseconds" },
    sampleTypes: types,
    profileId: spec.profileId,
    symbols,
    tree,
    sampleCount: spec.samples.length,
    sampleNode,
    values,
    sampleSpan: spans.length === 0 ? undefined : Uint32Array.from(spec.samples.map(({ span }) => (span === undefined ? 0 : spans.indexOf(span) + 1))),
    spans: Buffer.concat([Buffer.alloc(8), ...spans.map((span) => Buffer.from(span, "hex"))]),
    sampleTrace: undefined,
    traces: new Uint8Array(16),
  };
}
