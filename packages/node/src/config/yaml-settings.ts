/** Reads a YAML file as settings: the text of each key, with its place in the file, which refusals name. Pure. */
import { invalidArgument } from "@pyromesh/base";
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Document, Node, YAMLMap } from "yaml";

export interface YamlSetting {
  /** `flush_interval`, `limits.ingestion_rate_mb`; a dash in the file is read as `_`. */
  readonly key: string;
  readonly values: readonly string[];
  /** The place of the value: `pyromesh.yaml:3:5`. */
  readonly place: string;
  /** The place of the key. */
  readonly keyPlace: string;
}

export interface YamlSettings {
  readonly settings: readonly YamlSetting[];
  /** The entries below `overrides:`. Their keys are limits without the prefix `limits.`. */
  readonly overrides: readonly { readonly tenant: string; readonly place: string; readonly settings: readonly YamlSetting[] }[];
}

/** The keys that hold settings instead of a value. */
const GROUPS = ["limits"];

/** Throws `CONFIG_INVALID`, which names file, line and column. */
export function readYamlSettings(text: string, file: string): YamlSettings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const placeAt = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const error = document.errors[0];
  if (error !== undefined) throw invalidArgument("CONFIG_INVALID", `${placeAt(error.pos[0])}: ${error.code === "MULTIPLE_DOCS" ? "a second document begins here: keep one in the file" : `not YAML: ${error.message}`}`);

  const walk: Walk = { document, placeOf: (node) => placeAt(node?.range?.[0] ?? 0) };
  const settings: YamlSetting[] = [];
  const overrides: YamlSettings["overrides"][number][] = [];
  for (const entry of entriesOf(walk, document.contents, "the file")) {
    if (entry.value === undefined) continue;
    if (entry.name === "overrides") {
      for (const tenant of entriesOf(walk, entry.value, "overrides")) {
        overrides.push({ tenant: tenant.rawName, place: tenant.place, settings: settingsOf(walk, tenant.value, "") });
      }
    } else if (GROUPS.includes(entry.name)) {
      settings.push(...settingsOf(walk, entry.value, `${entry.name}.`));
    } else {
      settings.push({ key: entry.name, values: valuesOf(walk, entry.value, entry.name), place: walk.placeOf(entry.value), keyPlace: entry.place });
    }
  }
  return { settings, overrides };
}

interface Walk {
  readonly document: Document;
  readonly placeOf: (node: Node | undefined) => string;
}

interface Entry {
  readonly name: string;
  readonly rawName: string;
  readonly place: string;
  /** Undefined where the key has no value. */
  readonly value: Node | undefined;
}

function settingsOf(walk: Walk, node: Node | undefined, prefix: string): YamlSetting[] {
  const settings: YamlSetting[] = [];
  for (const { name, place, value } of entriesOf(walk, node, prefix === "" ? "a tenant" : prefix.slice(0, -1))) {
    if (value === undefined) continue;
    settings.push({ key: prefix + name, values: valuesOf(walk, value, prefix + name), place: walk.placeOf(value), keyPlace: place });
  }
  return settings;
}

function entriesOf(walk: Walk, found: unknown, what: string): Entry[] {
  const node = follow(walk, found as Node | null | undefined);
  if (node === undefined) return [];
  if (!isMap(node)) throw invalidArgument("CONFIG_INVALID", `${walk.placeOf(node)}: ${what} holds settings: write one "name: value" on a line`);
  return (node as YAMLMap<Node, Node | null>).items.map(({ key, value }) => {
    const rawName = isScalar(key) ? String(key.value) : "";
    return { name: rawName.replaceAll("-", "_"), rawName, place: walk.placeOf(key), value: follow(walk, value) };
  });
}

function valuesOf(walk: Walk, node: Node, key: string): string[] {
  if (isSeq(node)) return (node.items as Node[]).flatMap((item) => valuesOf(walk, follow(walk, item) ?? item, key));
  if (isScalar(node)) return [typeof node.value === "string" ? node.value : (node.source ?? String(node.value))];
  throw invalidArgument("CONFIG_INVALID", `${walk.placeOf(node)}: ${key} takes one value, not a group of settings`);
}

/** Through `*alias` to what it names; nothing and `null` are undefined. */
function follow(walk: Walk, node: Node | null | undefined): Node | undefined {
  const target = isAlias(node) ? node.resolve(walk.document) : node;
  if (target === null || target === undefined || (isScalar(target) && target.value === null)) return undefined;
  return target;
}
