/** Reads a YAML file as settings: the text of each key, with its place in the file, which refusals name. Pure. */
import { invalidArgument } from "@pyromesh/base";
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Document, Node, Scalar, YAMLMap } from "yaml";

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
  /** What stands below `scrape_configs:`; undefined where that is not written. */
  readonly scrapeConfigs: YamlTree | undefined;
}

/** A value of any shape. */
export interface YamlTree {
  /** Texts, lists and maps. Every text is as it is written (`1.0`, `true`), and what has no value is null. */
  readonly value: unknown;
  /** The place of what is at a path in it; where nothing is there, of the nearest that holds it. */
  placeOf(path: readonly (string | number)[]): string;
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
  let scrapeConfigs: YamlTree | undefined;
  for (const entry of entriesOf(walk, document.contents, "the file")) {
    if (entry.value === undefined) continue;
    if (entry.name === "overrides") {
      for (const tenant of entriesOf(walk, entry.value, "overrides")) {
        overrides.push({ tenant: tenant.rawName, place: tenant.place, settings: settingsOf(walk, tenant.value, "") });
      }
    } else if (entry.name === "scrape_configs") {
      scrapeConfigs = treeOf(walk, entry.value);
    } else if (GROUPS.includes(entry.name)) {
      settings.push(...settingsOf(walk, entry.value, `${entry.name}.`));
    } else {
      settings.push({ key: entry.name, values: valuesOf(walk, entry.value, entry.name), place: walk.placeOf(entry.value), keyPlace: entry.place });
    }
  }
  return { settings, overrides, scrapeConfigs };
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
  if (isScalar(node)) return [textOf(node)];
  throw invalidArgument("CONFIG_INVALID", `${walk.placeOf(node)}: ${key} takes one value, not a group of settings`);
}

function treeOf(walk: Walk, root: Node): YamlTree {
  return {
    value: plainOf(walk, root),
    placeOf: (path) => {
      let node = root;
      for (const part of path) {
        const next = childOf(walk, node, part);
        if (next === undefined) break;
        node = next;
      }
      return walk.placeOf(node);
    },
  };
}

/** A list that holds an alias of itself has no end. */
const TREE_DEPTH_MAX = 32;
/** What aliases of aliases could otherwise multiply. */
const TREE_NODES_MAX = 1_000_000;

function plainOf(walk: Walk, root: Node): unknown {
  let count = 0;
  const convert = (found: Node | null | undefined, depth: number): unknown => {
    const node = follow(walk, found);
    if (node === undefined) return null;
    if (depth > TREE_DEPTH_MAX || ++count > TREE_NODES_MAX) throw invalidArgument("CONFIG_INVALID", `${walk.placeOf(node)}: this is nested too deeply, or repeated too often`);
    if (isSeq(node)) return (node.items as Node[]).map((item) => convert(item, depth + 1));
    if (isMap(node)) return Object.fromEntries((node as YAMLMap<Node, Node | null>).items.map(({ key, value }) => [isScalar(key) ? String(key.value) : "", convert(value, depth + 1)]));
    return isScalar(node) ? textOf(node) : "";
  };
  return convert(root, 0);
}

function childOf(walk: Walk, node: Node, part: string | number): Node | undefined {
  if (isSeq(node) && typeof part === "number") return follow(walk, node.items[part] as Node | undefined);
  if (!isMap(node)) return undefined;
  const found = (node as YAMLMap<Node, Node | null>).items.find(({ key }) => isScalar(key) && String(key.value) === part);
  return follow(walk, found?.value) ?? found?.key;
}

function textOf(node: Scalar): string {
  return typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
}

/** Through `*alias` to what it names; nothing and `null` are undefined. An alias that names nothing is refused: read as no value, it would leave out what somebody wrote. */
function follow(walk: Walk, node: Node | null | undefined): Node | undefined {
  const target = isAlias(node) ? node.resolve(walk.document) : node;
  if (isAlias(node) && target === undefined) throw invalidArgument("CONFIG_INVALID", `${walk.placeOf(node)}: *${node.source} names nothing: no &${node.source} stands before it`);
  if (target === null || target === undefined || (isScalar(target) && target.value === null)) return undefined;
  return target;
}
