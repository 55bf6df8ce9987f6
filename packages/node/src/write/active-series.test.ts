import { Metrics, parseTenantId } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/block/testing";
import { DEFAULT_PROFILE_LIMITS, encodePush, PprofWriter } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import { expect } from "chai";
import fc from "fast-check";
import { ActiveSeries } from "./active-series.ts";
import type { ActiveSeriesOptions } from "./active-series.ts";

const A = parseTenantId("a");
const B = parseTenantId("b");
const MINUTE_MS = 60_000;
const UNLIMITED = { localSeriesMax: 0, globalSeriesMax: 0 };
const atMost = (globalSeriesMax: number): { localSeriesMax: number; globalSeriesMax: number } => ({ localSeriesMax: 0, globalSeriesMax });

/** The records of one profile: one for each pod, which its samples name; each column is a series. */
function records(pods: readonly string[], typeCount = 1): EncodedRecord[] {
  const sampleTypes = Array.from({ length: typeCount }, (_, i) => ({ type: `type${i}`, unit: "count" }));
  const writer = new PprofWriter({ sampleTypes, periodType: { type: "cpu", unit: "nanoseconds" }, period: 1, timeNs: 1n, durationNs: 1n });
  for (const pod of pods) writer.sample([writer.frame("work")], sampleTypes.map(() => 1), [{ name: "pod", value: pod }]);
  return encodePush({
    tenant: "a",
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: "api" }],
    pprof: writer.finish(),
    fallbackTimeNs: 1n,
    nonce: new Uint8Array(16),
    nowMs: 0,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  });
}

describe("active series", () => {
  let clock: ManualClock;
  let metrics: Metrics;
  let active: ActiveSeries;
  const open = (options: ActiveSeriesOptions = {}): void => {
    clock = new ManualClock();
    metrics = new Metrics();
    active = new ActiveSeries(options, { clock, metrics });
  };
  beforeEach(() => open());

  const admit = (tenant: TenantId, pods: readonly string[], limits = UNLIMITED, typeCount = 1): string => {
    const { records: kept, refusal } = active.admit(tenant, records(pods, typeCount), limits);
    return `${kept.length} of ${pods.length} ${refusal?.code ?? "ok"}`;
  };
  const lines = async (): Promise<string[]> => (await metrics.text()).split("\n").filter((line) => line.startsWith("pyromesh_head_series"));

  it("a new series past the limit is refused; the active ones go on", () => {
    expect(admit(A, ["x"], atMost(2))).to.equal("1 of 1 ok");
    expect(admit(A, ["y"], atMost(2))).to.equal("1 of 1 ok");
    expect(admit(A, ["z"], atMost(2))).to.equal("0 of 1 SERIES_LIMIT");
    expect(admit(A, ["x"], atMost(2))).to.equal("1 of 1 ok");
    expect(active.count(A)).to.equal(2);
  });

  it("a refusal counts nothing: what was refused is refused again, and lifting the limit lets it in", () => {
    admit(A, ["x"], atMost(1));
    for (let i = 0; i < 3; i++) expect(admit(A, ["y"], atMost(1))).to.equal("0 of 1 SERIES_LIMIT");
    expect(admit(A, ["y"], atMost(2))).to.equal("1 of 1 ok");
  });

  it("of a profile that its samples' labels split, the known part is kept", () => {
    admit(A, ["x", "y"], atMost(2));
    expect(admit(A, ["x", "z", "y"], atMost(2))).to.equal("2 of 3 SERIES_LIMIT");
  });

  it("each sample type of a record is a series, and a record is admitted with all of them or not at all", () => {
    expect(admit(A, ["x"], atMost(3), 4)).to.equal("0 of 1 SERIES_LIMIT");
    expect(active.count(A)).to.equal(0);
    expect(admit(A, ["x"], atMost(4), 4)).to.equal("1 of 1 ok");
    expect(active.count(A)).to.equal(4);
  });

  it("a limit that was lowered refuses new series only", () => {
    admit(A, ["x", "y", "z"], atMost(5));
    expect(admit(A, ["x", "y", "z"], atMost(1))).to.equal("3 of 3 ok");
    expect(admit(A, ["w"], atMost(1))).to.equal("0 of 1 SERIES_LIMIT");
  });

  it("tenants do not share a limit", () => {
    admit(A, ["x"], atMost(1));
    expect(admit(B, ["y"], atMost(1))).to.equal("1 of 1 ok");
  });

  it("a series without a push for ten minutes makes room; one that was pushed stays", () => {
    admit(A, ["x", "y"], atMost(2));
    clock.advance(6 * MINUTE_MS);
    admit(A, ["x"], atMost(2));
    clock.advance(4 * MINUTE_MS);
    expect(admit(A, ["z"], atMost(2)), "ten minutes are not over").to.equal("0 of 1 SERIES_LIMIT");
    clock.advance(MINUTE_MS);
    expect(admit(A, ["z"], atMost(2))).to.equal("1 of 1 ok");
    expect(admit(A, ["y"], atMost(2)), "y is new again").to.equal("0 of 1 SERIES_LIMIT");
    expect(admit(A, ["x"], atMost(2))).to.equal("1 of 1 ok");
  });

  it("what was in the head at start is active, also above the limit; a torn record is left to others", () => {
    for (const { bytes } of records(["x", "y"])) active.resume("a", bytes);
    active.resume("a", new Uint8Array(7));
    expect(active.count(A)).to.equal(2);
    expect(admit(A, ["x"], atMost(1))).to.equal("1 of 1 ok");
    expect(admit(A, ["z"], atMost(1))).to.equal("0 of 1 SERIES_LIMIT");
  });

  it("label sets: new ones are refused where they have no room, all of them, and nothing changes", () => {
    const push = (labelSets: readonly number[], max: number): string => {
      const { refusal, isNew, end } = active.announce(A, labelSets, atMost(max));
      const newOnes = labelSets.filter(isNew).join();
      end();
      return `${newOnes} ${refusal?.code ?? "ok"}`;
    };
    active.admit(A, records(["x"]), atMost(3), 1);
    expect(push([1], 1), "known").to.equal(" ok");
    expect(push([1, 2, 3], 3)).to.equal("2,3 ok");
    expect(push([1, 2, 3], 3), "what was announced was given back").to.equal("2,3 ok");
    expect(push([2, 2, 3, 2], 3), "each counts once").to.equal("2,2,3,2 ok");
    expect(push([2, 3, 4], 3)).to.equal("2,3,4 SERIES_LIMIT");
    expect(push([1, 2, 3, 4], 3)).to.equal("2,3,4 PUSH_SERIES_ABOVE_LIMIT");
    expect(active.count(A)).to.equal(1);
  });

  it("label sets: two pushes at once do not fill the same room, and the same new one counts once", () => {
    const first = active.announce(A, [1, 2], atMost(3));
    expect(active.announce(A, [3, 4], atMost(3)).refusal?.code).to.equal("SERIES_LIMIT");
    const second = active.announce(A, [2, 3], atMost(3));
    expect(second.refusal).to.equal(undefined);
    active.admit(A, records(["two"]), atMost(3), 2);
    first.end();
    expect([first.isNew(2), first.isNew(1)], "admitted, and not").to.deep.equal([false, true]);
    expect(active.announce(A, [5, 6], atMost(3)).refusal?.code, "3 is on its way").to.equal("SERIES_LIMIT");
    second.end();
    expect(active.announce(A, [5, 6], atMost(3)).refusal).to.equal(undefined);
  });

  it("label sets: after a start the series of the head are not refused, whichever label sets they belong to", () => {
    for (const { bytes } of records(["x", "y"])) active.resume("a", bytes);
    const { refusal, end } = active.announce(A, [1, 2], atMost(2));
    expect(refusal).to.equal(undefined);
    expect(active.admit(A, records(["x"]), atMost(2), 1).refusal).to.equal(undefined);
    expect(active.admit(A, records(["y"]), atMost(2), 2).refusal).to.equal(undefined);
    end();
    expect(active.announce(A, [3], atMost(2)).refusal?.code, "both are known by now").to.equal("SERIES_LIMIT");
    expect(active.count(A)).to.equal(2);
  });

  it("label sets: one is known as long as its series are active", () => {
    active.admit(A, records(["x"]), atMost(1), 1);
    clock.advance(10 * MINUTE_MS);
    expect(active.announce(A, [1], atMost(1)).isNew(1)).to.equal(false);
    expect(active.announce(A, [2], atMost(1)).refusal?.code).to.equal("SERIES_LIMIT");
    clock.advance(2 * MINUTE_MS);
    expect(active.announce(A, [2], atMost(1)).refusal).to.equal(undefined);
    expect(active.announce(A, [1], atMost(2)).isNew(1)).to.equal(true);
  });

  it("label sets: random pushes at the same time make no more series than the limit, and no active series is refused", () => {
    const pods = ["a", "b", "c", "d", "e", "f"];
    const known = new Map(pods.map((pod) => [pod, records([pod])]));
    const pushes = fc.array(fc.record({ pods: fc.uniqueArray(fc.constantFrom(...pods), { minLength: 1, maxLength: 4 }), isEnded: fc.boolean() }), { maxLength: 20 });
    fc.assert(
      fc.property(pushes, fc.integer({ min: 1, max: 5 }), fc.uniqueArray(fc.constantFrom(...pods), { maxLength: 3 }), (all, max, resumed) => {
        open();
        for (const pod of resumed) active.resume("a", known.get(pod)![0]!.bytes);
        const kept = new Set(resumed);
        const open_: (() => void)[] = [];
        for (const { pods: pushed, isEnded } of all) {
          const { refusal, isNew, end } = active.announce(A, pushed.map((pod) => pods.indexOf(pod)), atMost(max));
          const refused = new Set(refusal === undefined ? [] : pushed.filter((pod) => isNew(pods.indexOf(pod))));
          for (const pod of pushed) {
            if (refused.has(pod)) continue;
            if (active.admit(A, known.get(pod)!, atMost(max), pods.indexOf(pod)).refusal === undefined) kept.add(pod);
            else expect(kept.has(pod)).to.equal(false);
          }
          if (isEnded) end();
          else open_.push(end);
          expect(active.count(A)).to.be.at.most(Math.max(max, resumed.length));
        }
        for (const end of open_) end();
        // Each of them may go on, also one of the head that nobody pushed since the start.
        for (const pod of kept) expect(active.announce(A, [pods.indexOf(pod)], atMost(max)).refusal).to.equal(undefined);
      }),
    );
  });

  it("at the node's bound a new series is let through and not counted, until there is room", () => {
    open({ seriesCountMax: 3 });
    expect(admit(A, ["v", "w", "x", "y"])).to.equal("4 of 4 ok");
    expect(active.count(A)).to.equal(3);
    expect(admit(B, ["x"], atMost(1))).to.equal("1 of 1 ok");
    expect(admit(B, ["y"], atMost(1)), "within its own limit, as far as is known").to.equal("1 of 1 ok");
    expect(active.count(B)).to.equal(0);
    clock.advance(11 * MINUTE_MS);
    expect(admit(B, ["x"], atMost(1))).to.equal("1 of 1 ok");
    expect(active.count(B)).to.equal(1);
  });

  it("random pushes over random times are decided as by a list of the last push of each series", () => {
    const pods = ["a", "b", "c", "d", "e"];
    const known = new Map(pods.map((pod) => [pod, records([pod])]));
    const step = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), pod: fc.constantFrom(...pods), max: fc.integer({ min: 0, max: 4 }) }),
      fc.record({ kind: fc.constant("wait" as const), minutes: fc.integer({ min: 1, max: 7 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        open();
        const last = new Map<string, number>();
        let minute = 0;
        for (const each of steps) {
          if (each.kind === "wait") {
            clock.advance(each.minutes * MINUTE_MS);
            minute += each.minutes;
            continue;
          }
          // Whole minutes, so every push is after a sweep of its minute.
          for (const [pod, atMinute] of last) if (minute - atMinute > 10) last.delete(pod);
          const isKept = last.has(each.pod) || each.max === 0 || last.size < each.max;
          if (isKept) last.set(each.pod, minute);
          const { refusal } = active.admit(A, known.get(each.pod)!, atMost(each.max));
          expect(refusal === undefined).to.equal(isKept);
          expect(active.count(A)).to.equal(last.size);
        }
      }),
    );
  });

  it("at most `sweepCountMax` idle series leave at once; the rest leave a second later", () => {
    open({ sweepCountMax: 2 });
    admit(A, ["v", "w", "x", "y", "z"]);
    clock.advance(11 * MINUTE_MS);
    const left: number[] = [];
    for (let i = 0; i < 4; i++) {
      active.admit(B, [], UNLIMITED);
      left.push(active.count(A));
      if (i !== 1) clock.advance(1000);
    }
    expect(left).to.deep.equal([3, 1, 1, 0]);
  });

  it("metrics: series by tenant, created, removed; a tenant that went is gone from the page", async () => {
    expect(await lines()).to.deep.equal(["pyromesh_head_series_created_total 0", 'pyromesh_head_series_removed_total{reason="idle"} 0']);
    admit(A, ["x", "y"]);
    admit(B, ["x"]);
    expect(await lines()).to.deep.equal([
      'pyromesh_head_series{tenant="a"} 2',
      'pyromesh_head_series{tenant="b"} 1',
      "pyromesh_head_series_created_total 3",
      'pyromesh_head_series_removed_total{reason="idle"} 0',
    ]);
    clock.advance(9 * MINUTE_MS);
    admit(B, ["x"]);
    clock.advance(2 * MINUTE_MS);
    expect(await lines(), "without another push").to.deep.equal([
      'pyromesh_head_series{tenant="b"} 1',
      "pyromesh_head_series_created_total 3",
      'pyromesh_head_series_removed_total{reason="idle"} 2',
    ]);
  });

  it("metrics: beyond so many tenants the smaller ones are added up", async () => {
    open({ tenantLinesMax: 2 });
    for (const [i, name] of ["a", "b", "c", "d"].entries()) admit(parseTenantId(name), ["w", "x", "y", "z"].slice(0, i + 1));
    expect((await lines()).filter((line) => line.includes("tenant=")).sort()).to.deep.equal([
      'pyromesh_head_series{tenant="(other)"} 3',
      'pyromesh_head_series{tenant="c"} 3',
      'pyromesh_head_series{tenant="d"} 4',
    ]);
  });
});
