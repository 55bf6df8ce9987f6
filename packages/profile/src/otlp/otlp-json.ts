/**
 * OTLP/JSON becomes the protobuf of the same export, so that there is one reader of profiles. Names are taken in either form (`stackIndex`,
 * `stack_index`), whole numbers as numbers or strings, and bytes as OTLP/JSON writes ids (hex) or as protobuf's JSON does (base64).
 *
 * 1.9 and later have the same names in JSON, and 1.8 other names for two lists: all three are written as 1.10. 1.7 has fields of its own.
 * A field of a sample, stack, profile or dictionary that no version has is refused: its content would be lost. Unknown fields elsewhere are skipped.
 */
import type { CodedError } from "@pyromesh/base";
import { checkJsonBounds, decodeUtf8, encodeUtf8 } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";
import type { Layout } from "./generation.ts";
import { LAYOUT_1_10, LAYOUT_1_7 } from "./generation.ts";
import { MessageBuffer } from "./message-buffer.ts";

/** How the value of a field is written. A message is named by its table. */
type Kind = "text" | "int" | "time" | "bytes" | "bool" | "double" | "ignored" | MessageName;

interface Field {
  readonly number: number;
  readonly kind: Kind;
  readonly isList?: boolean;
}

interface Message {
  readonly fields: Readonly<Record<string, Field>>;
  /** Whether a field of another name is refused. */
  readonly isStrict?: boolean;
}

type MessageName = "request" | "dictionary" | "resourceProfiles" | "resource" | "scopeProfiles" | "scope" | "profile" | "valueType" | "sample" | "mapping" | "stack" | "location" | "line" | "function" | "link" | "tableAttribute" | "keyValue" | "anyValue" | "arrayValue" | "keyValueList" | "attributeUnit";
type Schema = Readonly<Record<MessageName, Message>>;

const one = (number: number, kind: Kind): Field => ({ number, kind });
const list = (number: number, kind: Kind): Field => ({ number, kind, isList: true });

const COMMON = {
  request: { isStrict: true, fields: { resourceProfiles: list(1, "resourceProfiles"), dictionary: one(2, "dictionary") } },
  resourceProfiles: { fields: { resource: one(1, "resource"), scopeProfiles: list(2, "scopeProfiles") } },
  resource: { fields: { attributes: list(1, "keyValue") } },
  scopeProfiles: { fields: { scope: one(1, "scope"), profiles: list(2, "profile") } },
  scope: { fields: { attributes: list(3, "keyValue") } },
  keyValue: { fields: { key: one(1, "text"), value: one(2, "anyValue"), keyStrindex: one(3, "int") } },
  anyValue: {
    fields: {
      stringValue: one(1, "text"),
      boolValue: one(2, "bool"),
      intValue: one(3, "int"),
      doubleValue: one(4, "double"),
      arrayValue: one(5, "arrayValue"),
      kvlistValue: one(6, "keyValueList"),
      bytesValue: one(7, "bytes"),
      stringValueStrindex: one(8, "int"),
    },
  },
  arrayValue: { fields: { values: list(1, "anyValue") } },
  keyValueList: { fields: { values: list(1, "keyValue") } },
  attributeUnit: { fields: { attributeKeyStrindex: one(1, "int"), unitStrindex: one(2, "int") } },
  stack: { isStrict: true, fields: { locationIndices: list(1, "int") } },
  line: { fields: { functionIndex: one(1, "int"), line: one(2, "int"), column: one(3, "int") } },
  function: { fields: { nameStrindex: one(1, "int"), systemNameStrindex: one(2, "int"), filenameStrindex: one(3, "int"), startLine: one(4, "int") } },
  link: { fields: { traceId: one(1, "bytes"), spanId: one(2, "bytes") } },
  mapping: { fields: { memoryStart: one(1, "int"), memoryLimit: one(2, "int"), fileOffset: one(3, "int"), filenameStrindex: one(4, "int"), attributeIndices: list(5, "int") } },
  tableAttribute: { fields: { keyStrindex: one(1, "int"), value: one(2, "anyValue"), unitStrindex: one(3, "int") } },
} as const satisfies Partial<Schema>;

const TABLES = { mappingTable: list(1, "mapping"), locationTable: list(2, "location"), functionTable: list(3, "function"), linkTable: list(4, "link"), stringTable: list(5, "text") };

/** Fields that are read in no version. */
const UNREAD_OF_PROFILE = {
  profileId: one(0, "ignored"),
  droppedAttributesCount: one(0, "ignored"),
  originalPayloadFormat: one(0, "ignored"),
  originalPayload: one(0, "ignored"),
  attributeIndices: one(0, "ignored"),
  commentStrindices: one(0, "ignored"),
};

const SCHEMA: Schema = {
  ...COMMON,
  dictionary: { isStrict: true, fields: { ...TABLES, attributeTable: list(6, "tableAttribute"), stackTable: list(7, "stack") } },
  profile: {
    isStrict: true,
    fields: {
      sampleType: one(1, "valueType"),
      samples: list(2, "sample"),
      sample: list(2, "sample"), // 1.8
      timeUnixNano: one(3, "time"),
      durationNano: one(4, "int"),
      periodType: one(5, "valueType"),
      period: one(6, "int"),
      ...UNREAD_OF_PROFILE,
    },
  },
  valueType: { fields: { typeStrindex: one(1, "int"), unitStrindex: one(2, "int") } },
  sample: { isStrict: true, fields: { stackIndex: one(1, "int"), attributeIndices: list(2, "int"), linkIndex: one(3, "int"), values: list(4, "int"), timestampsUnixNano: list(5, "time") } },
  location: {
    fields: { mappingIndex: one(1, "int"), address: one(2, "int"), lines: list(3, "line"), line: list(3, "line"), attributeIndices: list(4, "int") },
  },
};

const SCHEMA_1_7: Schema = {
  ...COMMON,
  dictionary: { isStrict: true, fields: { ...TABLES, attributeTable: list(6, "keyValue"), attributeUnits: list(7, "attributeUnit") } },
  profile: {
    isStrict: true,
    fields: {
      sampleType: list(1, "valueType"),
      sample: list(2, "sample"),
      locationIndices: list(3, "int"),
      timeNanos: one(4, "int"),
      durationNanos: one(5, "int"),
      periodType: one(6, "valueType"),
      period: one(7, "int"),
      defaultSampleTypeIndex: one(0, "ignored"),
      ...UNREAD_OF_PROFILE,
    },
  },
  valueType: { fields: { typeStrindex: one(1, "int"), unitStrindex: one(2, "int") } },
  sample: {
    isStrict: true,
    fields: { locationsStartIndex: one(1, "int"), locationsLength: one(2, "int"), value: list(3, "int"), attributeIndices: list(4, "int"), linkIndex: one(5, "int"), timestampsUnixNano: list(6, "int") },
  },
  location: { fields: { mappingIndex: one(1, "int"), address: one(2, "int"), line: list(3, "line"), attributeIndices: list(5, "int") } },
};

/** Fields that only 1.7 has. */
const ONLY_1_7 = /"(?:locations_?[lL]ength|locations_?[sS]tart_?[iI]ndex|time_?[nN]anos|attribute_?[uU]nits)"\s*:/;

/** Deeper attributes are not read anyway. A million values take some 100 MB of a worker's heap while they are converted. */
const BOUNDS = { depthMax: 32, valueCountMax: 1_000_000 };

/** Throws a refusal, or JSON_TOO_DEEP or JSON_TOO_MANY_VALUES. */
export function bytesOfJson(body: Uint8Array): { readonly bytes: Uint8Array; readonly layout: Layout } {
  checkJsonBounds(body, BOUNDS);
  const text = decodeUtf8(body);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw malformed(`the export is no JSON (${cause instanceof Error ? cause.message.slice(0, 100) : "it cannot be parsed"}): send an ExportProfilesServiceRequest as OTLP/JSON`);
  }
  const out = new MessageBuffer();
  const is17 = ONLY_1_7.test(text);
  putMessage(out, is17 ? SCHEMA_1_7 : SCHEMA, "request", parsed, "the request");
  return { bytes: out.copy(), layout: is17 ? LAYOUT_1_7 : LAYOUT_1_10 };
}

function putMessage(out: MessageBuffer, schema: Schema, name: MessageName, value: unknown, where: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw notA("an object", where);
  const { fields, isStrict = false } = schema[name];
  const seen = new Set<number>();
  for (const [written, content] of Object.entries(value)) {
    const field = fieldNamed(fields, written);
    if (field === undefined) {
      if (isStrict) throw malformed(`${where} has a field ${JSON.stringify(written.slice(0, 64))}, which no known version of OTLP profiles (1.7 to 1.11) has there: leave it out, or upgrade`);
      continue;
    }
    if (content === null || field.kind === "ignored") continue;
    if (seen.has(field.number)) throw malformed(`${where} has ${written} in two forms: send one`);
    seen.add(field.number);
    const place = `${where}.${written}`;
    if (field.isList !== true) putValue(out, schema, field, content, place);
    else if (!Array.isArray(content)) throw notA("a list", place);
    else if (field.kind === "int" || field.kind === "time") putNumbers(out, field, content, place);
    else for (const [i, item] of content.entries()) putValue(out, schema, field, item, `${place}[${i}]`);
  }
}

function fieldNamed(fields: Message["fields"], written: string): Field | undefined {
  const name = written.includes("_") ? written.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) : written;
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

function putValue(out: MessageBuffer, schema: Schema, { number, kind }: Field, value: unknown, where: string): void {
  switch (kind) {
    case "ignored":
      return;
    case "text":
      if (typeof value !== "string") throw notA("a string", where);
      return out.raw(number, encodeUtf8(value));
    case "bytes":
      return out.raw(number, idBytes(value, where));
    case "int":
      return out.varintField(number, wholeNumber(value, where));
    case "time":
      return out.fixed64(number, BigInt.asUintN(64, time(value, where)));
    case "bool":
      return out.varintField(number, value === true ? 1 : 0);
    case "double":
      return out.fixed64(number, 0n); // no attribute of a fraction is read
    default: {
      const at = out.begin(number);
      putMessage(out, schema, kind, value, where);
      out.end(at);
    }
  }
}

function putNumbers(out: MessageBuffer, { number, kind }: Field, values: readonly unknown[], where: string): void {
  const at = out.begin(number);
  for (const value of values) {
    if (kind === "time") out.bits64(BigInt.asUintN(64, time(value, where)));
    else out.int64(wholeNumber(value, where));
  }
  out.end(at);
}

/** From -2^63 to 2^64. A number that JSON has rounded is refused: it is not what was measured. */
function wholeNumber(value: unknown, where: string): number | bigint {
  if (typeof value === "number") {
    if (!Number.isInteger(value)) throw notA("a whole number", where);
    if (!Number.isSafeInteger(value)) throw malformed(`${where} is a number beyond 2^53, which JSON rounds: send it as a string, as OTLP/JSON does`);
    return value;
  }
  return fitting(value, where);
}

/** A time may be rounded: a bare number of nanoseconds is off by 128 at most. */
function time(value: unknown, where: string): bigint {
  return typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 63 ? BigInt(value) : fitting(value, where);
}

const WHOLE = /^-?\d{1,20}$/;

function fitting(value: unknown, where: string): bigint {
  if (typeof value !== "string" || !WHOLE.test(value)) throw notA("a whole number, or a string of one", where);
  const exact = BigInt(value);
  if (exact < -(2n ** 63n) || exact >= 2n ** 64n) throw notA("a number of 64 bits", where);
  return exact;
}

/** Ids are hex in OTLP/JSON, and base64 in protobuf's own JSON. Their length tells them apart. */
function idBytes(value: unknown, where: string): Uint8Array {
  if (typeof value !== "string") throw notA("a string", where);
  if (/^(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{32})$/.test(value)) return Buffer.from(value, "hex");
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) throw notA("hex or base64", where);
  return Buffer.from(value, "base64");
}

function notA(what: string, where: string): CodedError {
  return malformed(`${where} is not ${what}: send an ExportProfilesServiceRequest as OTLP/JSON`);
}
