/**
 * JFR recordings that are odd, each made of a seed alone: types with fields that no recorder has, and types in types, several times each; ids from
 * small to 2^53, strings in each encoding, long ones that many symbols share, constants in several checkpoints, empty pools, clocks of any
 * frequency, several chunks; and, for most seeds, damage: bytes changed, cut or repeated, a last chunk that is cut short, ids that lead nowhere or
 * are as large as 2^63, cycles through one type or several, counts and sizes at each level that are wrong, and headers that lie. For `npm run
 * fuzz` and tests.
 */
import { drawOf } from "./draw.ts";
import type { Draw } from "./draw.ts";
import { JfrPools } from "./jfr-pools.ts";
import { AGENT_TYPES, LyingArray, writeChunk } from "./jfr-writer.ts";
import type { ChunkLies, EncodedText, FieldSpec, TypeSpecs, Value } from "./jfr-writer.ts";

export interface OddRecording {
  readonly seed: number;
  readonly bytes: Uint8Array;
  /** The labels part, as it is put into the form. */
  readonly labels: string | undefined;
  /** What must be read, where nothing was damaged. */
  readonly sums: OddSums | undefined;
}

/** Nanoseconds by stack from the root: of CPU, and of waits of parked threads. */
export interface OddSums {
  readonly cpu: ReadonlyMap<string, bigint>;
  readonly parked: ReadonlyMap<string, bigint>;
}

const PERIOD_NS = 10_000_000n;

export function oddRecording(seed: number): OddRecording {
  const draw = drawOf(seed);
  const sums = { cpu: new Map<string, bigint>(), parked: new Map<string, bigint>() };
  const isOdd = draw.happens(0.4);
  const chunks: Uint8Array[] = [];
  let before: readonly OddStack[] = [];
  for (let left = draw.pick([1, 1, 1, 2, 3]); left > 0; left--) {
    const { bytes, stacks } = oddChunk(draw, sums, { isOdd, before });
    chunks.push(bytes);
    before = stacks;
  }
  const whole = Buffer.concat(chunks);
  const isDamaged = draw.happens(0.6);
  const bytes = !isDamaged ? whole : draw.happens(0.1) ? whole.subarray(0, whole.length - draw.below(chunks.at(-1)!.length)) : damaged(whole, draw);
  return { seed, bytes, labels: draw.happens(0.3) ? oddLabels(draw) : undefined, sums: isOdd || isDamaged ? undefined : sums };
}

const NAMES = ["Main.run", "a/B.f", "a/B.g", ".read", "a/App$$Lambda$4/0x1f.run", "libzstd-jni-1.5.1-7.so.x", "ünï.f", "A.\u{1f525}", "long/".repeat(40) + "Name.f"];
/** What they are folded to, where they are. */
const FOLDED = new Map([
  ["a/App$$Lambda$4/0x1f.run", "a/App$$Lambda_.run"],
  ["libzstd-jni-1.5.1-7.so.x", "libzstd-jni-_.so.x"],
]);

interface Sums {
  readonly cpu: Map<string, bigint>;
  readonly parked: Map<string, bigint>;
}

/** The numbers are those of a recorder: dense from a base, or far apart. Each chunk has at most some 100 constants of a type. */
const BASES = [0, 0, 1000, 2 ** 31 - 20, 2 ** 32 - 3, 2 ** 33, 2 ** 52];
const SPREADS = [1, 1, 7, 65_536 * 3, 2 ** 40];
/** Beyond 2^53, which no recorder reaches. */
const WIDE_BASES = [2 ** 53, 2 ** 62, 2 ** 63 - 2 ** 30, 2 ** 63];
const FREQUENCIES = [1_000_000_000n, 1_000_000_000n, 2_000_000_000n, 500_000_000n, 10_000_000n];

/** When a chunk began. An event with a smaller time began before it. */
const START_TICKS = 1000;

interface OddStack {
  readonly id: number;
  readonly text: string;
}

/** `before`: the stacks of the chunk before. */
function oddChunk(draw: Draw, sums: Sums, { isOdd, before }: { readonly isOdd: boolean; readonly before: readonly OddStack[] }): { bytes: Uint8Array; stacks: readonly OddStack[] } {
  const { below, pick, happens } = draw;
  const spread = pick(SPREADS);
  const base = isOdd && happens(0.05) ? pick(WIDE_BASES) : pick(BASES);
  const pools = new JfrPools((number) => base + number * (base >= 2 ** 53 ? 2 ** 20 : spread));
  const ticksPerS = pick(FREQUENCIES);
  const types = oddTypes(draw, isOdd);
  const states = [pools.state("STATE_RUNNABLE"), pools.state("STATE_SLEEPING")] as const;
  const names = Array.from({ length: 1 + below(5) }, () => pick(NAMES));
  const stacks = Array.from({ length: 1 + below(6) }, () => {
    const frames = Array.from({ length: below(8) }, () => ({ name: pick(names), line: pick([0, 5, 200, 70_000, below(3_000_000)]) }));
    return { id: pools.stack(frames), text: frames.map(({ name }) => FOLDED.get(name) ?? name).reverse().join(";") };
  });
  if (happens(0.05)) shareText(draw, pools);
  if (happens(0.1)) pools.pools.set("x.Inner", new Map()); // a pool without constants
  if (isOdd) addOddConstants(draw, pools);
  const events = Array.from({ length: below(12) }, (): readonly [string, Value] => {
    const name = pick(["jdk.ExecutionSample", "jdk.ExecutionSample", "profiler.WallClockSample", "jdk.ObjectAllocationInNewTLAB", "jdk.ThreadPark", "profiler.LiveObject", "jdk.ActiveSetting"]);
    const startTime = pick([0, START_TICKS, 2000]);
    const earlier = name === "jdk.ThreadPark" && startTime === 0 && happens(0.5) ? before.filter(({ id }) => !stacks.some((own) => own.id === id)) : [];
    const stack = pick(earlier.length > 0 ? earlier : stacks);
    const stackTrace = isOdd && happens(0.05) ? pick<number | bigint>([0, 999_999, 2 ** 31, 2 ** 32, 2 ** 52, 2 ** 53, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, -1]) : stack.id;
    const fields = { startTime, stackTrace, state: pick(states), contextId: pick([0, 0, 1, 2, 77]), spanId: pick<number | bigint>([0, 0, 5, 0xffff_ffff_ffff_ffffn]), spanName: pick([0, 3]) };
    if (name === "jdk.ActiveSetting") return [name, { name: oddText(draw, "event", isOdd), value: oddText(draw, pick(["itimer", "cpu"]), isOdd) }];
    const duration = below(10_000);
    if (!isOdd) {
      if (name === "jdk.ExecutionSample" && fields.state === states[0]) add(sums.cpu, stack.text, PERIOD_NS);
      if (name === "jdk.ThreadPark") add(sums.parked, stack.text, nanoseconds(duration, ticksPerS));
    }
    const nested = types[name]?.find((field) => field.name === "nested")?.isArray === true ? Array.from({ length: below(4) }, () => ({})) : {};
    return [name, { ...fields, samples: below(9), tlabSize: pick([0, 4096, isOdd ? -1 : 2 ** 40]), duration, nested }];
  });
  const lies = isOdd && happens(0.3) ? oddLies(draw) : {};
  const bytes = writeChunk({ types, pools: pools.pools, events, ticksPerS, startTicks: BigInt(START_TICKS), lies, checkpointCount: 1 + below(3), ...(isOdd && happens(0.05) ? { firstOffset: pick([1, -1, -90, 5000]) } : {}) });
  return { bytes, stacks };
}

function add(sums: Map<string, bigint>, stack: string, value: bigint): void {
  if (value > 0n) sums.set(stack, (sums.get(stack) ?? 0n) + value);
}

/** Rounded half up. */
function nanoseconds(ticks: number, ticksPerS: bigint): bigint {
  return (BigInt(ticks) * 2_000_000_000n + ticksPerS) / (2n * ticksPerS);
}

/** A string in the pool that symbols name, each of them a class or a method of frames that no event has, or all of them. */
function shareText({ below, pick }: Draw, pools: JfrPools): void {
  const id = pools.add("java.lang.String", "shared", () => ({ encoding: pick([3, 4, 5] as const), text: "x".repeat(pick([10, 1000, 100_000])) }));
  for (let i = below(20); i >= 0; i--) pools.add("jdk.types.Symbol", `shared ${i}`, () => ({ string: { encoding: 2, id } }));
}

function oddLies({ below, pick }: Draw): ChunkLies {
  const more = pick([-1000, -3, -1, 1, 2, 100, 2 ** 31, 2 ** 40, 2 ** 53]);
  switch (below(6)) {
    case 0:
      return { metadataBytes: more };
    case 1:
      return { checkpointBytes: more };
    case 2:
      return { poolCount: more };
    case 3:
      return { constantCount: more };
    case 4:
      return { eventBytes: more };
    default: {
      // Sizes and offsets, times, the frequency; and over the version and the flags.
      const at = pick([8, 8, 16, 16, 24, 24, 32, 40, 48, 56, 0, 60]);
      return { header: new Map([[at, pick([0n, 1n, 67n, 68n, 69n, 100n, 200n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])]]) };
    }
  }
}

function oddText({ pick, happens }: Draw, text: string, isOdd: boolean): EncodedText {
  if (isOdd && happens(0.2)) return pick<EncodedText>([{ encoding: 0 }, { encoding: 2, id: 1 }, { encoding: 2, id: 999 }]);
  return { encoding: pick([3, 4, 5] as const), text };
}

/** Fields that no recorder has, in front of, between and behind the others; and what is wrong, where it may be. */
function oddTypes({ below, pick, happens }: Draw, isOdd: boolean): TypeSpecs {
  const extra = (): FieldSpec => ({ name: `x${below(100)}`, type: pick(["int", "long", "byte", "boolean", "float", "double", "char", "short", "java.lang.String", "x.Inner"]), isArray: happens(0.3), isPooled: happens(0.2) });
  const types: Record<string, readonly FieldSpec[]> = { ...AGENT_TYPES, "x.Inner": [{ name: "a", type: "int" }, { name: "b", type: "java.lang.String" }, { name: "c", type: "long", isArray: true }] };
  for (const name of ["jdk.ExecutionSample", "jdk.types.StackFrame", "jdk.types.StackTrace", "jdk.types.Method", "java.lang.Class", "jdk.types.Symbol"]) {
    if (!happens(0.2)) continue;
    const fields = [...types[name]!];
    fields.splice(below(fields.length + 1), 0, extra());
    types[name] = fields;
  }
  if (isOdd && happens(0.1)) {
    // As an array, which may be empty: a type that holds itself as such has no value that ends.
    const type = pick(["x.Inner", "x.Missing", "x.Empty"]);
    types["x.Inner"] = [{ name: "self", type, isArray: type === "x.Inner" || happens(0.5) }];
  }
  if (isOdd && happens(0.05)) types["x.Empty"] = [];
  if (happens(0.1)) addNestedTypes({ below, pick, happens }, types, isOdd);
  if (isOdd && happens(0.1)) delete types[pick(Object.keys(types))];
  return types;
}

/** Types that hold the next one several times: each level multiplies the fields. Two deep where all must be read; deeper, and in a ring, where not. */
function addNestedTypes({ below, pick, happens }: Draw, types: Record<string, readonly FieldSpec[]>, isOdd: boolean): void {
  const depth = isOdd ? pick([2, 4, 7, 9, 12]) : 2;
  const width = isOdd ? pick([1, 2, 3, 60]) : 1 + below(3);
  const last = isOdd && happens(0.2) ? "x.Level0" : pick(["int", "byte", "java.lang.String"]);
  // A value of many fields would take long to write: then the outermost ones are arrays, which are empty.
  const isLarge = width ** depth > 300 || last === "x.Level0";
  for (let level = 0; level < depth; level++) {
    const isArray = (isLarge && level === 0) || happens(0.2);
    types[`x.Level${level}`] = Array.from({ length: width }, (_, i) => ({ name: `f${i}`, type: level === depth - 1 ? last : `x.Level${level + 1}`, isArray }));
  }
  const holder = pick(["jdk.ExecutionSample", "jdk.types.StackFrame", "jdk.types.Symbol", "jdk.types.Method", "java.lang.Thread"]);
  const fields = [...types[holder]!];
  fields.splice(below(fields.length + 1), 0, { name: "nested", type: "x.Level0", isArray: happens(0.3) });
  types[holder] = fields;
}

function addOddConstants({ below, pick, happens }: Draw, pools: JfrPools): void {
  const to = (type: string): Map<number, Value> => pools.pools.get(type)!;
  if (happens(0.3)) to("java.lang.String").set(1, { encoding: 2, id: 2 }).set(2, pick<EncodedText>([{ encoding: 2, id: 1 }, { encoding: 3, text: "event" }]));
  if (happens(0.1)) to("jdk.types.Method").set(pick([1, 2, 3]), { type: pick([0, 1, 99]), name: pick([0, 1, 99]) });
  if (happens(0.1)) to("java.lang.Class").set(pick([1, 2]), { name: pick([0, 98]) });
  if (happens(0.1)) to("jdk.types.Symbol").set(pick([1, 2]), { string: pick<EncodedText>([{ encoding: 2, id: 1 }, { encoding: 0 }]) });
  if (happens(0.1)) to("jdk.types.StackTrace").set(pick([1, 2]), { frames: Array.from({ length: 300 }, () => ({ method: 1, lineNumber: -1 })) });
  if (happens(0.05)) to("jdk.types.StackTrace").set(pick([1, 2, 2 ** 53]), { frames: new LyingArray([{ method: 1 }], pick([0, 2, 1000, 2 ** 31, 2 ** 53])) });
  if (happens(0.05)) to("jdk.types.Symbol").set(pick([1, 2, 2 ** 62]), { string: { encoding: pick([3, 4, 5] as const), text: "Main", lengthSaid: pick([0, 5, 1000, 2 ** 31, 2 ** 53]) } });
  // Cycles through several types: a symbol, strings, and back; classes, their loaders and packages.
  if (happens(0.1)) {
    const length = 1 + below(8);
    for (let i = 0; i < length; i++) to("java.lang.String").set(10 + i, { encoding: 2, id: 10 + ((i + 1) % length) });
    to("jdk.types.Symbol").set(pick([1, 2, 3]), { string: { encoding: 2, id: 10 } });
    to("jdk.types.ThreadState").set(pick([1, 2]), { name: { encoding: 2, id: 10 } });
  }
  if (happens(0.1)) {
    pools.pools.set("jdk.types.ClassLoader", new Map([[1, { type: 1, name: 1 }], [2, { type: 2, name: 2 ** 40 }]]));
    to("java.lang.Class").set(pick([1, 2]), { classLoader: 1, name: 1, package: 1 });
    pools.pools.set("jdk.types.Package", new Map([[1, { name: 1 }]]));
  }
  // Pools that are empty, and pools of types that are described nowhere.
  if (happens(0.1)) pools.pools.set(pick(["jdk.types.Symbol", "java.lang.Class", "jdk.types.Method", "jdk.types.StackTrace", "jdk.types.ThreadState"]), new Map());
  if (happens(0.03)) pools.pools.set("x.Missing", new Map([[1, 1]]));
}

function damaged(whole: Uint8Array, { below, pick, happens }: Draw): Uint8Array {
  let bytes = Buffer.from(whole);
  for (let i = 1 + below(3); i > 0 && bytes.length > 0; i--) {
    const at = happens(0.1) ? below(Math.min(68, bytes.length)) : below(bytes.length);
    switch (below(6)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        bytes[at] = bytes[at]! ^ (1 << below(8));
        break;
      case 2: // a number of five or nine bytes in place of what stood there
        bytes.fill(0xff, at, Math.min(bytes.length, at + pick([4, 8])));
        break;
      case 3:
        bytes = bytes.subarray(0, at);
        break;
      case 4: {
        const length = below(40);
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      }
      default: {
        const length = below(40);
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
      }
    }
  }
  return bytes;
}

function oddLabels({ below, pick, happens }: Draw): string {
  const string = (key: number, text: string): number[] => [0x12, 4 + text.length, 0x08, key, 0x12, text.length, ...Buffer.from(text)];
  const context = (key: number, pairs: readonly (readonly [number, number])[]): number[] => {
    const body = pairs.flatMap(([name, value]) => [0x0a, 4, 0x08, name, 0x10, value]);
    return [0x0a, 4 + body.length, 0x08, key, 0x12, body.length, ...body];
  };
  const bytes = Buffer.from([...string(1, "thread_name"), ...string(2, "pool"), ...string(3, "span"), ...context(1, [[1, 2]]), ...context(2, [[1, 3], [2, pick([1, 9])]])]);
  if (happens(0.4)) bytes[below(bytes.length)] = below(256);
  return bytes.toString("latin1");
}
