/**
 * Reads a flame graph as `/pyroscope/render` prints it, and as Pyroscope's page saves it: levels from the root down, in chunks of four numbers.
 *
 *   x offset (from the end of the bar before it), total, self, index of the name
 *
 * A bar lies over the bar of the level before it that spans it. What a bar's total has beyond its own value and those of its children
 * becomes a child `other`, so that nothing of a graph that was cut is lost. Stacktraces that are deeper than the limit keep their root side, as those of a
 * pprof do: a bar of the last level that is kept has its total for its own value. The file is read value by value, and nothing is recursive.
 */
import { JsonFault, JsonReader } from "@pyromesh/base";
import type { JsonBounds } from "@pyromesh/base";
import { OTHER } from "../graph/flame-graph.ts";
import type { GraphMetadata } from "../graph/graph-metadata.ts";
import { NameNodes } from "../graph/name-tree.ts";
import { orUnbounded } from "../labels/limits.ts";
import type { ProfileLimits } from "../labels/limits.ts";
import { malformed } from "../labels/refusal.ts";
import type { Interrupt } from "../model/interrupt.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { SumColumn } from "../model/sums.ts";

export interface Flamebearer {
  readonly tree: NameTree;
  readonly metadata: GraphMetadata;
}

/** As many values as four million, which are those of a graph of a million bars. */
const BOUNDS: JsonBounds = { depthMax: 32, valueCountMax: 2 ** 22 };

/** True where the JSON object has the key `flamebearer`. Throws a refusal where it is no JSON up to there. */
export function hasFlamebearer(bytes: Uint8Array): boolean {
  return readingJson(() => {
    const reader = new JsonReader(bytes, BOUNDS);
    reader.beginObject();
    for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
      if (key === "flamebearer") return true;
      reader.skip();
    }
    return false;
  });
}

/** Throws a refusal. */
export function readFlamebearer(bytes: Uint8Array, { stacktraceDepthMax }: Pick<ProfileLimits, "stacktraceDepthMax">, interrupt: Interrupt): Flamebearer {
  // The root's level has no frame.
  const levelCountMax = orUnbounded(stacktraceDepthMax) + 1;
  const { names, levels, metadata, version } = readingJson(() => readParts(bytes, levelCountMax));
  if (version > 1) throw malformed(`the flame graph has version ${version}, and 1 is known: save it from a server of this API`);
  if (metadata.format !== undefined && metadata.format !== "single") {
    throw malformed(`the flame graph has the format ${shown(metadata.format)}: upload a single one; of a diff upload its two sides`);
  }
  if (levels === undefined) throw malformed("the flame graph has no levels: save it from a server of this API");
  const { name = "", spyName = "", sampleRate = 100, units = "" } = metadata;
  return { tree: treeOf(names, levels, levelCountMax, interrupt), metadata: { name, spyName, sampleRate, units } };
}

interface Parts {
  names: string[];
  levels: number[][] | undefined;
  version: number;
  metadata: { format?: string; name?: string; spyName?: string; sampleRate?: number; units?: string };
}

function readParts(bytes: Uint8Array, levelCountMax: number): Parts {
  const reader = new JsonReader(bytes, BOUNDS);
  const parts: Parts = { names: [], levels: undefined, version: 0, metadata: {} };
  const seen = new Set<string>();
  reader.beginObject();
  for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
    if (key !== "flamebearer" && key !== "metadata" && key !== "version") {
      reader.skip();
      continue;
    }
    if (seen.has(key)) throw malformed(`${shown(key)} is given twice: send it once`);
    seen.add(key);
    if (key === "flamebearer") readGraph(reader, parts, levelCountMax);
    else if (key === "metadata") readMetadata(reader, parts.metadata);
    else parts.version = reader.number();
  }
  reader.end();
  return parts;
}

function readGraph(reader: JsonReader, parts: Parts, levelCountMax: number): void {
  reader.beginObject();
  for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
    if (key === "names" && reader.kind === "list") parts.names = readNames(reader);
    else if (key === "levels" && reader.kind === "list") parts.levels = readLevels(reader, levelCountMax);
    else reader.skip(); // the names of an empty graph are null
  }
}

function readNames(reader: JsonReader): string[] {
  const names: string[] = [];
  reader.beginList();
  while (reader.nextItem()) names.push(reader.text());
  return names;
}

/** Levels that are left out are not made. */
function readLevels(reader: JsonReader, levelCountMax: number): number[][] {
  const levels: number[][] = [];
  reader.beginList();
  while (reader.nextItem()) {
    if (levels.length === levelCountMax) {
      reader.skip();
      continue;
    }
    const level: number[] = [];
    reader.beginList();
    while (reader.nextItem()) level.push(reader.number());
    if (level.length % BAR_LENGTH !== 0) throw malformed(`level ${levels.length} of the flame graph has ${level.length} numbers, which is no multiple of ${BAR_LENGTH}: send the graph whole`);
    levels.push(level);
  }
  return levels;
}

function readMetadata(reader: JsonReader, metadata: Parts["metadata"]): void {
  reader.beginObject();
  for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
    if ((key === "format" || key === "name" || key === "spyName" || key === "units") && reader.kind === "text") metadata[key] = shortened(reader.text());
    else if (key === "sampleRate" && reader.kind === "other") metadata.sampleRate = sampleRateOf(reader.number());
    else reader.skip();
  }
}

function sampleRateOf(value: number): number {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
  throw malformed(`the sample rate ${value} is no whole number of 32 bits: send the flame graph as it was saved`);
}

/** Numbers of a bar. */
const BAR_LENGTH = 4;
/** Of texts that are copied into each answer: those of the server are far shorter. */
const METADATA_LENGTH_MAX = 1024;

function shortened(text: string): string {
  return text.slice(0, METADATA_LENGTH_MAX);
}

/** Bars of one level that have their place: where each ends, and its node. */
interface Row {
  readonly start: number[];
  readonly end: number[];
  readonly node: number[];
}

function treeOf(names: readonly string[], levels: readonly (readonly number[])[], levelCountMax: number, interrupt: Interrupt): NameTree {
  const nodes = new NameNodes();
  const self = new SumColumn(1);
  const add = (node: number, value: number): void => {
    if (value === 0) return;
    self.grow(nodes.nodeCount);
    self.raise(value);
    self.add(node, value);
  };
  let above: Row = { start: [0], end: [Number.MAX_SAFE_INTEGER], node: [-1] };
  for (const [depth, level] of levels.entries()) {
    const row: Row = { start: [], end: [], node: [] };
    /** What each bar above has left for its children. */
    let parent = 0;
    let at = 0;
    for (let index = 0; index < level.length; index += BAR_LENGTH) {
      interrupt.after(1);
      const [offset, total, own, nameIndex] = [level[index]!, level[index + 1]!, level[index + 2]!, level[index + 3]!];
      const place = (): string => `bar ${index / BAR_LENGTH} of level ${depth}`;
      for (const value of [offset, total, own]) {
        if (!Number.isSafeInteger(value) || value < 0) throw malformed(`${place()} has the number ${value}: send whole numbers from 0 to ${Number.MAX_SAFE_INTEGER}`);
      }
      const name = names[nameIndex];
      if (name === undefined) throw malformed(`${place()} has the name ${nameIndex} and there are ${names.length}: send the graph whole`);
      if (own > total) throw malformed(`${place()} has more of its own (${own}) than in all (${total}): send the graph as it was saved`);
      const start = at + offset;
      at = start + total;
      if (total === 0) continue;
      while (parent < above.end.length && above.end[parent]! <= start) parent++;
      if (parent === above.end.length || start < above.start[parent]! || at > above.end[parent]!) throw malformed(`${place()} lies over no bar of the level before: send the graph whole`);
      // The first level has the root alone.
      const node = depth === 0 ? 0 : nodes.child(above.node[parent]!, nodes.name(name));
      add(node, depth === levelCountMax - 1 ? total : own);
      row.start.push(start);
      row.end.push(at);
      row.node.push(node);
    }
    if (depth < levelCountMax - 1) addCut(level, levels[depth + 1] ?? [], row, (node, value) => add(nodes.child(node, nodes.name(OTHER)), value));
    above = row;
  }
  return nodes.treeWith(self);
}

/** Calls `cut` for each bar of a level whose total is more than its own value and those of the bars over it. */
function addCut(level: readonly number[], next: readonly number[], row: Row, cut: (node: number, value: number) => void): void {
  let bar = 0;
  let over = 0; // number of `next`
  let at = 0; // where the bars of `next` have come to
  for (let index = 0; index < level.length; index += BAR_LENGTH) {
    const total = level[index + 1]!;
    if (total === 0) continue;
    const end = row.end[bar]!;
    let left = total - level[index + 2]!;
    while (over < next.length) {
      const start = at + next[over]!;
      if (start >= end) break;
      left -= next[over + 1]!;
      at = start + next[over + 1]!;
      over += BAR_LENGTH;
    }
    if (left < 0) throw malformed(`bar ${index / BAR_LENGTH} of a level has less (${total}) than its own value and the bars over it together: send the graph as it was saved`);
    if (left > 0) cut(row.node[bar]!, left);
    bar++;
  }
}

function readingJson<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof JsonFault) throw malformed(`the file is not JSON as it should be: ${thrown.message}: send a flame graph as it was saved, or a file of speedscope`);
    throw thrown;
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
