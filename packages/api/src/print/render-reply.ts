/**
 * Prints the JSON of the render API. Pure, and called in a worker: a flame graph of a million nodes takes a second.
 *
 * Clients depend on the keys and their order; `groups`, `heatmap` and `timeline` are always there, null where empty.
 */
import { ByteWriter } from "@pyromesh/base";
import { graphMetadata } from "@pyromesh/profile";
import type { FlameGraph, FlameGraphDiff, GraphMetadata, Int64, Interrupt, PointsShape, ProfileType, TimeSeries } from "@pyromesh/profile";
import { REPLY_GROWTH } from "../proto/json-encode.ts";
import { timelineGroups, timelineOf } from "./render-timeline.ts";
import type { Timeline } from "./render-timeline.ts";

interface RenderReplyInput {
  readonly graph: FlameGraph;
  /** The series of the timeline, with the step of `shape`. */
  readonly series: readonly TimeSeries[];
  readonly profileType: ProfileType;
  readonly shape: Pick<PointsShape, "startMs" | "endMs" | "stepMs" | "groupBy">;
}

/** GET /pyroscope/render. The groups are the values of the first label. */
export function printRender({ graph, series, profileType, shape }: RenderReplyInput, interrupt: Interrupt): Uint8Array {
  const range = [shape.startMs, shape.endMs, shape.stepMs / 1000] as const;
  const [first] = shape.groupBy;
  const out = new ByteWriter(1 << 16, REPLY_GROWTH);
  writeGraph(graph, "single", metadataOf(profileType), out, interrupt);
  out.utf8(`,"timeline":`);
  writeTimeline(timelineOf(series, ...range), out, interrupt);
  out.utf8(`,"groups":`);
  if (first === undefined) out.utf8("null");
  else writeGroups(timelineGroups(series, first, ...range), out, interrupt);
  return out.utf8(`,"heatmap":null}`).finish();
}

/** The same of a graph that has no timeline. */
export function printGraph(graph: FlameGraph, metadata: GraphMetadata, interrupt: Interrupt): Uint8Array {
  const out = new ByteWriter(1 << 16, REPLY_GROWTH);
  writeGraph(graph, "single", metadata, out, interrupt);
  return out.utf8(`,"timeline":null,"groups":null,"heatmap":null}`).finish();
}

/** GET /pyroscope/render-diff */
export function printRenderDiff(graph: FlameGraphDiff, profileType: ProfileType, interrupt: Interrupt): Uint8Array {
  return printGraphDiff(graph, metadataOf(profileType), interrupt);
}

export function printGraphDiff(graph: FlameGraphDiff, metadata: GraphMetadata, interrupt: Interrupt): Uint8Array {
  const out = new ByteWriter(1 << 16, REPLY_GROWTH);
  writeGraph(graph, "double", metadata, out, interrupt);
  out.utf8(`,"timeline":null,"groups":null,"heatmap":null`);
  if (!isZero(graph.leftTicks)) out.utf8(`,"leftTicks":${graph.leftTicks}`);
  if (!isZero(graph.rightTicks)) out.utf8(`,"rightTicks":${graph.rightTicks}`);
  return out.utf8("}").finish();
}

/** Written by hand: values above 2^53 are bigints, which JSON.stringify refuses. */
function writeGraph(graph: FlameGraph, format: "single" | "double", { name, sampleRate, spyName, units }: GraphMetadata, out: ByteWriter, interrupt: Interrupt): void {
  out.utf8(`{"version":1,"flamebearer":{"names":[`);
  for (const [index, name] of graph.names.entries()) {
    interrupt.after(1);
    if (index > 0) out.utf8(",");
    out.utf8(JSON.stringify(name));
  }
  out.utf8(`],"levels":[`);
  for (const [index, values] of graph.levels.entries()) {
    if (index > 0) out.utf8(",");
    writeNumbers(values, out, interrupt);
  }
  out.utf8(`],"numTicks":${graph.total},"maxSelf":${graph.maxSelf}},"metadata":`);
  out.utf8(JSON.stringify({ format, spyName, sampleRate, units, name }));
}

function metadataOf({ sampleType, sampleUnit }: ProfileType): GraphMetadata {
  return graphMetadata({ type: sampleType, unit: sampleUnit });
}

function writeTimeline({ startTime, samples, durationDelta }: Timeline, out: ByteWriter, interrupt: Interrupt): void {
  out.utf8(`{"startTime":${startTime},"samples":`);
  writeNumbers(samples, out, interrupt);
  out.utf8(`,"durationDelta":${durationDelta},"watermarks":null}`);
}

function writeGroups(groups: Iterable<readonly [string, Timeline]>, out: ByteWriter, interrupt: Interrupt): void {
  let isFirst = true;
  out.utf8("{");
  for (const [value, timeline] of groups) {
    if (!isFirst) out.utf8(",");
    isFirst = false;
    out.utf8(`${JSON.stringify(value)}:`);
    writeTimeline(timeline, out, interrupt);
  }
  out.utf8("}");
}

function writeNumbers(values: readonly Int64[], out: ByteWriter, interrupt: Interrupt): void {
  out.utf8("[");
  for (let i = 0; i < values.length; i++) {
    interrupt.after(1);
    if (i > 0) out.utf8(",");
    out.decimal(values[i]!);
  }
  out.utf8("]");
}

function isZero(value: Int64): boolean {
  return value === 0 || value === 0n;
}
