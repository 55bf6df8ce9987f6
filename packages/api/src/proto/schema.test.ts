import { readFileSync } from "node:fs";
import { expect } from "chai";
import * as adHocSchemas from "./adhocprofiles-v1.ts";
import * as aboutSchemas from "./about-v1.ts";
import * as healthSchemas from "./grpc-health-v1.ts";
import * as pprofSchemas from "./pprof-v1.ts";
import * as exportSchemas from "./otlp-profiles-v1.ts";
import * as otlpSchemas from "./otlp-v1.ts";
import * as ownSchemas from "./pyromesh-query-v1.ts";
import * as pushSchemas from "./push-v1.ts";
import * as querierSchemas from "./querier-v1.ts";
import type { MessageSchema } from "./schema.ts";
import * as typesSchemas from "./types-v1.ts";

const FOLDER = new URL("../../proto/", import.meta.url);
const FILES = [
  "adhocprofiles/v1/adhocprofiles.proto",
  "types/v1/types.proto",
  "querier/v1/querier.proto",
  "google/v1/profile.proto",
  "push/v1/push.proto",
  "pyromesh/query/v1/query.proto",
  "version/v1/version.proto",
  "capabilities/v1/feature_flags.proto",
  "google/rpc/status.proto",
  "opentelemetry/proto/collector/profiles/v1development/profiles_service.proto",
  "opentelemetry/proto/common/v1/common.proto",
  "opentelemetry/proto/profiles/v1development/profiles.proto",
  "opentelemetry/proto/resource/v1/resource.proto",
  "grpc/health/v1/health.proto",
];

interface ProtoField {
  readonly number: number;
  readonly name: string;
  readonly type: string;
  readonly isRepeated: boolean;
  readonly isOptional: boolean;
}

/** Parses as much of the language as our own files use. */
function parseProtos(): { messages: Map<string, ProtoField[]>; enums: Map<string, string[]> } {
  const messages = new Map<string, ProtoField[]>();
  const enums = new Map<string, string[]>();
  for (const file of FILES) {
    const text = readFileSync(new URL(file, FOLDER), "utf8").replace(/\/\/.*$/gm, "");
    const packageName = /^package ([\w.]+);/m.exec(text)![1]!;
    for (const [, kind, name, body] of text.matchAll(/^(message|enum) (\w+) \{([^}]*)\}/gm)) {
      const full = `${packageName}.${name}`;
      if (kind === "enum") {
        enums.set(full, [...body!.matchAll(/(\w+) = \d+;/g)].map((match) => match[1]!));
        continue;
      }
      messages.set(
        full,
        [...body!.matchAll(/^\s*(repeated |optional )?([\w.]+) (\w+) = (\d+);/gm)].map(([, rule = "", type, field, number]) => ({
          number: Number(number),
          name: field!,
          type: type!,
          isRepeated: rule === "repeated ",
          isOptional: rule === "optional ",
        })),
      );
    }
  }
  return { messages, enums };
}

function allSchemas(): Map<string, MessageSchema<object>> {
  const found = new Map<string, MessageSchema<object>>();
  const visit = (schema: MessageSchema<object>): void => {
    if (found.has(schema.name)) return;
    found.set(schema.name, schema);
    for (const field of schema.fields) if (field.message !== undefined) visit(field.message);
  };
  for (const exported of [adHocSchemas, typesSchemas, querierSchemas, pprofSchemas, ownSchemas, aboutSchemas, exportSchemas, healthSchemas, otlpSchemas, pushSchemas].flatMap((module) => Object.values(module))) {
    if (typeof exported === "object" && exported !== null && "fields" in exported) visit(exported as MessageSchema<object>);
  }
  return found;
}

describe("field tables", () => {
  const { messages, enums } = parseProtos();
  const schemas = allSchemas();

  it("cover every message", () => {
    expect([...schemas.keys()].sort()).to.deep.equal([...messages.keys()].sort());
  });

  for (const [name, schema] of schemas) {
    it(`${name} is as its .proto file has it`, () => {
      const packageName = name.slice(0, name.lastIndexOf("."));
      const qualify = (type: string): string => (type.includes(".") ? type : `${packageName}.${type}`);
      const expected = messages.get(name)!.map((field) => {
        const enumNames = enums.get(qualify(field.type));
        const isMessage = messages.has(qualify(field.type));
        return {
          number: field.number,
          name: field.name,
          kind: isMessage ? "message" : enumNames !== undefined ? "enum" : field.type,
          of: isMessage ? qualify(field.type) : enumNames,
          enumName: enumNames === undefined ? undefined : qualify(field.type),
          isRepeated: field.isRepeated,
          isOptional: field.isOptional,
        };
      });
      const actual = schema.fields.map(({ number, name: field, kind, message, enumName, enumNames, isRepeated, isOptional }) => ({
        number,
        name: field,
        kind,
        of: message?.name ?? (enumNames === undefined ? undefined : [...enumNames]),
        enumName,
        isRepeated,
        isOptional,
      }));
      expect(actual).to.deep.equal(expected);
    });
  }
});
