/**
 * What must hold for every push, however odd: either it is refused with a sentence and leaves nothing behind, or every kind of answer has the
 * same total as an independent reader of the bytes finds. For `npm run fuzz` and tests.
 */
import { expect } from "chai";
import { Profile } from "pprof-format";
import { CodedError } from "@pyromesh/base";
import type { DatasetView } from "../dataset/dataset.ts";
import { Dataset } from "../dataset/dataset.ts";
import type { PushInput } from "../record/encode-push.ts";
import { encodePush } from "../record/encode-push.ts";
import { flameGraphDiff } from "../graph/flame-graph-diff.ts";
import { flameGraph } from "../graph/flame-graph.ts";
import { readFormat } from "../formats/formats.ts";
import { IdentitySet } from "../scan/identity-set.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { LocationTreeMerger } from "../graph/location-tree.ts";
import { NameTreeBuilder } from "../graph/name-tree.ts";
import { encodePprof } from "../graph/pprof-encode.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import type { ProfileType } from "../labels/profile-type.ts";
import { printProfileType, profileTypeOf } from "../labels/profile-type.ts";
import { decodeRecord } from "../record/record-decode.ts";
import type { EncodedRecord } from "../model/record-view.ts";
import { PointsCollector } from "../scan/scan-points.ts";
import { locationTreeOf, mergeNodes, nameTreeOf } from "../scan/scan-tree.ts";
import { totalsOf, sumAt } from "../model/sums.ts";
import { topTable } from "../graph/top-table.ts";
import { decodeTree, encodeTree } from "../graph/tree-bytes.ts";
import { ALL_ROWS } from "./all-rows.ts";
import type { FoldedText } from "../text/folded.ts";
import type { OddPush } from "./odd-push.ts";
import { expectedSums } from "./pprof-oracle.ts";

/** The rows of a dataset, as a flame graph and as pprof and series read them. */
export interface OddViews {
  readonly byName: DatasetView;
  readonly byLocation: DatasetView;
}

/** What became of it: `accepted`, `empty`, or the reason of the refusal. Throws where something does not hold. `viewsOf`: other ways to keep a dataset. */
export function checkOddPush(push: OddPush, viewsOf: (dataset: Dataset) => readonly OddViews[] = () => []): string {
  let pprof: Uint8Array;
  let records: readonly EncodedRecord[];
  try {
    pprof = push.folded === undefined ? push.bytes : pprofOfText(push.bytes, push.folded);
    records = encodePush(inputOf(push, pprof));
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) throw thrown;
    expect([thrown.kind, thrown.message.length > 20, thrown.message.length < 2000], thrown.message).deep.equal(["invalid_argument", true, true]);
    checkNothingIsLeft();
    return String(thrown.details["reason"]);
  }
  const identities = (all: readonly EncodedRecord[]): string[] => all.map(({ identity }) => Buffer.from(identity).toString("hex"));
  expect(identities(encodePush(inputOf(push, pprof))), "the same push has the same identities").deep.equal(identities(records));
  const dataset = new Dataset("shop");
  for (const { bytes } of records) dataset.insert(decodeRecord(bytes, "an odd record"));
  const found = new Map<string, bigint>();
  for (const type of typesOf(dataset)) {
    const totals = totalsBy({ byName: dataset, byLocation: dataset }, type);
    for (const views of viewsOf(dataset)) expect(totalsBy(views, type), "as it is kept").deep.equal(totals);
    expect(new Set(Object.values(totals)).size, `one number in every answer: ${JSON.stringify(totals)}`).equal(1);
    const name = `${type.sampleType}:${type.sampleUnit}`;
    found.set(name, (found.get(name) ?? 0n) + BigInt(totals["series"]!));
  }
  const expected = push.folded === undefined ? pprofTotals(pprof) : textTotals(push);
  if (expected !== undefined) expect(Object.fromEntries(found), "as an independent reader says").deep.equal(Object.fromEntries(expected));
  return records.length === 0 ? "empty" : "accepted";
}

function inputOf({ labels }: Pick<OddPush, "labels">, pprof: Uint8Array): PushInput {
  return {
    tenant: "t",
    labels,
    pprof,
    fallbackTimeNs: 1_700_000_000_000_000_000n,
    nonce: new Uint8Array(16).fill(7),
    nowMs: 1_700_000_000_000,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  };
}

/** A small push: its record is the same before and after any other. */
function probe(): string {
  const type = { type: "cpu", unit: "count" };
  const writer = new PprofWriter({ sampleTypes: [type], periodType: type, period: 1, timeNs: 5n, durationNs: 0n });
  writer.sample([writer.frame("b", "b.go", 2), writer.frame("a")], [3], [{ name: "env", value: "x" }]);
  const labels = [{ name: "__name__", value: "process_cpu" }];
  return encodePush(inputOf({ labels }, writer.finish())).map(({ bytes }) => Buffer.from(bytes).toString("hex")).join();
}

const PROBE = probe();

function checkNothingIsLeft(): void {
  expect(probe(), "a refused push leaves nothing behind").equal(PROBE);
}

function typesOf(dataset: Dataset): ProfileType[] {
  const types = new Map<string, ProfileType>();
  for (const { labels, sampleTypes, periodType } of dataset.series) {
    for (const sampleType of sampleTypes) {
      const type = profileTypeOf(labels, sampleType, periodType);
      types.set(printProfileType(type), type);
    }
  }
  return [...types.values()];
}

/** The total of a type, in each kind of answer. */
function totalsBy({ byName, byLocation }: OddViews, profileType: ProfileType): Record<string, string> {
  const query = { ...ALL_ROWS, startNs: -(1n << 63n), endNs: (1n << 63n) - 1n, profileType };
  const merged = new NameTreeBuilder();
  merged.add(nameTreeOf(byName, mergeNodes(byName, query, new IdentitySet()).self));
  const names = merged.result();
  const locations = new LocationTreeMerger();
  locations.add(locationTreeOf(byLocation, mergeNodes(byLocation, query, new IdentitySet()).self));
  const type = { type: profileType.sampleType, unit: profileType.sampleUnit };
  const pprof = Profile.decode(encodePprof({ tree: locations.result(), sampleType: type, periodType: type, period: 1n, timeNs: 0n, durationNs: 0n }));
  // A push without a time, or with an odd one, may lie anywhere: each edge of a second gets its own collector.
  const times = new Set(Array.from(byLocation.rowTimeNs.subarray(0, byLocation.rowCount), (timeNs) => Number(timeNs / 1_000_000n)));
  let series = 0n;
  for (const timeMs of times) {
    const edgeMs = Math.ceil(timeMs / 1000) * 1000;
    const points = new PointsCollector({ startMs: edgeMs, endMs: edgeMs, stepMs: 1000, groupBy: ["service_name"], aggregation: "sum", exemplars: "none" });
    points.scan(byLocation, { ...query, startNs: BigInt(timeMs) * 1_000_000n, endNs: BigInt(timeMs) * 1_000_000n + 999_999n }, new IdentitySet());
    for (const one of points.result(0)) for (const { value } of one.points) series += BigInt(value);
  }
  const diff = flameGraphDiff(names, names, 0).graph;
  const tree = decodeTree(encodeTree(names, 0).bytes);
  return {
    series: String(series),
    flameGraph: String(flameGraph(names, 0).graph.total),
    flameGraphCut: String(flameGraph(names, 3).graph.total),
    leftOfDiff: String(diff.leftTicks),
    rightOfDiff: String(diff.rightTicks),
    topTable: String(topTable(names).total),
    topTableSelfs: String(topTable(names).rows.reduce((sum, { self }) => sum + BigInt(self), 0n)),
    treeBytes: String(sumAt(totalsOf(tree.nodeParent, tree.nodeCount, tree.self), 0)),
    pprof: String(pprof.sample.reduce((sum, { value }) => sum + BigInt(value[0]!), 0n)),
  };
}

/** Totals by sample type, as pprof-format reads the bytes; undefined where it is no judge: it gives up, or would write them otherwise. */
function pprofTotals(pprof: Uint8Array): Map<string, bigint> | undefined {
  let sums: ReadonlyMap<string, bigint>;
  try {
    if (!Buffer.from(Profile.decode(pprof).encode()).equals(pprof)) return undefined;
    sums = expectedSums(pprof);
  } catch {
    return undefined;
  }
  const totals = new Map<string, bigint>();
  for (const [key, sum] of sums) {
    // `{labels} type:unit stack`; labels end at the first "} ".
    const type = key.slice(key.indexOf("} ") + 2).split(" ", 1)[0]!;
    totals.set(type, (totals.get(type) ?? 0n) + sum);
  }
  return totals;
}

function pprofOfText(bytes: Uint8Array, form: FoldedText): Uint8Array {
  const [profile] = readFormat({ kind: "folded", form }, bytes, { labels: [], limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: 1n }).profiles;
  return profile!.pprof; // a text is one profile
}

/** The counts of an accepted text's lines, added up by stack. A stack whose sum is below zero counts nothing. */
function textTotals({ bytes, folded }: OddPush): Map<string, bigint> {
  const counts = new Map<string, bigint>();
  for (const line of Buffer.from(bytes).toString("utf8").split("\n")) {
    const text = line.replace(/[ \t\r]+$/, "");
    if (text === "" || /^[ \t\r]*#/.test(text)) continue;
    const found = folded?.mode === "lines" ? [line, line.replace(/\r$/, ""), "1"] : /^(.*?)[ \t\r]+([+-]?\d+)$/s.exec(text);
    if (found === null) throw new Error(`a line without a count was accepted: ${text}`);
    const stack = found[1]!.split(";").filter((frame) => frame !== "").join(";");
    counts.set(stack, (counts.get(stack) ?? 0n) + BigInt(found[2]!.replace("+", "")));
  }
  const total = [...counts.values()].reduce((sum, count) => (count > 0n ? sum + count : sum), 0n);
  return new Map(total === 0n ? [] : [["alloc_space:bytes", total]]);
}
