/**
 * Call graphs as Graphviz text, in the shape pprof's own reports have: a box of facts, a node per function and line, an edge
 * per call. Edges that jump over nodes left out are dotted, and their tooltips say so with an ellipsis.
 *
 * A node's "cum" counts each stacktrace once, however often it recurses; so does an edge's weight.
 */
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import { addressName, stringAt } from "./location-tree.ts";
import { compareText } from "../labels/labels.ts";
import { childLists } from "./name-tree.ts";
import type { SampleType } from "../labels/profile-type.ts";
import type { Int64 } from "../model/results.ts";
import type { LocationTree } from "../model/stacktrace-tree.ts";
import { Saturation, plus, sumAt, totalsOf } from "../model/sums.ts";

export interface DotInput {
  readonly tree: LocationTree;
  readonly sampleType: SampleType;
  /** The end of the queried time. */
  readonly timeNs: bigint;
  /** 0: unknown. */
  readonly durationNs: bigint;
}

/** Steps of an `Interrupt` for one node: frames are looked up by their texts. */
const NODE_STEPS = 32;

/** The frames to draw are chosen among at least this many: those with the greatest cums. */
const CANDIDATES_MIN = 2000;

/** Nodes drawn unless a caller says how many. */
export const DOT_NODES_DEFAULT = 100;

/** Draws the `maxNodes` functions with the highest scores (below 1: 100), and the calls between them. "" where there is no value at all. */
export function dotGraph(input: DotInput, maxNodes: number, interrupt: Interrupt = UNINTERRUPTED): string {
  const frames = new Frames(input.tree, interrupt);
  const { total } = frames;
  if (total === 0) return "";
  const keptMax = maxNodes < 1 ? DOT_NODES_DEFAULT : maxNodes;
  const kept = frames.ranked(Math.max(CANDIDATES_MIN, keptMax)).slice(0, keptMax);
  return new DotText(input, total, frames.count).print(kept, frames.callsBetween(kept));
}

interface Frame {
  readonly id: number;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  flat: Int64;
  cum: Int64;
}

interface Call {
  readonly from: Frame;
  readonly to: Frame;
  weight: Int64;
  /** True while every occurrence had frames in between that are left out. */
  isResidual: boolean;
  /** True while every occurrence had the callee inlined into the caller's location. */
  isInlined: boolean;
  /** How often it is on the current path of the walk. */
  activeCount: number;
}

/** The frames (function and line) of a location tree with their sums. */
class Frames {
  readonly total: Int64;
  readonly #source: LocationTree;
  readonly #interrupt: Interrupt;
  readonly #totals: ReturnType<typeof totalsOf>;
  readonly #list: Frame[] = [];
  /** By location: its frames from the caller-most to the leaf-most. */
  readonly #framesOf: (readonly Frame[])[] = [];

  constructor(source: LocationTree, interrupt: Interrupt) {
    this.#source = source;
    this.#interrupt = interrupt;
    const { nodeCount, nodeParent } = source.tree;
    this.#totals = totalsOf(nodeParent, nodeCount, source.self);
    this.total = sumAt(this.#totals, 0);
    this.#addUp();
  }

  get count(): number {
    return this.#list.length;
  }

  /** The `countMax` frames with the greatest cums, by score: frames with a value of their own or several callees come before those that only pass calls on. */
  ranked(countMax: number): Frame[] {
    const byCum = (a: Frame, b: Frame): number => descending(a.cum, b.cum) || compareText(a.name, b.name) || a.line - b.line;
    const candidates = [...this.#list].sort(byCum).slice(0, countMax);
    const scores = this.#scores(this.callsBetween(candidates));
    return candidates.sort((a, b) => scores[b.id]! - scores[a.id]! || byCum(a, b));
  }

  callsBetween(kept: readonly Frame[]): Call[] {
    const isKept = new Uint8Array(this.#list.length);
    for (const frame of kept) isKept[frame.id] = 1;
    return this.#calls((frame) => isKept[frame.id] === 1);
  }

  /**
   * Value times the entropy, in bits, of how it divides among callers and among callees and the frame itself: a frame with
   * one caller, one callee and no value of its own scores 0. Where a stacktrace begins or ends counts as one bit, as in pprof, so that entries and leaves are drawn.
   */
  #scores(calls: readonly Call[]): Float64Array {
    const callersSum = new Float64Array(this.#list.length);
    const calleesSum = Float64Array.from(this.#list, ({ flat }) => Number(flat));
    const hasCallees = new Uint8Array(this.#list.length);
    for (const { from, to, weight } of calls) {
      callersSum[to.id]! += Number(weight);
      calleesSum[from.id]! += Number(weight);
      hasCallees[from.id] = 1;
    }
    const share = (part: number, whole: number): number => (part > 0 && part < whole ? -(part / whole) * Math.log2(part / whole) : 0);
    const bits = Float64Array.from(this.#list, ({ flat, id }) => {
      return (callersSum[id] === 0 ? 1 : 0) + (hasCallees[id] === 0 ? 1 : share(Number(flat), calleesSum[id]!));
    });
    for (const { from, to, weight } of calls) {
      bits[from.id]! += share(Number(weight), calleesSum[from.id]!);
      bits[to.id]! += share(Number(weight), callersSum[to.id]!);
    }
    return bits.map((score, id) => Number(this.#list[id]!.cum) * score + Number(this.#list[id]!.flat));
  }

  #addUp(): void {
    const active: number[] = [];
    const { self } = this.#source;
    this.#walk(
      (node, frames) => {
        for (const frame of frames) {
          active[frame.id] = (active[frame.id] ?? 0) + 1;
          if (active[frame.id] === 1) frame.cum = plus(frame.cum, sumAt(this.#totals, node));
        }
        const leaf = frames.at(-1);
        if (leaf !== undefined) leaf.flat = plus(leaf.flat, sumAt(self, node));
      },
      (frames) => {
        for (const frame of frames) active[frame.id]!--;
      },
    );
  }

  /** Calls between kept frames, heaviest first. */
  #calls(isKept: (frame: Frame) => boolean): Call[] {
    const calls = new Map<number, Call>();
    /** The current path: for each entry the frame, whether it is kept, and the call that it made active. */
    const path: { readonly frame: Frame; readonly call: Call | undefined }[] = [];
    const keptAt: number[] = [];
    this.#walk(
      (node, frames) => {
        for (const [index, frame] of frames.entries()) {
          let call: Call | undefined;
          if (isKept(frame)) {
            const above = keptAt.at(-1);
            const from = above === undefined ? undefined : path[above]!.frame;
            // A function that calls itself at the same line has no edge, as in pprof's graphs.
            if (from !== undefined && from !== frame) {
              const key = from.id * 2 ** 26 + frame.id;
              call = calls.get(key);
              if (call === undefined) {
                call = { from, to: frame, weight: 0, isResidual: true, isInlined: true, activeCount: 0 };
                calls.set(key, call);
              }
              if (above === path.length - 1) call.isResidual = false;
              if (index === 0) call.isInlined = false;
              if (call.activeCount++ === 0) call.weight = plus(call.weight, sumAt(this.#totals, node));
            }
            keptAt.push(path.length);
          }
          path.push({ frame, call });
        }
      },
      (frames) => {
        for (let i = 0; i < frames.length; i++) {
          const { call } = path.pop()!;
          if (call !== undefined) call.activeCount--;
          if (keptAt.at(-1) === path.length) keptAt.pop();
        }
      },
    );
    return [...calls.values()].sort((a, b) => descending(a.weight, b.weight) || a.from.id - b.from.id || a.to.id - b.to.id);
  }

  /** Depth first over the nodes with a value, without recursion. */
  #walk(enter: (node: number, frames: readonly Frame[]) => void, leave: (frames: readonly Frame[]) => void): void {
    const { nodeCount, nodeParent, nodeLocation } = this.#source.tree;
    const { start, child } = childLists(nodeParent, nodeCount);
    const next = start.slice(0, nodeCount);
    let node = 0;
    for (;;) {
      if (next[node]! < start[node + 1]!) {
        const below = child[next[node]!++]!;
        if (sumAt(this.#totals, below) === 0) continue;
        node = below;
        this.#interrupt.after(NODE_STEPS);
        enter(node, this.#framesAt(nodeLocation[node]!));
      } else {
        if (node === 0) break;
        leave(this.#framesAt(nodeLocation[node]!));
        node = nodeParent[node]!;
      }
    }
  }

  readonly #byKey = new Map<string, Frame>();

  #framesAt(location: number): readonly Frame[] {
    const known = this.#framesOf[location];
    if (known !== undefined) return known;
    const { symbols } = this.#source;
    const frames: Frame[] = [];
    const first = symbols.lineStart[location]!;
    const end = symbols.lineStart[location + 1]!;
    if (first === end) frames.push(this.#frame(addressName(symbols, location), "", 0));
    for (let line = end - 1; line >= first; line--) {
      const functionId = symbols.lineFunction[line]!;
      const name = stringAt(symbols, symbols.functionName[functionId]!);
      const file = stringAt(symbols, symbols.functionFilename[functionId]!);
      frames.push(this.#frame(name, file, symbols.lineNumber[line]!));
    }
    this.#framesOf[location] = frames;
    return frames;
  }

  #frame(name: string, file: string, line: number): Frame {
    const key = `${line}:${name.length}:${name}${file}`;
    let frame = this.#byKey.get(key);
    if (frame === undefined) {
      frame = { id: this.#list.length, name, file, line, flat: 0, cum: 0 };
      this.#list.push(frame);
      this.#byKey.set(key, frame);
    }
    return frame;
  }
}

/** Prints the chosen frames and calls. */
class DotText {
  readonly #input: DotInput;
  readonly #total: Int64;
  readonly #frameCount: number;
  readonly #saturation = new Saturation();

  constructor(input: DotInput, total: Int64, frameCount: number) {
    this.#input = input;
    this.#total = total;
    this.#frameCount = frameCount;
  }

  print(kept: readonly Frame[], calls: readonly Call[]): string {
    const nodeOf = new Map(kept.map((frame, index) => [frame, index + 1]));
    const flatMax = kept.reduce((max, frame) => Math.max(max, Number(frame.flat)), 0);
    return [
      'digraph "pyromesh" {',
      'node [style=filled fillcolor="#f8f8f8"]',
      this.#legend(kept),
      ...kept.map((frame, index) => this.#node(frame, index + 1, flatMax)),
      ...calls.map((call) => this.#edge(call, nodeOf.get(call.from)!, nodeOf.get(call.to)!)),
      "}",
      "",
    ].join("\n");
  }

  #legend(kept: readonly Frame[]): string {
    const flat = kept.reduce<Int64>((sum, frame) => plus(sum, frame.flat), 0);
    const lines = [`Type: ${this.#input.sampleType.type}`, `Time: ${timeText(this.#input.timeNs)}`];
    if (this.#input.durationNs > 0n) lines.push(`Duration: ${Number(this.#input.durationNs) / 1e9}s`);
    lines.push(`Showing nodes accounting for ${this.#value(flat)}, ${this.#percent(flat)} of ${this.#value(this.#total)} total`);
    if (kept.length < this.#frameCount) lines.push(`Showing top ${kept.length} nodes out of ${this.#frameCount}`);
    const label = lines.map((line) => `${escaped(line)}\\l`).join("");
    return `subgraph cluster_L { "${escaped(lines[0]!)}" [shape=box fontsize=16 label="${label}" tooltip="pyromesh"] }`;
  }

  #node(frame: Frame, number: number, flatMax: number): string {
    const lines = nameLines(frame.name);
    const place = placeOf(frame);
    if (place !== "") lines.push(place.slice(place.lastIndexOf("/") + 1));
    if (frame.flat === 0) lines.push(`0 of ${this.#share(frame.cum)}`);
    else {
      lines.push(this.#share(frame.flat));
      if (frame.flat !== frame.cum) lines.push(`of ${this.#share(frame.cum)}`);
    }
    // From 8 without a value of its own to 24 for the greatest; the square root keeps small ones legible.
    const fontSize = 8 + (flatMax === 0 ? 0 : Math.ceil(16 * Math.sqrt(Number(frame.flat) / flatMax)));
    const ratio = this.#ratio(frame.cum);
    const label = lines.map(escaped).join("\\n");
    const tooltip = escaped(`${fullName(frame)} (${this.#value(frame.cum)})`);
    return `N${number} [label="${label}" id="node${number}" fontsize=${fontSize} shape=box tooltip="${tooltip}" color="${colour(ratio, 0.9)}" fillcolor="${colour(ratio, 0.1)}"]`;
  }

  #edge(call: Call, from: number, to: number): string {
    const ratio = this.#ratio(call.weight);
    const label = ` ${this.#value(call.weight)}${call.isInlined ? "\\n (inline)" : ""}`;
    const dots = call.isResidual ? "..." : "->";
    const tooltip = escaped(`${fullName(call.from)} ${dots} ${fullName(call.to)} (${this.#value(call.weight)})`);
    const weight = 1 + Math.floor(ratio * 100);
    const width = 1 + Math.floor(ratio * 5);
    const style = call.isResidual ? ' style="dotted"' : "";
    return `N${from} -> N${to} [label="${label}" weight=${weight} penwidth=${width} color="${colour(ratio, 0.9)}" tooltip="${tooltip}" labeltooltip="${tooltip}"${style}]`;
  }

  #share(value: Int64): string {
    return `${this.#value(value)} (${this.#percent(value)})`;
  }

  #value(value: Int64): string {
    return `${this.#saturation.hold(value)}${UNITS[this.#input.sampleType.unit] ?? ""}`;
  }

  #ratio(value: Int64): number {
    return Number(value) / Number(this.#total);
  }

  #percent(value: Int64): string {
    const percent = this.#ratio(value) * 100;
    return percent >= 99.95 && percent <= 100.05 ? "100%" : `${percent >= 1 ? percent.toFixed(2) : percent.toPrecision(2)}%`;
  }
}

const UNITS: Readonly<Record<string, string>> = { bytes: "B", nanoseconds: "ns", microseconds: "us", milliseconds: "ms", seconds: "s" };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `a/b/http.(*conn).serve` as http, (*conn), serve: a box stays narrow. Names of other languages are cut at `::` and `.` too. */
function nameLines(name: string): string[] {
  const base = /^[^(<]*\//.exec(name)?.[0] ?? "";
  const parts = name.slice(base.length).match(/\([^()]*\)|\[[^[\]]*\]|(?:[^.:([]|(?<!:):(?!:))+/g);
  return parts === null ? [name] : [...parts];
}

function placeOf(frame: Frame): string {
  if (frame.file === "") return "";
  return frame.line === 0 ? frame.file : `${frame.file}:${frame.line}`;
}

function fullName(frame: Frame): string {
  const place = placeOf(frame);
  return place === "" ? frame.name : `${frame.name} ${place}`;
}

/** Grey where there is little, red where there is much. */
function colour(ratio: number, depth: number): string {
  const heat = Math.min(1, Math.sqrt(Math.max(0, ratio)));
  const light = Math.round(255 * (1 - depth * 0.3));
  const cool = Math.round(light * (1 - heat * depth));
  const hex = (channel: number): string => channel.toString(16).padStart(2, "0");
  return `#${hex(light)}${hex(cool)}${hex(cool)}`;
}

/** `Nov 23, 2026 at 7:35am (UTC)`. */
function timeText(timeNs: bigint): string {
  const time = new Date(Number(timeNs / 1_000_000n));
  const hours = time.getUTCHours();
  const minutes = String(time.getUTCMinutes()).padStart(2, "0");
  return `${MONTHS[time.getUTCMonth()]} ${time.getUTCDate()}, ${time.getUTCFullYear()} at ${hours % 12 || 12}:${minutes}${hours < 12 ? "am" : "pm"} (UTC)`;
}

/** For inside double quotes. */
function escaped(text: string): string {
  return text.replace(/[\\"]/g, "\\$&").replace(/[\r\n]+/g, " ");
}

function descending(a: Int64, b: Int64): number {
  return a === b ? 0 : a > b ? -1 : 1;
}
