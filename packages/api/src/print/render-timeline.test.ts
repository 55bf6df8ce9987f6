import { expect } from "chai";
import type { TimeSeries } from "@pyromesh/profile";
import { timelineGroups, timelineOf, timelineStep } from "./render-timeline.ts";

const HOUR_MS = 3_600_000;
const START_MS = 1_795_418_940_000;

function series(labels: Readonly<Record<string, string>>, points: readonly (readonly [number, number])[]): TimeSeries {
  return {
    labels: Object.entries(labels).map(([name, value]) => ({ name, value })),
    points: points.map(([atS, value]) => ({ timestampMs: START_MS + atS * 1000, value, exemplars: [] })),
  };
}

describe("render timeline", () => {
  it("the step rises along Grafana's ladder, from 15 s", () => {
    const table: readonly [number, number][] = [
      [0, 15],
      [6 * HOUR_MS, 15],
      [7 * HOUR_MS, 15],
      [8 * HOUR_MS, 20],
      [12 * HOUR_MS, 30],
      [24 * HOUR_MS, 60],
      [7 * 24 * HOUR_MS, 300],
      [31 * 24 * HOUR_MS, 1800],
      [365 * 24 * HOUR_MS, 21_600],
      [200 * 365 * 24 * HOUR_MS, 31_536_000],
    ];
    for (const [rangeMs, stepS] of table) expect(timelineStep(0, rangeMs), `${rangeMs} ms`).to.equal(stepS);
  });

  it("one series is spread over its range, zero where nothing was", () => {
    const timeline = timelineOf([series({}, [[60, 5], [75, 6]])], START_MS, START_MS + 120_000, 15);
    expect(timeline).to.deep.equal({ startTime: START_MS / 1000, samples: [0, 0, 0, 0, 5, 6, 0, 0], durationDelta: 15, watermarks: null });
  });

  it("start and end snap down to the step", () => {
    const timeline = timelineOf([series({}, [[60, 5]])], START_MS + 7000, START_MS + 67_000, 15);
    expect(timeline.startTime).to.equal(START_MS / 1000);
    expect(timeline.samples).to.deep.equal([0, 0, 0, 0, 5]);
  });

  it("nothing, or several series, is all zeros", () => {
    expect(timelineOf([], START_MS, START_MS + 45_000, 15).samples).to.deep.equal([0, 0, 0]);
    const two = [series({ pod: "a" }, [[15, 1]]), series({ pod: "b" }, [[15, 2]])];
    expect(timelineOf(two, START_MS, START_MS + 45_000, 15).samples).to.deep.equal([0, 0, 0]);
  });

  it("groups go by their value, * where they have none, and add up where they share one", () => {
    const grouped = [series({ pod: "b" }, [[15, 1]]), series({}, [[0, 9]]), series({ pod: "b", zone: "x" }, [[15, 2]])];
    const groups = [...timelineGroups(grouped, "pod", START_MS, START_MS + 30_000, 15)];
    expect(groups.map(([value, { samples }]) => [value, samples])).to.deep.equal([["*", [9, 0]], ["b", [0, 3]]]);
  });

  it("samples are whole and not negative, exact above 2^53", () => {
    const points = [[0, -4], [15, 2.9], [30, 2 ** 60]] as const;
    expect(timelineOf([series({}, points)], START_MS, START_MS + 45_000, 15).samples).to.deep.equal([0, 2, 2n ** 60n]);
  });
});
