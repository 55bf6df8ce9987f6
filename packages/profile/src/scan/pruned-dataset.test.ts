import { expect } from "chai";
import fc from "fast-check";
import { Dataset } from "../dataset/dataset.ts";
import type { PreparedRow } from "../dataset/dataset.ts";
import { pruneInSteps } from "./pruned-dataset.ts";
import { decodeRecord } from "../record/record-decode.ts";
import { encodeView } from "../testing/encode-view.ts";
import type { RecordView } from "../model/record-view.ts";
import { emptyRowSamples } from "./scan.ts";
import { SymbolInterner } from "../dataset/symbol-interner.ts";
import { recordView } from "../testing/record-view.ts";

/** Few of each, so that records share some of what they name. */
interface Spec {
  readonly stacks: readonly (readonly string[])[];
  readonly pod: string;
  readonly span: string | undefined;
  readonly trace: number | undefined;
  readonly value: number | bigint;
  readonly mapping: string | undefined;
  readonly hasProfileId: boolean;
}

const SPEC: fc.Arbitrary<Spec> = fc.record({
  stacks: fc.uniqueArray(fc.array(fc.constantFrom("a", "b", "c", "d", "e", "f"), { maxLength: 5 }), { maxLength: 6, selector: String }),
  pod: fc.constantFrom("p", "q"),
  span: fc.constantFrom(undefined, "00000000000000aa", "00000000000000bb", "00000000000000cc"),
  trace: fc.constantFrom(undefined, 7, 8, 9),
  value: fc.constantFrom(0, 3, 2 ** 40, 2n ** 60n + 1n),
  mapping: fc.constantFrom(undefined, "/bin/one", "/bin/two", "/bin/three"),
  hasProfileId: fc.boolean(),
});

/** A record in its canonical form, as it is stored. */
function recordOf({ stacks, pod, span, trace, value, mapping, hasProfileId }: Spec, index: number): RecordView {
  const types = ["samples", "cpu"].slice(0, pod === "p" ? 1 : 2).map((type) => ({ type, unit: "count" }));
  const view = recordView({
    labels: { __name__: "process_cpu", service_name: "api", pod },
    timeNs: BigInt(1000 + ((index * 7) % 5)),
    types,
    salt: String(index),
    ...(hasProfileId ? { profileId: new Uint8Array(16).fill(index + 1) } : {}),
    samples: stacks.map((stack) => ({ stack, values: types.map((_, column) => (column === 0 ? value : index)), ...(span === undefined ? {} : { span }) })),
  });
  const { symbols } = view;
  if (!(symbols instanceof SymbolInterner)) throw new Error("recordView interns its symbols");
  if (mapping !== undefined) {
    symbols.mappingCount = 2;
    symbols.mappingFilename[1] = symbols.string(Buffer.from(mapping), 0, mapping.length);
    symbols.locationMapping.fill(1, 1, symbols.locationCount);
  }
  const ids = trace === undefined ? {} : { sampleTrace: new Uint32Array(stacks.length).fill(1), traces: new Uint8Array(32).fill(trace, 16) };
  return decodeRecord(encodeView({ ...view, ...ids }, { idempotencyKey: undefined, nonce: new Uint8Array(16).fill(index) }).bytes, "r");
}

function prune(dataset: Dataset): { readonly pruned: Dataset; readonly stepCount: number } {
  const steps = pruneInSteps(dataset);
  for (let stepCount = 1; ; stepCount++) {
    const step = steps.next();
    if (step.done === true) return { pruned: step.value, stepCount };
  }
}

/** All that can be seen of it, number for number. */
function columnsOf(dataset: Dataset): unknown {
  const { symbols, tree, series, rowCount, minTimeNs, maxTimeNs } = dataset;
  const { stringCount, mappingCount, functionCount, locationCount, lineCount } = symbols;
  const read = emptyRowSamples();
  return {
    strings: [[...symbols.stringOffset.subarray(0, stringCount + 1)], Buffer.from(symbols.stringBytes.subarray(0, symbols.stringOffset[stringCount])).toString()],
    mappings: [symbols.mappingFilename, symbols.mappingBuildId, symbols.mappingFlags].map((column) => [...column.subarray(1, mappingCount)]),
    functions: [symbols.functionName, symbols.functionSystemName, symbols.functionFilename, symbols.functionStartLine].map((column) => [...column.subarray(1, functionCount)]),
    locations: [symbols.locationMapping, symbols.locationAddressLow, symbols.locationFlags, symbols.lineStart].map((column) => [...column.subarray(1, locationCount)]),
    lines: [symbols.lineFunction, symbols.lineNumber].map((column) => [...column.subarray(0, lineCount)]),
    tree: [tree.nodeParent, tree.nodeLocation].map((column) => [...column.subarray(1, tree.nodeCount)]),
    ids: [dataset.spans.slice(8, dataset.spanCount * 8), dataset.traces.slice(16, dataset.traceCount * 16)],
    series,
    times: [minTimeNs, maxTimeNs, ...dataset.rowTimeNs.subarray(0, rowCount)],
    identities: dataset.identities.slice(0, rowCount * 16),
    rows: Array.from({ length: rowCount }, (_, row) => ({
      series: dataset.rowSeries[row],
      duration: dataset.durationNs(row),
      period: dataset.period(row),
      profileId: dataset.profileId(row),
      columns: series[dataset.rowSeries[row]!]!.sampleTypes.map((__, column) => {
        dataset.read(row, column, read);
        const { sampleCount, node, value, wide, span, trace } = read;
        return [dataset.total(row, column), [...node.subarray(0, sampleCount)], wide ?? [...value.subarray(0, sampleCount)], span, trace];
      }),
    })),
  };
}

describe("pruned dataset", () => {
  it("comes out number for number as one that only ever saw the records it has rows of, whatever was prepared when", () => {
    const push = fc.record({ spec: SPEC, isKept: fc.boolean(), isPrepared: fc.boolean(), waits: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(push, { maxLength: 8 }), (pushes) => {
        const dataset = new Dataset("api");
        const clean = new Dataset("api");
        const waiting: { readonly until: number; readonly record: RecordView; readonly row: PreparedRow }[] = [];
        pushes.forEach(({ spec, isKept, isPrepared, waits }, index) => {
          const record = recordOf(spec, index);
          if (isPrepared) {
            const row = dataset.prepare(record);
            if (isKept) waiting.push({ until: index + waits, record, row });
          } else if (isKept) {
            dataset.insert(record);
            clean.insert(record);
          }
          for (const due of waiting.splice(0).sort((a, b) => a.until - b.until)) {
            if (due.until > index && index < pushes.length - 1) waiting.push(due);
            else {
              dataset.add(due.row);
              clean.insert(due.record);
            }
          }
        });
        const before = columnsOf(dataset);
        expect(columnsOf(prune(dataset).pruned)).deep.equal(columnsOf(clean));
        expect(columnsOf(dataset)).deep.equal(before);
      }),
      { numRuns: 200 },
    );
  });

  it("keeps the seed that clients cannot know", () => {
    expect(prune(new Dataset("api", 77)).pruned.hashSeed).equal(77);
  });

  it("is made in steps, however many rows or new stacktraces there are", () => {
    const dataset = new Dataset("api");
    const samples = (from: number): { stack: string[]; values: number[] }[] => Array.from({ length: 100 }, (_, i) => ({ stack: [`f${from + i}`], values: [1] }));
    for (let i = 0; i < 20; i++) dataset.insert(recordView({ labels: { __name__: "x", service_name: "api" }, timeNs: BigInt(i), samples: samples(i * 100) }));
    expect(prune(dataset).stepCount).within(2, 20);
    const same = new Dataset("api");
    for (let i = 0; i < 400; i++) same.insert(recordView({ labels: { __name__: "x", service_name: "api" }, timeNs: BigInt(i), samples: samples(0) }));
    expect(prune(same).stepCount).within(5, 100);
  });
});

describe("dataset: a prepared row", () => {
  const spec: Spec = { stacks: [["a", "b"]], pod: "p", span: undefined, trace: undefined, value: 3, mapping: undefined, hasProfileId: false };

  it("says whether it was the first with some of its symbols, spans or traces", () => {
    const dataset = new Dataset("api");
    const isFirst = (changes: Partial<Spec>, index: number): boolean => dataset.prepare(recordOf({ ...spec, ...changes }, index)).isFirstWithSome;
    expect([isFirst({}, 0), isFirst({}, 1)]).deep.equal([true, false]);
    const changes: readonly Partial<Spec>[] = [{ stacks: [["a", "b", "c"]] }, { span: "00000000000000aa" }, { trace: 7 }, { mapping: "/bin/one" }];
    for (const change of changes) expect([isFirst(change, 2), isFirst(change, 3)], Object.keys(change)[0]).deep.equal([true, false]);
    expect(isFirst({ stacks: [["a"]], value: 5 }, 4)).equal(false);
  });
});
