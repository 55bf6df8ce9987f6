import { DEFAULT_PROFILE_LIMITS, parseProfileType } from "@pyromesh/profile";
import { expect } from "chai";
import { describeCall, finishShape, scanShape, sidesOf } from "./call-shape.ts";
import type { Scanned } from "./call-shape.ts";
import type { PlainRowQuery } from "./compute.ts";

const SECOND_NS = 10n ** 9n;
const TYPE = parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds");

const diff = (leftCount: number) => ({ kind: "diff", maxNodes: 10, leftCount, profileType: TYPE, form: "json" }) as const;

function namesOf(changes: Partial<PlainRowQuery> = {}, tenants = ["t1"]): Scanned {
  const query: PlainRowQuery = { startNs: 0n, endNs: 3600n * SECOND_NS, profileType: TYPE, selector: [], callSite: [], profileIds: [], spanIds: [], traceIds: [], ...changes };
  return { spec: { kind: "names", query }, tenants };
}

describe("the shape of a call", () => {
  it("is the same a minute later, and another for half the time, another tenant or selector", () => {
    const shape = scanShape(namesOf());
    expect(scanShape(namesOf({ startNs: 60n * SECOND_NS, endNs: 3660n * SECOND_NS }))).to.equal(shape);
    const others = [
      namesOf({ endNs: 1800n * SECOND_NS }),
      namesOf({}, ["t2"]),
      namesOf({ selector: [{ name: "service_name", operator: "=", value: "a" }] }),
      namesOf({ profileType: parseProfileType("memory:alloc_space:bytes:space:bytes") }),
      { ...namesOf(), spec: { ...namesOf().spec, kind: "locations" } as Scanned["spec"] },
    ];
    expect(new Set([shape, ...others.map(scanShape)]).size).to.equal(others.length + 1);
  });

  it("of points has their step and grouping in it, and not when they begin", () => {
    const points = (startMs: number, stepMs: number, groupBy: string[]): Scanned => {
      const { query } = namesOf().spec as Extract<Scanned["spec"], { kind: "names" }>;
      return { spec: { kind: "points", query, shape: { startMs, endMs: startMs + 1000, stepMs, groupBy, aggregation: "sum", exemplars: "none" } as never }, tenants: ["t1"] };
    };
    const shape = scanShape(points(0, 10, ["pod"]));
    expect(scanShape(points(5, 10, ["pod"]))).to.equal(shape);
    expect(scanShape(points(0, 20, ["pod"]))).not.to.equal(shape);
    expect(scanShape(points(0, 10, ["node"]))).not.to.equal(shape);
  });

  it("of a merge is told by what was scanned and what is asked of it", () => {
    const shape = finishShape({ kind: "flame-graph", maxNodes: 10, form: "json" }, [namesOf()]);
    expect(finishShape({ kind: "flame-graph", maxNodes: 10, form: "json" }, [namesOf({ startNs: 1n, endNs: 3600n * SECOND_NS + 1n })])).to.equal(shape);
    expect(finishShape({ kind: "flame-graph", maxNodes: 11, form: "json" }, [namesOf()])).not.to.equal(shape);
    expect(finishShape({ kind: "flame-graph", maxNodes: 10, form: "json" }, [namesOf({}, ["t2"])])).not.to.equal(shape);
    expect(finishShape({ kind: "flame-graph", maxNodes: 10, form: "json" }, [undefined])).not.to.equal(shape);
  });

  it("of a diff has both sides in it, and not how many partial answers each has", () => {
    const [left, right] = [namesOf(), namesOf({ selector: [{ name: "pod", operator: "=", value: "a" }] })];
    const shapeOf = (a: Scanned | undefined, b: Scanned | undefined, leftCount = 2): string => finishShape(diff(leftCount), [a, b]);
    const shape = shapeOf(left, right);
    expect(shapeOf(left, right, 7)).to.equal(shape);
    const others = [shapeOf(left, left), shapeOf(right, left), shapeOf(left, undefined), shapeOf(undefined, left), shapeOf(left, namesOf({ endNs: 1800n * SECOND_NS }))];
    expect(new Set([shape, ...others]).size).to.equal(others.length + 1);
  });

  it("of a diff takes each side's scan from its own partial answers, where the left has none too", () => {
    expect(sidesOf(diff(2), ["a", "a", "b"])).to.deep.equal([["a", "a"], ["b"]]);
    expect(sidesOf(diff(0), ["b"])).to.deep.equal([[], ["b"]]);
    expect(sidesOf({ kind: "flame-graph", maxNodes: 1, form: "json" }, ["a", "b"])).to.deep.equal([["a", "b"]]);
  });

  it("of a reply over time is the same a minute later, however many partial answers there are", () => {
    const render = (startMs: number, graphCount: number, stepMs = 15_000): string => {
      const shape = { startMs, endMs: startMs + 3_600_000, stepMs, groupBy: ["pod"], aggregation: "sum", exemplars: "none" } as const;
      return finishShape({ kind: "render", maxNodes: 10, graphCount, profileType: TYPE, shape }, [namesOf(), undefined]);
    };
    expect(render(60_000, 3)).to.equal(render(0, 2));
    expect(render(0, 2, 30_000)).not.to.equal(render(0, 2));
  });
});

describe("a call in a log line", () => {
  it("that draws an uploaded file does not show the file's name, which a client chose", () => {
    const file = { name: "left profile secret.pb", bytes: new Uint8Array(1) };
    const task = { files: [file], profileType: undefined, maxNodes: 0, limits: DEFAULT_PROFILE_LIMITS, reply: undefined, form: "json" } as const;
    expect(describeCall({ method: "draw", task })).to.equal("drawing of an uploaded file");
    expect(describeCall({ method: "draw", task: { ...task, files: [file, file] } })).to.equal("drawing of the diff of two uploaded files");
  });
});
