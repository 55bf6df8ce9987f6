import { parseTenantId } from "@pyromesh/base";
import type { CatalogEntry } from "@pyromesh/block";
import { makeMatcher } from "@pyromesh/profile";
import { expect } from "chai";
import { datasetFilter, objectsByWindow, quarantinesWithin, windowsCovered } from "./read-plan.ts";

const HOUR_MS = 3_600_000;

describe("read plan", () => {
  const entry = (tenant: string, windowStartMs: number, ordinal: number): CatalogEntry =>
    ({ key: `${tenant}/${windowStartMs}/${ordinal}`, meta: { tenant: parseTenantId(tenant), windowStartMs }, sizeBytes: 1, place: "bucket" }) as CatalogEntry; // what the plan looks at

  it("the objects of a tenant and window are one group, in the order of the plan; the same window of two tenants is two", () => {
    const plan = [entry("a", 0, 0), entry("a", 0, 1), entry("a", HOUR_MS, 0), entry("b", HOUR_MS, 0), entry("b", 2 * HOUR_MS, 0)];
    const groups = objectsByWindow(plan);
    expect(groups.map((group) => group.map(({ key }) => key))).deep.equal([["a/0/0", "a/0/1"], ["a/3600000/0"], ["b/3600000/0"], ["b/7200000/0"]]);
    expect(windowsCovered(groups, "a")).deep.equal([0, HOUR_MS]);
    expect(windowsCovered(groups, "b")).deep.equal([HOUR_MS, 2 * HOUR_MS]);
    expect(windowsCovered(groups, "c")).deep.equal([]);
    expect(objectsByWindow([])).deep.equal([]);
  });

  it("a dataset is read where it may hold a time of the range, both ends included", () => {
    const wants = datasetFilter({ startMs: 100, endMs: 200 }, []);
    const spans = [[0, 99], [0, 100], [150, 160], [200, 300], [201, 300], [0, 300]] as const;
    expect(spans.map(([minTimeMs, maxTimeMs]) => wants({ service: "api", minTimeMs, maxTimeMs }))).deep.equal([false, true, true, true, false, true]);
  });

  it("a dataset is read unless every selector rules its service out; matchers on other labels rule out none", () => {
    const wanted = (...selectors: Parameters<typeof makeMatcher>[][]): string[] => {
      const wants = datasetFilter({ startMs: 0, endMs: 10 }, selectors.map((selector) => selector.map((matcher) => makeMatcher(...matcher))));
      return ["api", "api-2", "web"].filter((service) => wants({ service, minTimeMs: 0, maxTimeMs: 10 }));
    };
    expect(wanted()).deep.equal(["api", "api-2", "web"]);
    expect(wanted([["service_name", "=", "api"]])).deep.equal(["api"]);
    expect(wanted([["service_name", "=~", "api.*"]])).deep.equal(["api", "api-2"]);
    expect(wanted([["service_name", "!=", "api"]])).deep.equal(["api-2", "web"]);
    expect(wanted([["service_name", "=~", "api.*"], ["service_name", "!=", "api"]])).deep.equal(["api-2"]);
    expect(wanted([["service_name", "=", "api"]], [["service_name", "=", "web"]])).deep.equal(["api", "web"]);
    expect(wanted([["pod", "=", "x"]])).deep.equal(["api", "api-2", "web"]);
    expect(wanted([["service_name", "=", "none"]])).deep.equal([]);
  });

  it("a quarantine concerns a range that it touches; one without an end, everything beyond its start", () => {
    const span = (startMs: number | undefined, endMs: number | undefined): { id: string; reason: string; startMs: number | undefined; endMs: number | undefined } => ({ id: `${startMs}-${endMs}`, reason: "", startMs, endMs });
    const spans = [span(0, 99), span(0, 100), span(150, 160), span(200, 300), span(201, 300), span(undefined, 99), span(undefined, 100), span(200, undefined), span(201, undefined), span(undefined, undefined)];
    expect(quarantinesWithin(spans, 100, 200).map(({ id }) => id)).deep.equal(["0-100", "150-160", "200-300", "undefined-100", "200-undefined", "undefined-undefined"]);
  });
});
