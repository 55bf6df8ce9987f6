import { addIdentitySums } from "@pyromesh/profile";
import { expect } from "chai";
import fc from "fast-check";
import type { FinishSpec, ScanPartial, ScanSpec } from "./compute.ts";
import { finishQuery } from "./finish-query.ts";
import { mergePartials } from "./merge-partials.ts";
import { identitiesOf, partialOf, rowsOf, SCAN_SPECS, segmentOf } from "../testing/scan-fixtures.ts";

const NUMBERS = Array.from({ length: 12 }, (_, number) => number);

/** What a partial answers, as bytes or counts. */
function answerOf(spec: ScanSpec, partial: ScanPartial): unknown {
  const profileType = "query" in spec ? spec.query.profileType : undefined!; // where it is needed there is one
  const finishes: Readonly<Record<ScanSpec["kind"], FinishSpec>> = {
    names: { kind: "top-table", form: "json", limit: 0, sort: "self", nameContains: "", callSite: [] },
    locations: { kind: "pprof", maxNodes: 0, goPgo: undefined, profileType, timeNs: 1n, form: "json" },
    points: { kind: "points", shape: spec.kind === "points" ? spec.shape : undefined!, limit: 0, form: "json" },
    heatmap: { kind: "heatmap", shape: spec.kind === "heatmap" ? spec.shape : undefined!, limit: 0, form: "json" },
    listing: spec.kind === "listing" ? { kind: "listing", listing: spec.listing, bounds: spec.bounds, limit: 0, form: "json" } : undefined!,
    cardinality: { kind: "cardinality" },
  };
  const finished = finishQuery(finishes[spec.kind], [partial]);
  if (!("bytes" in finished)) return finished;
  const text = Buffer.from(finished.bytes).toString();
  return spec.kind === "locations" ? stacktracesOf(JSON.parse(text) as JsonPprof) : text;
}

interface JsonPprof {
  readonly sample: readonly { readonly locationId: readonly string[]; readonly value: readonly string[] }[];
  readonly location: readonly { readonly line: readonly { readonly functionId: string }[] }[];
  readonly function: readonly { readonly name: string }[];
  readonly stringTable: readonly string[];
  readonly durationNanos: string;
}

/** In whatever order its tables are. */
function stacktracesOf({ sample, location, function: functions, stringTable, durationNanos }: JsonPprof): unknown {
  const nameOf = (id: string): string => stringTable[Number(functions[Number(location[Number(id) - 1]!.line[0]!.functionId) - 1]!.name)]!;
  return [durationNanos, ...(sample ?? []).map(({ locationId, value }) => `${locationId.map(nameOf).join(";")} ${value[0]}`).sort()];
}

describe("a scan that leaves records out", () => {
  for (const [kind, spec] of Object.entries(SCAN_SPECS)) {
    it(`${kind}: with some left out, and with all others left out, it finds the whole, however rows lie in memory and in segments`, () => {
      const rows = fc.subarray(NUMBERS);
      fc.assert(
        fc.property(rows, rows, rows, fc.subarray(NUMBERS), fc.boolean(), (first, second, head, left, wantsOnly) => {
          const views = [segmentOf(first), segmentOf(second), rowsOf(head)];
          const whole = partialOf(spec, views);
          const others = NUMBERS.filter((number) => !left.includes(number));
          const parts = [partialOf(spec, views, { except: identitiesOf(left) }), partialOf(spec, views, wantsOnly ? { only: identitiesOf(left) } : { except: identitiesOf(others) })];
          expect(parts.reduce((sum, { recordCount }) => sum + recordCount, 0)).to.equal(whole.recordCount);
          expect(parts.reduce((sum, { identitySum }) => addIdentitySums(sum, identitySum), "0".repeat(32))).to.equal(whole.identitySum);
          expect(answerOf(spec, mergePartials(spec, parts))).to.deep.equal(answerOf(spec, whole));
        }),
        { numRuns: 60 },
      );
    });

    it(`${kind}: it is as if the records left out were not there`, () => {
      const [there, left] = [NUMBERS.filter((number) => number % 2 === 0), NUMBERS.filter((number) => number % 2 === 1)];
      const except = identitiesOf([...left, ...left]);
      const found = partialOf(spec, [rowsOf(NUMBERS), segmentOf(NUMBERS)], { except });
      const expected = partialOf(spec, [rowsOf(there), segmentOf(there)]);
      expect([found.recordCount, found.identitySum, answerOf(spec, found)]).to.deep.equal([expected.recordCount, expected.identitySum, answerOf(spec, expected)]);
      for (const more of [{ except: identitiesOf(NUMBERS) }, { only: new Uint8Array(0) }, { only: identitiesOf([100]) }]) {
        const nothing = partialOf(spec, [rowsOf(NUMBERS)], more);
        expect([nothing.recordCount, answerOf(spec, nothing)]).to.deep.equal([0, answerOf(spec, partialOf(spec, []))]);
      }
    });
  }
});
