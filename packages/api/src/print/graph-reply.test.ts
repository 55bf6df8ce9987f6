import { decodeUtf8 } from "@pyromesh/base";
import { Interrupt, UNINTERRUPTED } from "@pyromesh/profile";
import type { Exemplar, FlameGraphDiff, HeatmapSeries, TimeSeries } from "@pyromesh/profile";
import { expect } from "chai";
import { printDiff, printDot, printFlameGraph, printPprof, printTree } from "./graph-reply.ts";
import { encodeBinary } from "../proto/binary.ts";
import { encodeJson } from "../proto/json-encode.ts";
import { PPROF } from "../proto/pprof-v1.ts";
import * as q from "../proto/querier-v1.ts";
import type { MessageSchema } from "../proto/schema.ts";
import { printRender, printRenderDiff } from "./render-reply.ts";
import { printHeatmap, printSeries } from "./series-reply.ts";

const GRAPH = { names: ["total", 'a"ä'], levels: [[0, 5, 0, 0], [0, 5, 2n ** 60n, 1]], total: 5, maxSelf: 2n ** 60n };
const DIFF: FlameGraphDiff = { names: ["total"], levels: [[0, 1, 0, 0, 2, 0, 0]], total: 3, maxSelf: 0, leftTicks: 1, rightTicks: 2 };
const EXEMPLAR: Exemplar = { timestampMs: 9, profileId: "p", spanId: "s", traceId: "", value: 3, labels: [{ name: "x", value: "y" }] };
const PROFILE = encodeBinary(PPROF, { sample: [{ locationId: [1], value: [-3] }], stringTable: ["", "cpu"], timeNanos: 2n ** 60n });

function expectMessage<T extends object>(schema: MessageSchema<T>, message: T, print: (form: "json" | "proto") => Uint8Array): void {
  expect(decodeUtf8(print("json"))).to.equal(decodeUtf8(encodeJson(schema, message)));
  expect(Buffer.from(print("proto"))).to.deep.equal(Buffer.from(encodeBinary(schema, message)));
}

describe("printed replies", () => {
  it("equal what the codecs write for the response's message", () => {
    const flamegraph = { ...GRAPH, levels: GRAPH.levels.map((values) => ({ values })) };
    expectMessage(q.SELECT_MERGE_STACKTRACES_RESPONSE, { flamegraph }, (form) => printFlameGraph(GRAPH, form, UNINTERRUPTED));
    expectMessage(q.SELECT_MERGE_SPAN_PROFILE_RESPONSE, { flamegraph }, (form) => printFlameGraph(GRAPH, form, UNINTERRUPTED));
    expectMessage(q.DIFF_RESPONSE, { flamegraph: { ...DIFF, levels: DIFF.levels.map((values) => ({ values })) } }, (form) => printDiff(DIFF, form, UNINTERRUPTED));
    const tree = Uint8Array.of(0, 0, 1);
    expectMessage(q.SELECT_MERGE_STACKTRACES_RESPONSE, { tree }, (form) => printTree(tree, form, UNINTERRUPTED));
    expectMessage(q.SELECT_MERGE_SPAN_PROFILE_RESPONSE, { tree }, (form) => printTree(tree, form, UNINTERRUPTED));
    expectMessage(q.SELECT_MERGE_STACKTRACES_RESPONSE, { dot: "digraph {ä}" }, (form) => printDot("digraph {ä}", form, UNINTERRUPTED));
    expectMessage(q.SELECT_MERGE_STACKTRACES_RESPONSE, { pprof: { profile: PROFILE } }, (form) => printPprof(PROFILE, `field-${form}`, UNINTERRUPTED));
  });

  it("a pprof that is the whole reply is passed through in binary and printed by field in JSON; a drawing is text", () => {
    expect(printPprof(PROFILE, "proto", UNINTERRUPTED)).to.equal(PROFILE);
    expect(JSON.parse(decodeUtf8(printPprof(PROFILE, "json", UNINTERRUPTED)))).to.deep.equal({ sample: [{ locationId: ["1"], value: ["-3"] }], stringTable: ["", "cpu"], timeNanos: String(2n ** 60n) });
    expect(decodeUtf8(printPprof(new Uint8Array(0), "json", UNINTERRUPTED))).to.equal("{}");
    expect(decodeUtf8(printPprof(encodeBinary(PPROF, { stringTable: ["", "\ufeffmain"] }), "json", UNINTERRUPTED))).to.equal('{"stringTable":["","\ufeffmain"]}');
    expect(decodeUtf8(printDot("digraph {ä}", "text", UNINTERRUPTED))).to.equal("digraph {ä}");
  });

  it("over time: none, one and several series equal what the codecs write for all of them", () => {
    const labels = [{ name: "pod", value: "a" }];
    const series: TimeSeries[] = [0, 1].map((n) => ({ labels, points: [{ timestampMs: 1000 + n, value: n / 3, exemplars: [EXEMPLAR] }] }));
    const heatmaps: HeatmapSeries[] = [0, 1].map((n) => ({ labels, slots: [{ timestampMs: 5, yMin: [0, 1.5], counts: [n, 2], exemplars: [EXEMPLAR] }] }));
    const { timestampMs: timestamp, ...exemplar } = EXEMPLAR;
    const exemplars = [{ timestamp, ...exemplar }];
    for (let count = 0; count <= 2; count++) {
      const points = series.slice(0, count).map((one) => ({ labels, points: one.points.map((point) => ({ value: point.value, timestamp: point.timestampMs, annotations: [], exemplars })) }));
      expectMessage(q.SELECT_SERIES_RESPONSE, { series: points }, (form) => printSeries(series.slice(0, count), form, UNINTERRUPTED));
      const slots = heatmaps.slice(0, count).map((one) => ({ labels, slots: one.slots.map((slot) => ({ timestamp: slot.timestampMs, yMin: slot.yMin, counts: slot.counts, exemplars })) }));
      expectMessage(q.SELECT_HEATMAP_RESPONSE, { series: slots }, (form) => printHeatmap(heatmaps.slice(0, count), form, UNINTERRUPTED));
    }
  });

  it("stop in the middle where nobody waits, or memory is short", () => {
    const long = { ...DIFF, levels: [Array<number>(70_000).fill(1)] };
    const series = Array.from({ length: 3000 }, (): TimeSeries => ({ labels: [{ name: "pod", value: "a" }], points: Array.from({ length: 5 }, (_, n) => ({ timestampMs: n * 15_000, value: 1, exemplars: [] })) }));
    const profileType = { name: "memory", sampleType: "inuse_space", sampleUnit: "bytes", periodType: "space", periodUnit: "bytes" };
    const shape = { startMs: 0, endMs: 3_600_000, stepMs: 15_000, groupBy: ["pod"] };
    const profile = encodeBinary(PPROF, { sample: Array.from({ length: 20_000 }, () => ({ locationId: [1, 2], value: [1], label: [] })) });
    const printed: Readonly<Record<string, (interrupt: Interrupt) => Uint8Array>> = {
      "flame graph": (interrupt) => printFlameGraph(long, "json", interrupt),
      diff: (interrupt) => printDiff(long, "json", interrupt),
      pprof: (interrupt) => printPprof(profile, "field-json", interrupt),
      render: (interrupt) => printRender({ graph: long, series, profileType, shape }, interrupt),
      "render-diff": (interrupt) => printRenderDiff(long, profileType, interrupt),
      points: (interrupt) => printSeries(series, "json", interrupt),
      "points in binary": (interrupt) => printSeries(series, "proto", interrupt),
    };
    const gone = new Error("gone");
    for (const [name, print] of Object.entries(printed)) {
      let checks = 0;
      const interrupt = new Interrupt(() => {
        if (++checks === 3) throw gone;
      });
      expect(() => print(interrupt), name).to.throw(gone);
    }
  });
});
