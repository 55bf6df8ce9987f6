/**
 * Says which text of a pprof is not UTF-8, by what refers to it. The push is read again for that, slowly, once it is refused: when the decoder
 * meets the string, it has not met, or no longer knows, what refers to it.
 *
 *   string 17 = 666fff   <-- sample label {key: "thread", str: 17}     the value of the sample label "thread"
 *                        <-- function {name: 17, filename: "a.c"}      the name of a function in the file "a.c"
 *
 * Where the bytes are wrong in another way, reading ends.
 */
import { isUtf8 } from "node:buffer";
import { VarintCursor } from "@pyromesh/base";
import { hexOfInvalidText } from "./invalid-text.ts";

/** A sentence without its end: `the name of a function in the file "a.c" is not UTF-8, its bytes are 666fff`. */
export function describeInvalidText(pprof: Uint8Array): string {
  const strings = stringsOf(pprof);
  const index = strings.findIndex((text) => !isUtf8(text));
  if (index < 0) return "the string table holds text that is not UTF-8";
  const place = firstPlaceOf(index, pprof, strings) ?? `string ${index} of the profile, to which nothing refers,`;
  return `${place} is not UTF-8, its bytes are ${hexOfInvalidText(strings[index]!)}`;
}

// Field numbers of google.v1 (perftools.profiles).
const PROFILE = { sampleType: 1, sample: 2, mapping: 3, function: 5, string: 6, periodType: 11, comment: 13 } as const;
const VALUE_TYPE = { type: 1, unit: 2 } as const;
const SAMPLE = { label: 3 } as const;
const LABEL = { key: 1, text: 2, unit: 4 } as const;
const FUNCTION = { name: 2, systemName: 3, filename: 4 } as const;
const MAPPING = { filename: 5, buildId: 6 } as const;

function stringsOf(pprof: Uint8Array): Uint8Array[] {
  const strings: Uint8Array[] = [];
  eachField(pprof, (number, value, content) => {
    if (number === PROFILE.string && content !== undefined) strings.push(content);
    return false;
  });
  return strings;
}

/** Describes string `index` by the first thing in the profile that refers to it. */
function firstPlaceOf(index: number, pprof: Uint8Array, strings: readonly Uint8Array[]): string | undefined {
  let place: string | undefined;
  const quote = (at: number): string => JSON.stringify(Buffer.from(strings[at]?.subarray(0, SHOWN_BYTES_MAX) ?? []).toString("utf8"));
  eachField(pprof, (number, value, content) => {
    if (content === undefined) {
      if (number === PROFILE.comment && value === index) place = "a comment";
      return place !== undefined;
    }
    switch (number) {
      case PROFILE.sampleType:
      case PROFILE.periodType: {
        const what = number === PROFILE.sampleType ? "sample type" : "period type";
        const { [VALUE_TYPE.type]: type, [VALUE_TYPE.unit]: unit } = numbersOf(content);
        if (type === index) place = `the name of a ${what}`;
        else if (unit === index) place = `the unit of the ${what} ${quote(type ?? 0)}`;
        break;
      }
      case PROFILE.sample:
        eachField(content, (field, _, label) => {
          if (field !== SAMPLE.label || label === undefined) return false;
          const { [LABEL.key]: key, [LABEL.text]: text, [LABEL.unit]: unit } = numbersOf(label);
          if (key === index) place = "the key of a sample label";
          else if (text === index) place = `the value of the sample label ${quote(key ?? 0)}`;
          else if (unit === index) place = `the unit of the sample label ${quote(key ?? 0)}`;
          return place !== undefined;
        });
        break;
      case PROFILE.function: {
        const { [FUNCTION.name]: name, [FUNCTION.systemName]: systemName, [FUNCTION.filename]: filename } = numbersOf(content);
        if (name === index) place = `the name of a function in the file ${quote(filename ?? 0)}`;
        else if (systemName === index) place = `the system name of the function ${quote(name ?? 0)}`;
        else if (filename === index) place = `the file name of the function ${quote(name ?? 0)}`;
        break;
      }
      case PROFILE.mapping: {
        const { [MAPPING.filename]: filename, [MAPPING.buildId]: buildId } = numbersOf(content);
        if (filename === index) place = "the file name of a mapping";
        else if (buildId === index) place = `the build id of the mapping ${quote(filename ?? 0)}`;
        break;
      }
      default:
        break;
    }
    return place !== undefined;
  });
  return place;
}

/** Bytes shown of a name that stands beside the wrong one in the message. */
const SHOWN_BYTES_MAX = 100;

/** The value of each varint field, by field number. */
function numbersOf(message: Uint8Array): Readonly<Record<number, number>> {
  const numbers: Record<number, number> = {};
  eachField(message, (number, value) => {
    numbers[number] = value;
    return false;
  });
  return numbers;
}

/**
 * Calls `visit` for each field until it returns true, or the bytes are no message any more. `value` is 0 for all but varints; `content` is
 * set for fields with a length.
 */
function eachField(bytes: Uint8Array, visit: (number: number, value: number, content: Uint8Array | undefined) => boolean): void {
  const cursor = new VarintCursor(bytes);
  while (cursor.offset < bytes.length) {
    const tag = cursor.next();
    let value = 0;
    let content: Uint8Array | undefined;
    switch (tag % 8) {
      case 0:
        value = cursor.next();
        break;
      case 1:
        cursor.offset += 8;
        break;
      case 2: {
        const length = cursor.next();
        const at = cursor.offset;
        if (length < 0 || length > bytes.length - at) return;
        content = bytes.subarray(at, at + length);
        cursor.offset += length;
        break;
      }
      case 5:
        cursor.offset += 4;
        break;
      default:
        return;
    }
    if (value < 0) return;
    if (visit(Math.floor(tag / 8), value, content)) return;
  }
}
