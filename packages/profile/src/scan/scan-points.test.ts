import { expect } from "chai";
import fc from "fast-check";
import { Dataset } from "../dataset/dataset.ts";
import { IdentitySet } from "./identity-set.ts";
import type { Label } from "../labels/labels.ts";
import type { Exemplar } from "../model/results.ts";
import type { RowQuery } from "./scan.ts";
import { HeatmapCollector, PointsCollector } from "./scan-points.ts";
import type { HeatmapShape, PointsShape } from "./scan-points.ts";
import { ALL_ROWS } from "../testing/all-rows.ts";
import { recordView } from "../testing/record-view.ts";

const BASE: PointsShape = { startMs: 0, endMs: 60_000, stepMs: 15_000, groupBy: [], aggregation: "sum", exemplars: "none" };

interface Row {
  readonly profile: number;
  readonly route: string;
  readonly value: number;
  readonly span: string | undefined;
  /** Which dataset and which partial table it lies in. */
  readonly place: number;
}

const SECONDS = [3, 3, 15, 16, 44, 60];
/** Profiles of even number have an id; those of odd number are one row. */
const timeOf = (profile: number): number => SECONDS[profile % SECONDS.length]!;
const rows = fc
  .array(
    fc.record({
      profile: fc.nat(7),
      route: fc.constantFrom("a", "b", "c"),
      value: fc.integer({ min: 1, max: 3 }),
      span: fc.constantFrom(undefined, "00000000000000aa", "00000000000000bb"),
      place: fc.nat(3),
    }),
    { maxLength: 24 },
  )
  .map((all) => all.filter((row, index) => row.profile % 2 === 0 || all.findIndex(({ profile }) => profile === row.profile) === index));

const idOf = (profile: number): Uint8Array => new Uint8Array(16).fill(profile + 1);

/** The datasets of four places, each row in its own. */
function datasetsOf(all: readonly Row[]): Dataset[] {
  const datasets = [0, 1, 2, 3].map(() => new Dataset("api"));
  all.forEach(({ profile, route, value, span, place }, index) => {
    datasets[place]!.insert(
      recordView({
        labels: { __name__: "process_cpu", service_name: "api", route },
        timeNs: BigInt(timeOf(profile)) * 1_000_000_000n,
        ...(profile % 2 === 0 ? { profileId: idOf(profile) } : {}),
        samples: [{ stack: ["main"], values: [value], ...(span === undefined ? {} : { span }) }],
        salt: String(index),
      }),
    );
  });
  return datasets;
}

/** Two workers of two datasets each, then the sum of their parts; `order` shuffles. */
function answer<T>(datasets: readonly Dataset[], order: readonly number[], open: () => { scan(view: Dataset, query: RowQuery, seen: IdentitySet): void; add(partial: T): void; partial(): T }): ReturnType<typeof open> {
  const whole = open();
  for (const worker of [order.slice(0, 2), order.slice(2)]) {
    const part = open();
    const seen = new IdentitySet();
    for (const place of worker) part.scan(datasets[place]!, ALL_ROWS, seen);
    // As between threads: nothing of the worker's own memory arrives.
    whole.add(structuredClone(part.partial()));
  }
  return whole;
}

const points = (datasets: readonly Dataset[], order: readonly number[], shape: PointsShape): ReturnType<PointsCollector["result"]> =>
  (answer(datasets, order, () => new PointsCollector(shape)) as PointsCollector).result(0);
const heatmap = (datasets: readonly Dataset[], order: readonly number[], shape: HeatmapShape): ReturnType<HeatmapCollector["result"]> =>
  (answer(datasets, order, () => new HeatmapCollector(shape)) as HeatmapCollector).result(0);

function byKey<K, V>(items: readonly V[], keyOf: (item: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

const sumOf = (all: readonly Row[]): number => all.reduce((sum, { value }) => sum + value, 0);
const edgeOf = (row: Row): number => Math.ceil(timeOf(row.profile) / 15) * 15_000;
const routeOf = ({ labels }: { readonly labels: readonly Label[] }): string => labels.find(({ name }) => name === "route")?.value ?? "";

describe("points over profiles that are several rows", () => {
  const orders = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });

  it("a mean is over profiles, per step and group, wherever their rows lie", () => {
    fc.assert(
      fc.property(rows, orders, fc.constantFrom([], ["route"]), (all, order, groupBy) => {
        const found = points(datasetsOf(all), order, { ...BASE, aggregation: "average", groupBy });
        const means = found.flatMap((series) => series.points.map(({ timestampMs, value }) => `${routeOf(series)} ${timestampMs} ${value}`));
        const expected = [...byKey(all, (row) => `${groupBy.length === 0 ? "" : row.route} ${edgeOf(row)}`)].map(
          ([key, group]) => `${key} ${sumOf(group) / new Set(group.map(({ profile }) => profile)).size}`,
        );
        expect(means.sort()).to.deep.equal(expected.sort());
      }),
    );
  });

  it("a sum is over rows, and carries no profiles", () => {
    fc.assert(
      fc.property(rows, orders, (all, order) => {
        const datasets = datasetsOf(all);
        const sums = points(datasets, order, BASE).flatMap((series) => series.points.map(({ timestampMs, value }) => [timestampMs, value]));
        const expected = [...byKey(all, edgeOf)].map(([edge, group]) => [edge, sumOf(group)]);
        expect(sums).to.deep.equal(expected.sort(([a], [b]) => a! - b!));
        const part = new PointsCollector(BASE);
        for (const dataset of datasets) part.scan(dataset, ALL_ROWS, new IdentitySet());
        for (const { profiles } of part.partial()) expect(profiles.values).to.deep.equal([]);
      }),
    );
  });

  it("an exemplar is the heaviest profile of its point, whole, with the labels its rows share", () => {
    fc.assert(
      fc.property(rows, orders, (all, order) => {
        const [series] = points(datasetsOf(all), order, { ...BASE, exemplars: "individual" });
        const byEdge = byKey(all, edgeOf);
        expect(series?.points.length ?? 0).to.equal(byEdge.size);
        for (const { timestampMs, exemplars } of series?.points ?? []) {
          const profiles = byKey(byEdge.get(timestampMs)!, ({ profile }) => profile);
          expect(exemplars.length).to.equal(1);
          expect(exemplars[0]!.value).to.equal(Math.max(...[...profiles.values()].map(sumOf)));
          const own = [...profiles].find(([profile]) => exemplars[0]!.profileId.startsWith(Buffer.from(idOf(profile).subarray(0, 4)).toString("hex")));
          if (own === undefined) continue; // a profile without an id goes by its identity
          const routes = new Set(own[1].map(({ route }) => route));
          expect(routeOf(exemplars[0]!)).to.equal(routes.size === 1 ? [...routes][0] : "");
        }
      }),
    );
  });

  it("a span exemplar is the heaviest span of any profile, summed over its rows", () => {
    fc.assert(
      fc.property(rows, orders, (all, order) => {
        const [series] = points(datasetsOf(all), order, { ...BASE, exemplars: "span" });
        for (const { timestampMs, exemplars } of series?.points ?? []) {
          const spans = byKey(all.filter((row) => edgeOf(row) === timestampMs && row.span !== undefined), ({ profile, span }) => `${profile} ${span}`);
          expect(exemplars.map(({ value }) => Number(value))).to.deep.equal(spans.size === 0 ? [] : [Math.max(...[...spans.values()].map(sumOf))]);
        }
      }),
    );
  });

  it("a heatmap's cells count profiles, or spans of profiles, once", () => {
    fc.assert(
      fc.property(rows, orders, fc.constantFrom("individual", "span"), (all, order, of) => {
        const [series] = heatmap(datasetsOf(all), order, { ...BASE, of, exemplars: "individual" });
        const counted = all.filter(({ span }) => of === "individual" || span !== undefined);
        const groups = [...byKey(counted, ({ profile, span }) => `${profile} ${of === "span" ? span : ""}`).values()];
        const expected = [...byKey(groups, (group) => edgeOf(group[0]!))].map(([edge, own]) => [edge, own.length]);
        const counts = (series?.slots ?? []).map((slot) => [slot.timestampMs, slot.counts.reduce((sum, count) => sum + count, 0)]);
        expect(counts).to.deep.equal(expected.sort(([a], [b]) => a! - b!));
        for (const { counts: cells, exemplars } of series?.slots ?? []) expect(exemplars.length).to.equal(cells.filter((count) => count > 0).length);
      }),
    );
  });

  it("the answer is the same in whatever order its parts arrive", () => {
    fc.assert(
      fc.property(rows, orders, fc.constantFrom("individual", "span"), (all, order, exemplars) => {
        const datasets = datasetsOf(all);
        const shape: PointsShape = { ...BASE, aggregation: "average", exemplars };
        expect(points(datasets, order, shape)).to.deep.equal(points(datasets, [0, 1, 2, 3], shape));
        expect(heatmap(datasets, order, { ...BASE, of: exemplars, exemplars })).to.deep.equal(heatmap(datasets, [0, 1, 2, 3], { ...BASE, of: exemplars, exemplars }));
      }),
    );
  });

  it("values beyond 2^53 are exact in an exemplar", () => {
    const datasets = [new Dataset("api"), new Dataset("api")];
    datasets.forEach((dataset, index) => {
      const labels = { __name__: "process_cpu", service_name: "api", route: String(index) };
      dataset.insert(recordView({ labels, timeNs: 1_000_000_000n, profileId: idOf(0), samples: [{ stack: ["main"], values: [2n ** 60n + 1n] }] }));
    });
    const collector = new PointsCollector({ ...BASE, exemplars: "individual" });
    for (const dataset of datasets) collector.scan(dataset, ALL_ROWS, new IdentitySet());
    const exemplars: readonly Exemplar[] = collector.result(0)[0]!.points[0]!.exemplars;
    expect(exemplars.map(({ value }) => value)).to.deep.equal([2n ** 61n + 2n]);
  });
});

describe("which series are answered, and in which order", () => {
  const by: PointsShape = { ...BASE, groupBy: ["route"] };

  /** One profile each, of so much. */
  function storeOf(profiles: readonly (readonly [route: string, value: number])[]): Dataset {
    const dataset = new Dataset("api");
    profiles.forEach(([route, value], index) => {
      const labels = { __name__: "process_cpu", service_name: "api", route };
      dataset.insert(recordView({ labels, timeNs: 1_000_000_000n, samples: [{ stack: ["main", route], values: [value] }], salt: String(index) }));
    });
    return dataset;
  }

  function scanned<T extends PointsCollector | HeatmapCollector>(collector: T, profiles: readonly (readonly [string, number])[], query: RowQuery = ALL_ROWS): T {
    collector.scan(storeOf(profiles), query, new IdentitySet());
    return collector;
  }

  // As Pyroscope's TopSeries, with a limit and without. They came by the length of their labels' values.
  it("series come with the greatest total first, equals by their labels", () => {
    const collector = scanned(new PointsCollector(by), [["/b", 2], ["/api/long", 1], ["/a", 2], ["/c", 7]]);
    expect(collector.result(0).map(routeOf)).to.deep.equal(["/c", "/a", "/b", "/api/long"]);
    expect(collector.result(2).map(routeOf)).to.deep.equal(["/c", "/a"]);
  });

  it("of means, the greatest are those of the greatest means", () => {
    const collector = scanned(new PointsCollector({ ...by, aggregation: "average" }), [["often", 2], ["often", 2], ["once", 3]]);
    expect(collector.result(1).map(routeOf)).to.deep.equal(["once"]);
  });

  // A series without points was answered for each group that only holds other call sites.
  it("a group of which a call site takes nothing is no series", () => {
    const query: RowQuery = { ...ALL_ROWS, callSite: ["main", "/a"] };
    expect(scanned(new PointsCollector(by), [["/a", 1], ["/b", 1]], query).result(0).map(routeOf)).to.deep.equal(["/a"]);
  });

  it("heatmaps come by their labels, and of more than the limit those that count most", () => {
    const shape: HeatmapShape = { ...by, of: "individual" };
    const collector = scanned(new HeatmapCollector(shape), [["/long", 1], ["/b", 9], ["/c", 1], ["/c", 2]]);
    expect(collector.result(0).map(routeOf)).to.deep.equal(["/b", "/c", "/long"]);
    expect(collector.result(2).map(routeOf)).to.deep.equal(["/c", "/b"]);
  });
});
