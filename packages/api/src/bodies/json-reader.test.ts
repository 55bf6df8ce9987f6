import { Base64Text, checkJsonBounds, CodedError, encodeUtf8, JsonFault, JsonReader, seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { JSON_PUSH_BOUNDS } from "../proto/json-bounds.ts";
import { readPushJson } from "../write/push-json.ts";
import { finishReading } from "../write/push-message.ts";
import type { PushedProfile } from "../write/push-message.ts";

const readJson = (body: Uint8Array): PushedProfile[] => finishReading(readPushJson(body));

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof CodedError ? thrown.code : thrown instanceof JsonFault ? "fault" : String(thrown);
  }
  return "none";
}

function skipAll(text: string): void {
  const reader = new JsonReader(encodeUtf8(text), JSON_PUSH_BOUNDS);
  reader.skip();
  reader.end();
}

function decode(text: string): string {
  const base64 = new Base64Text(Buffer.from(text));
  while (!base64.isDone) base64.step();
  return Buffer.from(base64.finish()).toString("hex");
}

describe("JSON reader", () => {
  it("skips whatever JSON.stringify writes", () => {
    fc.assert(fc.property(fc.json({ maxDepth: 6 }), (text) => skipAll(text)), { numRuns: 300 });
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => skipAll(JSON.stringify(value, undefined, 2))), { numRuns: 200 });
  });

  it("a byte order mark before the text is skipped, as in a query's JSON; anywhere else it is refused", () => {
    expect(readJson(encodeUtf8('\ufeff{"series":[{"samples":[{"rawProfile":"YWI="}]}]}'))).to.have.length(1);
    expect(codeOf(() => readJson(encodeUtf8("\ufeff\ufeff{}")))).to.equal("PUSH_MALFORMED");
    expect(codeOf(() => readJson(encodeUtf8("{}\ufeff")))).to.equal("PUSH_MALFORMED");
  });

  it("a text that is truncated anywhere is refused", () => {
    const whole = JSON.stringify({ series: [{ labels: [{ name: "a\\\"b", value: "ü" }], samples: [{ rawProfile: "YWI=", x: [1.5e3, true, null] }] }] });
    for (let length = 0; length < whole.length; length++) expect(codeOf(() => readJson(encodeUtf8(whole).subarray(0, length))), whole.slice(0, length)).to.equal("PUSH_MALFORMED");
    expect(readJson(encodeUtf8(whole))).to.have.length(1);
  });

  it("what JSON.parse refuses is refused", () => {
    for (const text of ["", "{", "[1,]", "[,1]", "[1 2]", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", "[01]", "[1.]", "[+1]", "[nul]", "[truefalse]", "[NaN]", '["a]', "{}{}", "{} x", "[}", '["\\"]', "'a'"]) {
      expect(codeOf(() => JSON.parse(text)), text).to.match(/^SyntaxError/);
      expect(codeOf(() => skipAll(text)), text).to.equal("fault");
    }
  });

  it("64 MiB of brackets are refused at the thirty-third", () => {
    const bytes = Buffer.alloc(64 * 2 ** 20, "[");
    expect(codeOf(() => readJson(Buffer.from(`{"x":${"[".repeat(40)}`)))).to.equal("JSON_TOO_DEEP");
    expect(codeOf(() => readJson(bytes))).to.equal("JSON_TOO_DEEP");
    expect(codeOf(() => checkJsonBounds(bytes, JSON_PUSH_BOUNDS))).to.equal("JSON_TOO_DEEP");
    expect(codeOf(() => skipAll(`${"[".repeat(32)}${"]".repeat(32)}`))).to.equal("none");
    expect(codeOf(() => skipAll(`${"[".repeat(33)}${"]".repeat(33)}`))).to.equal("JSON_TOO_DEEP");
  });

  it("values of all kinds are counted, also skipped ones", () => {
    const many = JSON_PUSH_BOUNDS.valueCountMax;
    for (const [before, piece, after] of [["[", "0,", "0]"], ["[", "[],", "0]"], ["{", '"a":1,', '"a":1}'], ['["', '\\"', '"]']] as const) {
      const text = `{"x":${before}${piece.repeat(many)}${after}}`;
      expect(codeOf(() => readJson(encodeUtf8(text))), piece).to.equal("JSON_TOO_MANY_VALUES");
      if (!piece.startsWith("\\")) expect(codeOf(() => checkJsonBounds(encodeUtf8(text), JSON_PUSH_BOUNDS)), piece).to.equal("JSON_TOO_MANY_VALUES");
    }
  });

  it("brackets and commas in strings do not count", () => {
    checkJsonBounds(encodeUtf8(`{"a":"${"[{,\\\"\\\\".repeat(100_000)}"}`), JSON_PUSH_BOUNDS);
  });

  it("bytes that are no UTF-8 are refused", () => {
    expect(codeOf(() => readJson(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)))).to.equal("PUSH_MALFORMED");
  });

  it("base64 of every length is decoded in pieces, with escapes and line breaks anywhere", () => {
    const random = seededRandom(5);
    for (const sizeBytes of [0, 1, 2, 3, 4, 5, 49_151, 49_152, 49_153, 200_000]) {
      const bytes = Buffer.from(random.bytes(sizeBytes));
      const text = bytes.toString("base64");
      expect(decode(text)).to.equal(bytes.toString("hex"));
      expect(decode(text.replaceAll("=", ""))).to.equal(bytes.toString("hex"));
      expect(decode(text.replaceAll("/", "\\/").replaceAll("=", "\\u003d"))).to.equal(bytes.toString("hex"));
      expect(decode(text.replaceAll(/(.{76})/g, "$1\\r\\n"))).to.equal(bytes.toString("hex"));
      expect(decode(text.replaceAll(/(.{5})/g, "$1\\n").replaceAll("+", "\\u002B"))).to.equal(bytes.toString("hex"));
    }
  });

  it("a push of megabytes is read in small steps, including what follows a long profile", () => {
    const raw = Buffer.alloc(3 * 2 ** 20, 0xa5);
    const body = encodeUtf8(JSON.stringify({ series: [{ samples: [{ rawProfile: raw.toString("base64"), ID: "x" }, { rawProfile: "YWI=" }], labels: [{ name: "a", value: "b" }] }] }));
    const reading = readPushJson(body);
    let stepCount = 0;
    let step = reading.next();
    for (; step.done !== true; step = reading.next()) stepCount++;
    expect(stepCount).to.be.at.least(60);
    const [first, second] = step.value;
    expect(Buffer.compare(first!.raw, raw)).to.equal(0);
    expect([first!.id, Buffer.from(second!.raw).toString(), second!.labels]).to.deep.equal(["x", "ab", [{ name: "a", value: "b" }]]);
    expect(first!.raw.buffer, "in the place of its base64").to.equal(body.buffer);
  });

  it("a repeated key is refused where it is unclear which one is meant", () => {
    for (const text of ['{"series":[],"series":[]}', '{"series":[{"labels":[],"labels":[]}]}', '{"series":[{"samples":[{"rawProfile":"","rawProfile":""}]}]}']) {
      expect(codeOf(() => readJson(encodeUtf8(text))), text).to.equal("PUSH_MALFORMED");
    }
  });
});
