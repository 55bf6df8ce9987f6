import { CodedError, encodeUtf8, seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { readPushJson } from "./push-json.ts";
import { describeProfile, finishReading, readPushBinary } from "./push-message.ts";
import type { PushedProfile } from "./push-message.ts";
import { concat, encodePushRequest, lengthField } from "../testing/push-bytes.ts";
import { codeOf } from "../testing/code-of.ts";

const TWO_SERIES = [
  { labels: { __name__: "memory", service_name: "café" }, profiles: [{ raw: encodeUtf8("first"), id: "7c9e6679-7425-40de-944b-e07fc1f90ae7" }, { raw: encodeUtf8("second") }] },
  { labels: { __name__: "wall" }, profiles: [{ raw: new Uint8Array(0) }] },
];

function plain(profiles: readonly PushedProfile[]): unknown {
  return profiles.map((profile) => ({ ...profile, raw: Buffer.from(profile.raw).toString("hex") }));
}

const readBinary = (body: Uint8Array): PushedProfile[] => finishReading(readPushBinary(body));
const readJson = (body: Uint8Array): PushedProfile[] => finishReading(readPushJson(body));

describe("push message", () => {
  it("binary: labels, profiles and ids come out in order", () => {
    const read = readBinary(encodePushRequest(TWO_SERIES));
    expect(read.map(describeProfile)).to.deep.equal(["series 0, profile 0", "series 0, profile 1", "series 1, profile 0"]);
    expect(read[0]!.labels).to.deep.equal([
      { name: "__name__", value: "memory" },
      { name: "service_name", value: "café" },
    ]);
    expect(read.map(({ raw }) => Buffer.from(raw).toString())).to.deep.equal(["first", "second", ""]);
    expect(read.map(({ id }) => id)).to.deep.equal(["7c9e6679-7425-40de-944b-e07fc1f90ae7", "", ""]);
  });

  it("JSON and binary of the same request read the same", () => {
    const text = fc.string({ maxLength: 8 });
    const labels = fc.dictionary(text, text, { maxKeys: 4 }).map((found): Record<string, string> => ({ ...found }));
    const profiles = fc.array(fc.record({ raw: fc.uint8Array({ maxLength: 20 }), id: text }), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(fc.record({ labels, profiles }), { maxLength: 4 }), (series) => {
        const json = {
          series: series.map((entry) => ({
            labels: Object.entries(entry.labels).map(([name, value]) => ({ name, value })),
            samples: entry.profiles.map(({ raw, id }) => ({ rawProfile: Buffer.from(raw).toString("base64"), ID: id })),
          })),
        };
        const fromJson = readJson(encodeUtf8(JSON.stringify(json)));
        expect(plain(readBinary(encodePushRequest(series)))).to.deep.equal(plain(fromJson));
      }),
      { numRuns: 200 },
    );
  });

  it("labels that follow the samples on the wire are the series' all the same", () => {
    const label = lengthField(1, concat(lengthField(1, encodeUtf8("pod")), lengthField(2, encodeUtf8("a"))));
    const sample = lengthField(2, lengthField(1, encodeUtf8("raw")));
    const [profile] = readBinary(lengthField(1, concat(sample, label)));
    expect(profile!.labels).to.deep.equal([{ name: "pod", value: "a" }]);
  });

  it("unknown fields of every wire type are stepped over", () => {
    const unknown = concat(Uint8Array.of(0x78, 0x96, 0x01), Uint8Array.of(0x79, 1, 2, 3, 4, 5, 6, 7, 8), Uint8Array.of(0x7d, 1, 2, 3, 4), lengthField(15, encodeUtf8("x")));
    const sample = lengthField(2, concat(unknown, lengthField(1, encodeUtf8("raw")), unknown));
    const annotations = lengthField(3, encodeUtf8("ignored"));
    const read = readBinary(concat(unknown, lengthField(1, concat(unknown, sample, annotations)), unknown));
    expect(read.map(({ raw }) => Buffer.from(raw).toString())).to.deep.equal(["raw"]);
  });

  it("a raw profile is a view into the request: nothing is copied", () => {
    const body = encodePushRequest(TWO_SERIES);
    expect(readBinary(body)[1]!.raw.buffer).to.equal(body.buffer);
  });

  it("truncation at every byte is refused or reads whole fields, never past the end", () => {
    const whole = encodePushRequest(TWO_SERIES);
    const firstSeriesBytes = encodePushRequest(TWO_SERIES.slice(0, 1)).length;
    for (let length = 0; length < whole.length; length++) {
      // The buffer goes on after the cut: a reader that trusts a length would return those bytes.
      const cut = whole.subarray(0, length);
      if (length === 0 || length === firstSeriesBytes) expect(readBinary(cut)).to.have.length(length === 0 ? 0 : 2);
      else expect(codeOf(() => readBinary(cut)), `cut at ${length}`).to.equal("PUSH_MALFORMED");
    }
  });

  it("noise is refused with a code or read as unknown fields, never anything else", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 3_000; round++) {
      const noise = random.bytes(1 + Math.floor(random.float() * 60));
      const outcome = codeOf(() => readBinary(noise));
      expect(["no error", "PUSH_MALFORMED"]).to.include(outcome);
      const json = codeOf(() => readJson(noise));
      expect(json).to.equal("PUSH_MALFORMED");
    }
  });

  it("a flipped byte is refused or read, never a crash", () => {
    const random = seededRandom(11);
    const whole = encodePushRequest(TWO_SERIES);
    for (let round = 0; round < 3_000; round++) {
      const flipped = new Uint8Array(whole);
      flipped[Math.floor(random.float() * flipped.length)]! ^= 1 << Math.floor(random.float() * 8);
      expect(["no error", "PUSH_MALFORMED"]).to.include(codeOf(() => readBinary(flipped)));
    }
  });

  it("text that is no UTF-8 is refused; a replacement character of the client's own is kept", () => {
    const request = (value: Uint8Array): Uint8Array => lengthField(1, concat(lengthField(1, lengthField(2, value)), lengthField(2, lengthField(1, encodeUtf8("raw")))));
    expect(codeOf(() => readBinary(request(Uint8Array.of(0xff, 0xfe))))).to.equal("PUSH_MALFORMED");
    expect(() => readBinary(request(Uint8Array.of(0x61, 0xff)))).to.throw(CodedError, 'the value of the label "" is not UTF-8, its bytes are 61ff');
    const label = (...fields: Uint8Array[]): Uint8Array => lengthField(1, lengthField(1, concat(...fields)));
    expect(() => readBinary(label(lengthField(1, encodeUtf8("pod")), lengthField(2, Uint8Array.of(0xfe))))).to.throw(CodedError, 'the value of the label "pod" is not UTF-8, its bytes are fe');
    expect(() => readBinary(label(lengthField(1, Uint8Array.of(0xc3))))).to.throw(CodedError, "the name of a label is not UTF-8, its bytes are c3");
    expect(readBinary(request(encodeUtf8("a\ufffd")))[0]!.labels[0]!.value).to.equal("a\ufffd");
  });

  it("series, profiles and labels are bounded however small each is", () => {
    const repeated = (piece: Uint8Array, count: number): Uint8Array => concat(...Array.from({ length: count }, () => piece));
    expect(codeOf(() => readBinary(repeated(Uint8Array.of(0x0a, 0), 16_385)))).to.equal("PUSH_TOO_MANY_SERIES");
    expect(codeOf(() => readBinary(lengthField(1, repeated(Uint8Array.of(0x12, 0), 16_385))))).to.equal("PUSH_TOO_MANY_PROFILES");
    expect(codeOf(() => readBinary(lengthField(1, repeated(Uint8Array.of(0x0a, 0), 1_025))))).to.equal("PUSH_TOO_MANY_LABELS");
    const fullSeries = lengthField(1, repeated(Uint8Array.of(0x0a, 0), 1_024));
    expect(codeOf(() => readBinary(repeated(fullSeries, 256)))).to.equal("no error");
    expect(codeOf(() => readBinary(repeated(fullSeries, 257))), "labels of all series together").to.equal("PUSH_TOO_MANY_LABELS");
    expect(codeOf(() => readJson(encodeUtf8(JSON.stringify({ series: Array(16_385).fill({}) }))))).to.equal("PUSH_TOO_MANY_SERIES");
  });

  it("JSON: protobuf's own names, nulls, both alphabets and missing padding are taken, unknown fields ignored", () => {
    const json = { series: [{ labels: null, samples: [{ raw_profile: "-_8", id: "x" }, { rawProfile: "+/8=", ID: null }], more: 1 }], other: {} };
    const read = readJson(encodeUtf8(JSON.stringify(json)));
    expect(plain(read)).to.deep.equal([
      { seriesIndex: 0, profileIndex: 0, labels: [], raw: "fbff", id: "x" },
      { seriesIndex: 0, profileIndex: 1, labels: [], raw: "fbff", id: "" },
    ]);
  });

  it("JSON: base64 as the command of that name prints it, in lines, is read; blanks and more padding are not", () => {
    const rawOf = (rawProfile: string): Uint8Array => readJson(encodeUtf8(JSON.stringify({ series: [{ samples: [{ rawProfile }] }] })))[0]!.raw;
    expect(Buffer.from(rawOf("dHdv\r\nIGxp\nbmVz\n")).toString()).to.equal("two lines");
    expect(Buffer.from(rawOf("YQ=\n=\n")).toString()).to.equal("a");
    for (const text of ["dHdv IGxp", "YQ===", "Y=Q="]) expect(codeOf(() => rawOf(text)), text).to.equal("PUSH_MALFORMED");
  });

  it("JSON of the wrong shape is refused with the place", () => {
    const refusal = (value: unknown): string => {
      try {
        readJson(encodeUtf8(JSON.stringify(value)));
      } catch (thrown) {
        return (thrown as Error).message;
      }
      return "";
    };
    expect(refusal([])).to.contain("the body should be a JSON object");
    expect(refusal({ series: {} })).to.contain("series should be a list");
    expect(refusal({ series: [{ labels: [{ name: 1 }] }] })).to.contain("series 0, label 0, name should be a string");
    expect(refusal({ series: [{ samples: [{ rawProfile: "aGk=", raw_profile: "aGk=" }] }] })).to.contain("series 0, profile 0 has both rawProfile and raw_profile: send one");
    expect(refusal({ series: [{ samples: [{ rawProfile: "%%" }] }] })).to.contain("series 0, profile 0, rawProfile should be base64");
  });
});
