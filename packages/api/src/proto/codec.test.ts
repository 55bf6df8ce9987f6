import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { CodedError, decodeUtf8, encodeUtf8 } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { decodeBinary, encodeBinary } from "./binary.ts";
import { encodeJson as encodeJsonBytes } from "./json-encode.ts";
import { decodeJson } from "./json.ts";
import { PPROF } from "./pprof-v1.ts";
import * as q from "./querier-v1.ts";
import { message, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";
import * as t from "./types-v1.ts";
import { corpusFolder } from "../testing/recorded.ts";

const { LABEL_VALUES_REQUEST, SERIES } = t;

const json = (text: string): Uint8Array => encodeUtf8(text);
const encodeJson = <T extends object>(schema: MessageSchema<T>, value: T): string => decodeUtf8(encodeJsonBytes(schema, value));

const REQUEST: q.SelectMergeStacktracesRequest = {
  profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
  labelSelector: '{pod="ä"}',
  start: 1_795_418_940_000,
  end: 2n ** 62n,
  maxNodes: 0,
  format: q.FORMAT_PPROF,
  stackTraceSelector: { callSite: [{ name: "main" }, { name: "" }], goPgo: { keepLocations: 5, aggregateCallees: true } },
  profileIdSelector: ["a", "b"],
  async: undefined,
  traceIdSelector: [],
  spanSelector: ["0000000000000001"],
};

describe("binary codec", () => {
  it("writes what protobuf's own text says of a known message", () => {
    const bytes = encodeBinary(LABEL_VALUES_REQUEST, { name: "pod", matchers: ["{}"], start: 1, end: 300, limit: 7 });
    expect(Buffer.from(bytes).toString("hex")).to.equal("0a03706f64" + "12027b7d" + "1801" + "20ac02" + "c03e07");
  });

  it("writes fixed64 in eight bytes, alone and in lists, and reads it back", () => {
    const schema: MessageSchema<object> = message("test.Fixed", [scalar(1, "one", "fixed64"), scalar(2, "many", "fixed64", { isRepeated: true })]);
    const value = { one: 1, many: [2n ** 64n - 1n, 0] };
    const bytes = encodeBinary(schema, value);
    expect(Buffer.from(bytes).toString("hex")).to.equal(`09${"0100000000000000"}1210${"ff".repeat(8)}${"00".repeat(8)}`);
    expect(decodeBinary(schema, bytes)).to.deep.equal(value);
    expect(encodeJson(schema, value)).to.equal('{"one":"1","many":["18446744073709551615","0"]}');
    expect(decodeJson(schema, json('{"one":"1","many":["18446744073709551615",0]}'))).to.deep.equal(value);
  });

  it("reads back what it wrote, presence of a zero included", () => {
    expect(decodeBinary(q.SELECT_MERGE_STACKTRACES_REQUEST, encodeBinary(q.SELECT_MERGE_STACKTRACES_REQUEST, REQUEST))).to.deep.equal(REQUEST);
  });

  it("levels survive, negative and beyond 2^53 too", () => {
    const values = [0, 1, 127, 128, 2 ** 32, Number.MAX_SAFE_INTEGER, -1, 2n ** 63n - 1n, -(2n ** 63n)];
    expect(decodeBinary(q.LEVEL, encodeBinary(q.LEVEL, { values }))).to.deep.equal({ values });
  });

  it("any int64 survives", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const [back] = decodeBinary(q.LEVEL, encodeBinary(q.LEVEL, { values: [value] })).values;
        return BigInt(back!) === value;
      }),
    );
  });

  it("reads a repeated number unpacked as well as packed", () => {
    expect(decodeBinary(q.LEVEL, Uint8Array.of(8, 1, 8, 2, 10, 2, 3, 4)).values).to.deep.equal([1, 2, 3, 4]);
  });

  it("steps over fields it does not know, of every wire type", () => {
    const unknown = [0xf8, 0x01, 7, 0xf9, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 0xfa, 0x01, 2, 9, 9, 0xfd, 0x01, 1, 2, 3, 4];
    const known = encodeBinary(LABEL_VALUES_REQUEST, { name: "pod", matchers: [], start: 1, end: 2, limit: 0 });
    expect(decodeBinary(LABEL_VALUES_REQUEST, Uint8Array.from([...unknown, ...known])).name).to.equal("pod");
  });

  it("a message encoded before goes through as it is", () => {
    const profile = encodeBinary(PPROF, { stringTable: ["", "cpu"], timeNanos: 5 });
    const bytes = encodeBinary(q.SELECT_MERGE_STACKTRACES_RESPONSE, { pprof: { profile } });
    expect(Buffer.from(bytes).includes(Buffer.from(profile))).to.equal(true);
    expect(decodeBinary(q.SELECT_MERGE_STACKTRACES_RESPONSE, bytes).pprof!.profile).to.deep.include({ stringTable: ["", "cpu"], timeNanos: 5 });
  });

  it("cut at any byte it is read as a shorter message or refused, never anything else", () => {
    const bytes = encodeBinary(q.SELECT_MERGE_STACKTRACES_REQUEST, REQUEST);
    for (let length = 0; length < bytes.length; length++) expectReadOrRefused(() => decodeBinary(q.SELECT_MERGE_STACKTRACES_REQUEST, bytes.subarray(0, length)));
  });

  it("noise is read or refused, never anything else", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => expectReadOrRefused(() => decodeBinary(q.DIFF_REQUEST, bytes))), { numRuns: 2000 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => expectReadOrRefused(() => decodeBinary(PPROF, bytes))), { numRuns: 2000 });
  });

  it("a leading U+FEFF is part of a text", () => {
    const request = { ...REQUEST, labelSelector: '\ufeff{pod="a"}' };
    expect(decodeBinary(q.SELECT_MERGE_STACKTRACES_REQUEST, encodeBinary(q.SELECT_MERGE_STACKTRACES_REQUEST, request))).to.include({ labelSelector: '\ufeff{pod="a"}' });
  });

  it("text that is not UTF-8 and a wrong wire type are refused", () => {
    expect(() => decodeBinary(LABEL_VALUES_REQUEST, Uint8Array.of(10, 1, 0xff))).to.throw(CodedError, "UTF-8");
    expect(() => decodeBinary(LABEL_VALUES_REQUEST, Uint8Array.of(8, 1))).to.throw(CodedError, "wire type");
    expect(() => decodeBinary(LABEL_VALUES_REQUEST, Uint8Array.of(0, 1))).to.throw(CodedError, "field number");
  });
});

function expectReadOrRefused(run: () => unknown): void {
  try {
    run();
  } catch (thrown) {
    if (!(thrown instanceof CodedError) || thrown.kind !== "invalid_argument") throw thrown;
  }
}

describe("JSON codec", () => {
  it("reads JSON names and proto names, numbers and strings", () => {
    const expected = { start: 12, end: 34 };
    const both = [
      `{"profileTypeID":"t","labelSelector":"{}","start":"12","end":34,"maxNodes":"8"}`,
      `{"profile_typeID":"t","label_selector":"{}","start":12,"end":"34","max_nodes":8}`,
    ];
    for (const text of both) {
      const message = decodeJson(q.SELECT_MERGE_STACKTRACES_REQUEST, json(text));
      expect(message).to.deep.include({ ...expected, profileTypeID: "t", labelSelector: "{}", maxNodes: 8 });
    }
  });

  it("reads enums by name and number, null as absent, and steps over what it does not know", () => {
    const read = (text: string): q.SelectSeriesRequest => decodeJson(q.SELECT_SERIES_REQUEST, json(text));
    expect(read(`{"aggregation":"TIME_SERIES_AGGREGATION_TYPE_AVERAGE"}`).aggregation).to.equal(1);
    expect(read(`{"aggregation":1,"exemplarType":3}`)).to.deep.include({ aggregation: 1, exemplarType: 3 });
    expect(read(`{"aggregation":null,"start":null,"surprise":{"deep":[1]},"__proto__":{"start":5}}`)).to.deep.include({ aggregation: undefined, start: 0 });
    expect(read(`{"step":"0.5"}`).step).to.equal(0.5);
    expect(read(`{"start":"1e3"}`).start).to.equal(1000);
  });

  const refused: readonly [string, string][] = [
    ["", "empty"],
    ["{", "not JSON"],
    ["[]", "object"],
    ["null", "object"],
    [`{"start":"soon"}`, "whole number"],
    [`{"start":1.5}`, "whole number"],
    [`{"start":true}`, "whole number"],
    [`{"start":"9223372036854775808"}`, "from"],
    [`{"start":"${"9".repeat(100_000)}"}`, "whole number"],
    [`{"labelSelector":5}`, "string"],
    [`{"groupBy":"pod"}`, "array"],
    [`{"groupBy":[null]}`, "string"],
    [`{"aggregation":"AVERAGE"}`, "one of"],
    [`{"step":"x"}`, "number"],
    [`{"stackTraceSelector":[]}`, "object"],
    [`{"labelSelector":"{}","label_selector":"{}"}`, "both"],
  ];
  for (const [text, reason] of refused) {
    it(`refuses ${text.slice(0, 50) || "an empty body"}`, () => {
      expect(() => decodeJson(q.SELECT_SERIES_REQUEST, json(text))).to.throw(CodedError, reason);
    });
  }

  it("refuses what is no UTF-8", () => {
    expect(() => decodeJson(q.SELECT_SERIES_REQUEST, Uint8Array.of(0x22, 0xff, 0x22))).to.throw(CodedError, "not JSON");
  });

  it("noise is read or refused, never anything else", () => {
    fc.assert(fc.property(fc.json(), (text) => expectReadOrRefused(() => decodeJson(q.DIFF_REQUEST, json(text)))), { numRuns: 500 });
  });

  it("leaves zeros out and writes int64 as strings", () => {
    const text = encodeJson(q.SELECT_MERGE_STACKTRACES_RESPONSE, {
      flamegraph: { names: ["total"], levels: [{ values: [0, 0, 0, 0] }], total: 0, maxSelf: 0 },
    });
    expect(text).to.equal(`{"flamegraph":{"names":["total"],"levels":[{"values":["0","0","0","0"]}]}}`);
  });

  it("writes points as protojson does", () => {
    const text = encodeJson(q.SELECT_SERIES_RESPONSE, {
      series: [{ labels: [], points: [{ value: 1.5, timestamp: 1000, annotations: [], exemplars: [] }, { value: 0, timestamp: 2000, annotations: [], exemplars: [] }] }],
    });
    expect(text).to.equal(`{"series":[{"points":[{"value":1.5,"timestamp":"1000"},{"timestamp":"2000"}]}]}`);
  });

  it("what it writes is JSON that it reads back", () => {
    const label = fc.record({ name: fc.string({ unit: "grapheme" }), value: fc.string({ unit: "grapheme" }) });
    const point = fc.record({
      value: fc.double({ noNaN: true }).map((value) => value + 0), // -0 is 0 on our wire
      timestamp: fc.maxSafeInteger(),
      annotations: fc.constant([]),
      exemplars: fc.constant([]),
    });
    fc.assert(
      fc.property(fc.record({ labels: fc.array(label, { maxLength: 4 }), points: fc.array(point, { maxLength: 4 }) }), (series) => {
        expect(decodeJson(SERIES, json(encodeJson(SERIES, series)))).to.deep.equal(series);
        expect(decodeBinary(SERIES, encodeBinary(SERIES, series))).to.deep.equal(series);
      }),
      { numRuns: 200 },
    );
  });

  it("a pprof encoded before is printed with its fields", () => {
    const profile = encodeBinary(PPROF, { stringTable: ["", "cpu"], sample: [{ locationId: [1, 2], value: [5] }], mapping: [{ id: 1, hasFunctions: true }] });
    const text = encodeJson(q.SELECT_MERGE_STACKTRACES_RESPONSE, { pprof: { profile } });
    expect(JSON.parse(text)).to.deep.equal({
      pprof: { profile: { sample: [{ locationId: ["1", "2"], value: ["5"] }], mapping: [{ id: "1", hasFunctions: true }], stringTable: ["", "cpu"] } },
    });
  });
});

/** Real answers: the tables must have every field of them, in JSON and in binary form. */
describe("recorded answers", () => {
  const RESPONSES: Readonly<Record<string, MessageSchema<object>>> = {
    ProfileTypes: q.PROFILE_TYPES_RESPONSE,
    LabelNames: t.LABEL_NAMES_RESPONSE,
    LabelValues: t.LABEL_VALUES_RESPONSE,
    Series: q.SERIES_RESPONSE,
    SelectMergeStacktraces: q.SELECT_MERGE_STACKTRACES_RESPONSE,
    SelectMergeProfile: PPROF,
    SelectMergeSpanProfile: q.SELECT_MERGE_SPAN_PROFILE_RESPONSE,
    SelectSeries: q.SELECT_SERIES_RESPONSE,
    SelectHeatmap: q.SELECT_HEATMAP_RESPONSE,
    Diff: q.DIFF_RESPONSE,
  };
  const corpus = corpusFolder();
  const folder = corpus === undefined ? undefined : path.join(corpus, "recorded");
  if (folder === undefined || !existsSync(folder)) {
    it("are read back where the corpus is", function () {
      this.skip();
    });
    return;
  }
  for (const file of readdirSync(folder).filter((name) => /^(0[89]|[123]\d)-/.test(name))) {
    it(file, () => {
      const { request, response } = JSON.parse(readFileSync(path.join(folder, file), "utf8")) as { request: { path: string }; response: { body: object } };
      const schema = RESPONSES[request.path.slice(request.path.lastIndexOf("/") + 1)]!;
      const message = decodeJson(schema, json(JSON.stringify(response.body)));
      expect(JSON.parse(encodeJson(schema, message))).to.deep.equal(response.body);
      expect(decodeBinary(schema, encodeBinary(schema, message))).to.deep.equal(message);
    });
  }
});
