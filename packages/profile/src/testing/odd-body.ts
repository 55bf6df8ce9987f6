/**
 * Bodies of other formats than pprof that are odd, each made of a seed alone: stacks that are empty, deep, wide or long-named, values at the
 * ends of their ranges, and bytes that were changed, cut or repeated. Those that are whole say what they must come out as. For `npm run
 * fuzz` and tests.
 */
import { ByteWriter } from "@pyromesh/base";
import type { BodyFormat } from "../formats/body-format.ts";
import { profileOfAppName } from "../text/folded.ts";
import { drawOf } from "./draw.ts";
import type { Draw } from "./draw.ts";

export interface OddBody {
  readonly seed: number;
  readonly bytes: Uint8Array;
  readonly format: BodyFormat;
  /** The sum of each stack over all profiles, frames joined by ";". Undefined: damaged, or odd in a way that may be refused. */
  readonly expected: ReadonlyMap<string, bigint> | undefined;
}

export type OddBodyKind = "speedscope" | "tree" | "trie";

export function oddBody(kind: OddBodyKind, seed: number): OddBody {
  const draw = drawOf(seed);
  const { bytes, format, expected } = kind === "speedscope" ? oddSpeedscope(draw) : oddTree(kind, draw);
  if (draw.happens(0.4)) return { seed, bytes, format, expected };
  return { seed, bytes: damaged(bytes, draw), format, expected: undefined };
}

type Made = Omit<OddBody, "seed">;

export const NAMES: readonly string[] = ["main", "work", "ünï", "a b", "\u{1f525}", "x".repeat(200), "[no stacktrace]", "total", "other", "constructor", "__proto__", '"', "\\", "main.go"];

function addTo(sums: Map<string, bigint>, frames: readonly string[], value: bigint): void {
  if (value === 0n) return;
  const stack = frames.join(";");
  sums.set(stack, (sums.get(stack) ?? 0n) + value);
}

// --- tree and trie ----------------------------------------------------------------------------------------------------

interface Node {
  name: Uint8Array;
  value: bigint;
  children: Node[];
}

function oddTree(kind: "tree" | "trie", draw: Draw): Made {
  const format: BodyFormat = { kind, form: { profile: profileOfAppName("alloc_space", 0) } };
  const root: Node = { name: new Uint8Array(0), value: draw.happens(0.2) ? oddValue(draw) : 0n, children: [] };
  const all = [root];
  const count = draw.pick([0, 1, 5, 30, 200]);
  const isDeep = draw.happens(0.3);
  for (let i = 0; i < count; i++) {
    const parent = isDeep && draw.happens(0.9) ? all.at(-1)! : draw.pick(all);
    const node: Node = { name: Buffer.from(oddName(kind, draw)), value: draw.happens(0.6) ? oddValue(draw) : 0n, children: [] };
    parent.children.push(node);
    all.push(node);
  }
  const expected = new Map<string, bigint>();
  let isSure = true;
  const spelled = new Map<Node, string>([[root, ""]]);
  for (const node of all) {
    const text = spelled.get(node)!;
    addTo(expected, text.split(";").filter((frame) => frame !== ""), node.value);
    for (const child of node.children) spelled.set(child, kind === "tree" ? `${text};${Buffer.from(child.name).toString()}` : text + Buffer.from(child.name).toString());
  }
  for (const sum of expected.values()) isSure &&= sum < 1n << 63n;
  return { bytes: bytesOf(root), format, expected: isSure ? expected : undefined };
}

function oddName(kind: "tree" | "trie", { pick, happens }: Draw): string {
  if (happens(0.05)) return "";
  if (kind === "tree") return pick(NAMES);
  return pick(["", ";", ";;"]) + pick(NAMES) + pick(["", ";", `;${pick(NAMES)}`, ";;"]);
}

function oddValue({ below, pick, happens }: Draw): bigint {
  return happens(0.98) ? pick([1n, BigInt(below(1000)), BigInt(below(2 ** 31)) << 10n]) : pick([2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 60n + 7n, 2n ** 63n - 1n, 2n ** 64n - 1n]);
}

function bytesOf(root: Node): Uint8Array {
  const out = new ByteWriter(256);
  const open = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    out.uvarint(node.name.length).raw(node.name).uvarint64(node.value).uvarint(node.children.length);
    open.push(...node.children.toReversed());
  }
  return out.finish();
}

// --- speedscope -------------------------------------------------------------------------------------------------------

function oddSpeedscope(draw: Draw): Made {
  const { below, pick, happens } = draw;
  const names = Array.from({ length: pick([1, 3, 20]) }, () => pick(NAMES));
  const frames = names.map((name, i) => ordered({ name, ...(happens(0.3) && { file: pick(["a.ts", "", null]), line: pick([i, -1, 1.5, null]), col: 2 }) }, draw));
  const sums = new Map<string, bigint>();
  let isSure = true;
  const profiles = Array.from({ length: pick([0, 1, 1, 2, 4]) }, (_, i) => {
    const unit = pick(["nanoseconds", "microseconds", "milliseconds", "seconds", "none", "bytes", ...(happens(0.1) ? ["", "s"] : [])]);
    // A name of each makes each a series, so that no two are rounded together.
    const base = { name: happens(0.1) ? "" : `profile ${i}`, unit, startValue: pick([0, 5]), endValue: 10 };
    if (!FACTOR_BY_UNIT.has(unit) || base.name === "") isSure = false;
    const factor = FACTOR_BY_UNIT.get(unit) ?? 1;
    const add = (stack: readonly number[], weight: number): void => addTo(sums, stack.map((frame) => names[frame]!), BigInt(weight * factor));
    if (happens(0.5)) {
      const samples = Array.from({ length: pick([0, 1, 10, 100]) }, () => Array.from({ length: pick([0, 1, 5, happens(0.1) ? 1000 : 20]) }, () => below(names.length)));
      const weights = samples.map(() => pick([0, 1, below(1000), 2 ** 20]));
      for (const [index, stack] of samples.entries()) add(stack, weights[index]!);
      if (happens(0.1)) weights.push(1);
      if (weights.length !== samples.length) isSure = false;
      return ordered({ type: "sampled", ...base, samples, weights }, draw);
    }
    const events: object[] = [];
    const open: number[] = [];
    let at = base.startValue;
    const step = (): void => {
      const passed = pick([0, 1, below(100)]);
      if (open.length > 0) add(open, passed);
      at += passed;
    };
    for (let left = pick([0, 1, 10, 100]); left > 0; left--) {
      step();
      if (open.length > 0 && happens(0.4)) events.push(ordered({ type: "C", frame: open.pop(), at }, draw));
      else {
        open.push(below(names.length));
        events.push(ordered({ type: "O", frame: open.at(-1), at }, draw));
      }
    }
    while (open.length > 0) {
      step();
      events.push(ordered({ type: "C", frame: open.pop(), at }, draw));
    }
    return ordered({ type: "evented", ...base, events }, draw);
  });
  const file = ordered({ $schema: "https://www.speedscope.app/file-format-schema.json", shared: ordered({ frames, more: [null] }, draw), profiles, exporter: "odd", activeProfileIndex: 0 }, draw);
  const text = JSON.stringify(file, null, happens(0.2) ? 1 : 0);
  const format: BodyFormat = { kind: "speedscope", form: { app: pick(["shop", "shop.wall", "my.shop.cpu"]), sampleRate: 100, appLabel: "service_name" } };
  return { bytes: Buffer.from(text), format, expected: isSure ? sums : undefined };
}

/** What a weight of 1 comes to: those of no unit are samples at 100 Hz. */
const FACTOR_BY_UNIT: ReadonlyMap<string, number> = new Map([["nanoseconds", 1], ["microseconds", 1e3], ["milliseconds", 1e6], ["seconds", 1e9], ["none", 1e7], ["bytes", 1]]);

/** The same object with its keys in another order. */
function ordered(object: object, { happens }: Draw): object {
  const entries = Object.entries(object);
  return Object.fromEntries(happens(0.5) ? entries : entries.toReversed());
}

// --- damage -----------------------------------------------------------------------------------------------------------

const TOKENS = ["[", "]", "{", "}", ",", ":", '"', "-1", "1e999", "0.5", "null", "4294967296", '"frame":9', "\\", "\0", "\ud800"];

export function damaged(bytes: Uint8Array, { below, pick }: Draw): Uint8Array {
  let damagedBytes = Buffer.from(bytes);
  for (let left = pick([1, 1, 2, 8]); left > 0 && damagedBytes.length > 0; left--) {
    const at = below(damagedBytes.length);
    const to = at + below(Math.min(40, damagedBytes.length - at) + 1);
    const rest = [damagedBytes.subarray(0, at), damagedBytes.subarray(to)] as const;
    switch (pick(["change", "change", "insert", "number", "cut", "repeat", "remove"] as const)) {
      case "change":
        damagedBytes[at] = below(256);
        break;
      case "insert":
        damagedBytes = Buffer.concat([rest[0], Buffer.from(pick(TOKENS)), damagedBytes.subarray(at)]);
        break;
      case "number":
        damagedBytes = Buffer.concat([rest[0], Buffer.from([0xff, 0xff, 0xff, 0xff, below(256), 0x7f]), rest[1]]);
        break;
      case "cut":
        damagedBytes = damagedBytes.subarray(0, at);
        break;
      case "repeat":
        damagedBytes = Buffer.concat([damagedBytes.subarray(0, to), damagedBytes.subarray(at, to), rest[1]]);
        break;
      case "remove":
        damagedBytes = Buffer.concat(rest);
    }
  }
  return damagedBytes;
}
