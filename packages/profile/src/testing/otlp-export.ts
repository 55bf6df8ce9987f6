/** Writes OTLP exports of every version that is taken, from one model. It shares no code with the reader that it tests. */
import { ByteWriter } from "@pyromesh/base";

export type OtlpVersion = "1.7" | "1.8" | "1.9" | "1.10";
export const OTLP_VERSIONS: readonly OtlpVersion[] = ["1.7", "1.8", "1.9", "1.10"];

export type AttributeValue = string | number | boolean | readonly AttributeValue[];

export interface ModelSample {
  readonly stack: number;
  readonly attributes?: readonly number[];
  readonly link?: number;
  readonly values?: readonly (number | bigint)[];
  readonly timestamps?: readonly bigint[];
}

export interface ModelProfile {
  readonly type: readonly [type: string, unit: string];
  readonly periodType?: readonly [type: string, unit: string];
  readonly period?: number;
  readonly timeNs?: bigint;
  readonly durationNs?: number;
  readonly id?: Uint8Array;
  readonly attributes?: readonly number[];
  readonly samples: readonly ModelSample[];
}

export interface ModelResource {
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly scopeAttributes?: Readonly<Record<string, AttributeValue>>;
  readonly profiles: readonly ModelProfile[];
}

/** Entry 0 of each table stands for none, as it does from 1.8 on. */
export interface ExportModel {
  readonly mappings?: readonly { readonly filename: string; readonly start?: number; readonly attributes?: readonly number[] }[];
  readonly functions?: readonly { readonly name: string; readonly filename?: string }[];
  readonly locations?: readonly { readonly mapping?: number; readonly address?: number | bigint; readonly lines?: readonly (readonly [called: number, line: number])[] }[];
  readonly stacks?: readonly (readonly number[])[];
  readonly links?: readonly { readonly trace: Uint8Array; readonly span: Uint8Array }[];
  readonly attributes?: readonly { readonly key: string; readonly value: AttributeValue }[];
  readonly resources: readonly ModelResource[];
}

type Part = readonly [field: number, value: Uint8Array | number | bigint | undefined];

/** `unpacked`: which lists of a sample have each number as a field of its own. `isInPieces`: packed lists of several numbers are written as two fields. */
export function otlpExport(model: ExportModel, version: OtlpVersion, unpacked: readonly ("values" | "attributes")[] = [], isInPieces = false): Uint8Array {
  const strings = new Map<string, number>([["", 0]]);
  const string = (text: string): number => {
    let index = strings.get(text);
    if (index === undefined) strings.set(text, (index = strings.size));
    return index;
  };
  const is17 = version === "1.7";
  const valueType = ([type, unit]: readonly [string, string]): Uint8Array => message([[1, string(type)], [2, string(unit)], [3, is17 || version === "1.8" ? 1 : undefined]]);
  const stacks = model.stacks ?? [[]];

  // In 1.7 stacks are parts of a list of each profile.
  const starts: number[] = [];
  const flat: number[] = [];
  for (const stack of is17 ? stacks : []) {
    starts.push(flat.length);
    flat.push(...stack);
  }

  const listOf = (field: number, numbers: readonly (number | bigint)[], packedOf: (numbers: readonly (number | bigint)[]) => Uint8Array = packed): readonly Part[] => {
    if (!isInPieces || numbers.length < 2) return [[field, packedOf(numbers)]];
    return [[field, packedOf(numbers.slice(0, 1))], [field, packedOf(numbers.slice(1))]];
  };

  const sample = ({ stack, attributes = [], link, values = [], timestamps = [] }: ModelSample): Uint8Array => {
    const times = (field: number): readonly Part[] => (timestamps.length === 0 ? [] : listOf(field, timestamps, is17 ? packed : fixed));
    const list = (field: number, name: "values" | "attributes"): readonly Part[] => {
      const numbers = { values, attributes }[name];
      if (numbers.length === 0) return [];
      return unpacked.includes(name) ? numbers.map((number): Part => [field, number]) : listOf(field, numbers);
    };
    switch (version) {
      case "1.7":
        return message([[1, starts[stack] ?? 9_999], [2, stacks[stack]?.length ?? 1], ...list(3, "values"), ...list(4, "attributes"), [5, link], ...times(6)], [3, 5]);
      case "1.8":
      case "1.9":
        return message([[1, stack], ...list(2, "values"), ...list(3, "attributes"), [4, link], ...times(5)], [2]);
      default:
        return message([[1, stack], ...list(2, "attributes"), [3, link], ...list(4, "values"), ...times(5)], [4]);
    }
  };

  const profile = (given: ModelProfile): Uint8Array => {
    const { type, periodType, period = 0, timeNs = 0n, durationNs = 0, id, attributes = [], samples } = given;
    const written = samples.map((one): Part => [2, sample(one)]);
    const periodBytes = periodType === undefined ? undefined : valueType(periodType);
    const own = attributes.length === 0 ? undefined : packed(attributes);
    if (is17) return message([[1, valueType(type)], ...written, ...listOf(3, flat), [4, timeNs], [5, durationNs], [6, periodBytes], [7, period], [10, id], [14, own]]);
    const head: Part[] = [[1, valueType(type)], ...written, [4, durationNs], [5, periodBytes], [6, period], ...(version === "1.8" ? ([[8, id], [12, own]] as const) : ([[7, id], [11, own]] as const))];
    return timeNs === 0n ? message(head) : concat(message(head), new ByteWriter(9).u8(0x19).u64(timeNs).finish());
  };

  const resources = model.resources.map(({ attributes = {}, scopeAttributes = {}, profiles }): Part => {
    const resource = message(Object.entries(attributes).map(([name, value]): Part => [1, keyValue(name, value)]));
    const scope = message(Object.entries(scopeAttributes).map(([name, value]): Part => [3, keyValue(name, value)]));
    const scopeProfiles = message([[1, scope], ...profiles.map((one): Part => [2, profile(one)])]);
    return [1, message([[1, resource], [2, scopeProfiles]], [1, 2])];
  });

  const parts: Part[] = [];
  for (const { filename, start, attributes } of model.mappings ?? []) parts.push([1, message([[1, start], [4, string(filename)], ...(attributes === undefined ? [] : listOf(5, attributes))])]);
  for (const { mapping, address, lines = [] } of model.locations ?? []) {
    parts.push([2, message([[1, mapping], [2, address], ...lines.map(([called, line]): Part => [3, message([[1, called], [2, line]])])])]);
  }
  for (const { name, filename = "" } of model.functions ?? []) parts.push([3, message([[1, string(name)], [3, string(filename)]])]);
  for (const { trace, span } of model.links ?? []) parts.push([4, message([[1, trace], [2, span]])]);
  for (const { key, value } of model.attributes ?? []) parts.push([6, is17 ? keyValue(key, value) : message([[1, string(key)], [2, anyValue(value)]])]);
  if (!is17) for (const stack of stacks) parts.push([7, stack.length === 0 ? new Uint8Array(0) : message(listOf(1, stack))]);
  for (const text of strings.keys()) parts.push([5, Buffer.from(text)]);
  return message([...resources, [2, message(parts, [1, 2, 3, 4, 5, 6, 7])]]);
}

function keyValue(key: string, value: AttributeValue): Uint8Array {
  return message([[1, Buffer.from(key)], [2, anyValue(value)]]);
}

function anyValue(value: AttributeValue): Uint8Array {
  if (typeof value === "string") return message([[1, Buffer.from(value)]], [1]);
  if (typeof value === "boolean") return message([[2, Number(value)]], [2]);
  if (typeof value === "number") return message([[3, value]], [3]);
  return message([[5, message(value.map((one): Part => [1, anyValue(one)]), [1])]], [5]);
}

/** Zeros are left out, as protobuf does, but for the fields in `kept`. */
function message(parts: readonly Part[], kept: readonly number[] = []): Uint8Array {
  const out = new ByteWriter();
  for (const [field, value] of parts) {
    if (value === undefined) continue;
    if (value instanceof Uint8Array) out.uvarint(field * 8 + 2).prefixed(value);
    else if (BigInt(value) !== 0n || kept.includes(field)) out.uvarint(field * 8).uvarint64(BigInt.asUintN(64, BigInt(value)));
  }
  return out.finish().slice();
}

function packed(values: readonly (number | bigint)[]): Uint8Array {
  const out = new ByteWriter();
  for (const value of values) out.uvarint64(BigInt.asUintN(64, BigInt(value)));
  return out.finish().slice();
}

function fixed(values: readonly (number | bigint)[]): Uint8Array {
  const out = new ByteWriter();
  for (const value of values) out.u64(BigInt(value));
  return out.finish().slice();
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([a, b]));
}
