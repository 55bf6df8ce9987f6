/**
 * Prints the replies that list labels. Pure, and called in a worker: 60,000 series take tens of milliseconds. The bytes must be those
 * that the codecs of `proto/` write for the same message; a test compares them.
 *
 * Listings that may be long are encoded by hand: each label is printed once, and its bytes are copied for each series that has it.
 */
import { ByteWriter, decodeUtf8, encodeUtf8 } from "@pyromesh/base";
import { parseProfileType, printProfileType } from "@pyromesh/profile";
import type { Label, ListedLabels, Listing } from "@pyromesh/profile";
import { encodeBinary } from "../proto/binary.ts";
import { encodeJson } from "../proto/json-encode.ts";
import { PROFILE_TYPES_RESPONSE } from "../proto/querier-v1.ts";
import type { ProfileTypesResponse } from "../proto/querier-v1.ts";
import { LABEL_PAIR } from "../proto/types-v1.ts";

/** `array`: a JSON array of the entries, as the older GET endpoint answers. Only for listings of strings. */
export type ListingForm = "json" | "proto" | "array";

export function printListing(listing: Listing, listed: ListedLabels, form: ListingForm): Uint8Array {
  const { items, sets } = listed;
  if (sets !== undefined) return form === "proto" ? seriesProto(items, sets) : encodeUtf8(seriesJson(items, sets));
  if (form === "array") return encodeUtf8(JSON.stringify(items.map(({ value }) => value)));
  if (listing.kind === "types") {
    const message = profileTypes(items);
    return form === "proto" ? encodeBinary(PROFILE_TYPES_RESPONSE, message) : encodeJson(PROFILE_TYPES_RESPONSE, message);
  }
  if (form === "proto") return namesProto(items);
  return encodeUtf8(items.length === 0 ? "{}" : `{"names":${JSON.stringify(items.map(({ value }) => value))}}`);
}

/** Tags of the length-delimited fields that are written here. */
const NAMES_RESPONSE_NAMES = 1 * 8 + 2;
const SERIES_RESPONSE_LABELS_SET = 2 * 8 + 2;
const LABELS_LABELS = 1 * 8 + 2;
const LABEL_PAIR_NAME = 1 * 8 + 2;
const LABEL_PAIR_VALUE = 2 * 8 + 2;

function namesProto(items: readonly Label[]): Uint8Array {
  const writer = new ByteWriter(1024);
  for (const { value } of items) writer.u8(NAMES_RESPONSE_NAMES).text(value);
  return writer.finish();
}

function seriesProto(items: readonly Label[], sets: readonly Uint32Array[]): Uint8Array {
  const nameOf = new Map<string, Uint8Array>();
  const printed = printedOnce(items, ({ name, value }) => {
    let nameBytes = nameOf.get(name);
    if (nameBytes === undefined) nameOf.set(name, (nameBytes = encodeUtf8(name)));
    const valueBytes = encodeUtf8(value);
    const pairBytes = fieldBytes(nameBytes) + fieldBytes(valueBytes);
    // The tag is included: these are the bytes that a label set has for the pair.
    const writer = new ByteWriter(6 + pairBytes).u8(LABELS_LABELS).uvarint(pairBytes);
    return writer.u8(LABEL_PAIR_NAME).prefixed(nameBytes).u8(LABEL_PAIR_VALUE).prefixed(valueBytes).finish();
  });
  const writer = new ByteWriter(1024);
  for (const set of sets) {
    let bytes = 0;
    for (const id of set) bytes += printed(id).length;
    writer.u8(SERIES_RESPONSE_LABELS_SET).uvarint(bytes);
    for (const id of set) writer.raw(printed(id));
  }
  return writer.finish();
}

/** The size of a field: tag, length and bytes. Labels are far below 256 MB, where a length takes a fifth byte. */
function fieldBytes({ length }: Uint8Array): number {
  return 1 + (length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4) + length;
}

function seriesJson(items: readonly Label[], sets: readonly Uint32Array[]): string {
  if (sets.length === 0) return "{}";
  const printed = printedOnce(items, (label) => decodeUtf8(encodeJson(LABEL_PAIR, label)));
  const entries = sets.map((set) => `{"labels":[${Array.from(set, printed).join(",")}]}`);
  return `{"labelsSet":[${entries.join(",")}]}`;
}

/** Prints an item when it is first needed, so items of series that were cut off are never printed. */
function printedOnce<T>(items: readonly Label[], print: (label: Label) => T): (id: number) => T {
  const printed = new Array<T | undefined>(items.length);
  return (id) => (printed[id] ??= print(items[id]!));
}

/** Leaves out types with a colon in one of their parts, which were taken before pushes with such types were refused: no query can name one. */
function profileTypes(items: readonly Label[]): ProfileTypesResponse {
  return {
    profileTypes: items.filter(({ value }) => value.split(":").length === TYPE_PARTS).map(({ value }) => {
      const type = parseProfileType(value);
      const { name, sampleType, sampleUnit, periodType, periodUnit } = type;
      return { ID: printProfileType(type), name, sampleType, sampleUnit, periodType, periodUnit };
    }),
  };
}

/** Of a profile type. */
const TYPE_PARTS = 5;
