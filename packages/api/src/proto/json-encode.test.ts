/** Compares the encoders written by hand with simple ones: JSON.stringify of the message under its JSON names, and the binary codec. */
import { ByteWriter, decodeUtf8 } from "@pyromesh/base";
import { Interrupt, UNINTERRUPTED } from "@pyromesh/profile";
import { expect } from "chai";
import fc from "fast-check";
import { decodeBinary, encodeBinary } from "./binary.ts";
import { binaryToJson } from "./binary-to-json.ts";
import { encodeJson } from "./json-encode.ts";
import { PPROF } from "./pprof-v1.ts";
import * as q from "./querier-v1.ts";
import { isUnset } from "./schema.ts";
import type { Field, MessageSchema } from "./schema.ts";

type Message = Readonly<Record<string, unknown>>;

/** The message as an object for JSON.stringify. */
function plain(schema: MessageSchema<object>, value: Message): Message {
  const object: Record<string, unknown> = {};
  for (const field of schema.fields) {
    const item = value[field.jsonName];
    if (field.isRepeated && (item as readonly unknown[]).length > 0) object[field.jsonName] = (item as readonly unknown[]).map((one) => plainItem(field, one));
    else if (!field.isRepeated && !isUnset(field, item)) object[field.jsonName] = plainItem(field, item);
  }
  return object;
}

function plainItem(field: Field, item: unknown): unknown {
  switch (field.kind) {
    case "message":
      return plain(field.message!, item as Message);
    case "bytes":
      return Buffer.from(item as Uint8Array).toString("base64");
    case "enum":
      return field.enumNames![item as number] ?? item;
    case "double":
      return Number.isFinite(item) ? item : String(item);
    case "int64":
    case "uint64":
      return String(item);
    default:
      return item;
  }
}

/** Decoded messages: whole numbers up to 2^53 are numbers. */
function messages(schema: MessageSchema<object>): fc.Arbitrary<Message> {
  const fields = schema.fields.map((field) => [field.jsonName, field.isRepeated ? fc.array(items(field), { maxLength: 3 }) : optional(field)] as const);
  return fc.record(Object.fromEntries(fields));
}

function optional(field: Field): fc.Arbitrary<unknown> {
  return field.kind === "message" || field.isOptional ? fc.option(items(field), { nil: undefined }) : items(field);
}

const compact = (value: bigint): number | bigint => (value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER ? Number(value) : value);

function items(field: Field): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case "message":
      return messages(field.message!);
    case "string":
      return fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("", "a\"b\\c\n", "\u2028", "\u007f"));
    case "bytes":
      return fc.uint8Array({ maxLength: 20 });
    case "bool":
      return fc.boolean();
    case "double":
      return fc.double().map((value) => value + 0); // -0 is 0 on our wire
    case "enum":
      return fc.nat({ max: 12 });
    case "int32":
      return fc.integer();
    case "uint32":
      return fc.nat();
    case "uint64":
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(compact);
    default:
      return fc.oneof(fc.constant(0), fc.nat(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(compact));
  }
}

const jsonOfBinary = (schema: MessageSchema<object>, bytes: Uint8Array): string => {
  const out = new ByteWriter(1);
  binaryToJson(schema, bytes, out, UNINTERRUPTED);
  return decodeUtf8(out.finish());
};

const SCHEMAS: Readonly<Record<string, MessageSchema<object>>> = {
  "a pprof": PPROF,
  "a flame graph": q.SELECT_MERGE_STACKTRACES_RESPONSE,
  "a diff": q.DIFF_RESPONSE,
  points: q.SELECT_SERIES_RESPONSE,
  "a heatmap": q.SELECT_HEATMAP_RESPONSE,
};

describe("JSON of messages", () => {
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    it(`${name}: the same bytes as JSON.stringify writes, from the message and from its binary form`, () => {
      fc.assert(
        fc.property(messages(schema), (message) => {
          const expected = JSON.stringify(plain(schema, message));
          expect(decodeUtf8(encodeJson(schema, message))).to.equal(expected);
          expect(jsonOfBinary(schema, encodeBinary(schema, message))).to.equal(expected);
        }),
        { numRuns: 200 },
      );
    });
  }

  it("tree bytes of any length are base64 without a seam", () => {
    for (const length of [1, 3 * 2 ** 14 - 1, 3 * 2 ** 14, 3 * 2 ** 14 + 1, 100_000]) {
      const tree = Uint8Array.from({ length }, (_, at) => at * 7);
      expect(decodeUtf8(encodeJson(q.SELECT_MERGE_STACKTRACES_RESPONSE, { tree }))).to.equal(`{"tree":"${Buffer.from(tree).toString("base64")}"}`);
    }
  });

  it("fields in any order, doubled, unpacked and unknown ones: printed as the binary codec reads them", () => {
    // Each part is a field of a Profile; concatenated in any order they are a Profile.
    const parts = fc.oneof(
      messages(PPROF).map((message) => encodeBinary(PPROF, message)),
      fc.constantFrom([0x48, 5], [0x48, 0], [0x68, 7], [0x6a, 0], [0x6a, 2, 8, 9], [0xf8, 0x01, 7], [0xfa, 0x01, 2, 9, 9], [0xfd, 0x01, 1, 2, 3, 4], [0x12, 4, 0x08, 1, 0x08, 2]).map((bytes) => Uint8Array.from(bytes)),
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 6 }), (all) => {
        const bytes = Uint8Array.from(all.flatMap((part) => [...part]));
        expect(jsonOfBinary(PPROF, bytes)).to.equal(JSON.stringify(plain(PPROF, decodeBinary(PPROF, bytes))));
      }),
      { numRuns: 300 },
    );
  });

  it("bytes that end too early are our own fault, and are not looked for beyond their end", () => {
    const bytes = encodeBinary(PPROF, { sample: [{ locationId: [1, 2], value: [3] }], stringTable: ["", "cpu"], timeNanos: 2n ** 60n });
    for (let length = 0; length < bytes.length; length++) {
      try {
        decodeBinary(PPROF, bytes.subarray(0, length));
      } catch {
        expect(() => jsonOfBinary(PPROF, bytes.subarray(0, length)), `${length} bytes`).to.throw("an encoded google.v1.Profile of ours cannot be read");
      }
    }
  });

  it("what is printed for nobody ends, whichever form it comes from", () => {
    const sample = Array.from({ length: 20_000 }, (_, index) => ({ locationId: [1, 2, 3], value: [index], label: [] }));
    const gone = new Error("gone");
    const ending = (): Interrupt => {
      let checks = 0;
      return new Interrupt(() => {
        if (++checks > 2) throw gone;
      });
    };
    expect(() => encodeJson(PPROF, { sample }, ending())).to.throw(gone);
    expect(() => binaryToJson(PPROF, encodeBinary(PPROF, { sample }), new ByteWriter(1), ending())).to.throw(gone);
  });
});
