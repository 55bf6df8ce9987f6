/**
 * JFR recordings that are odd, each made of a seed alone: types with fields that no recorder has, ids from small to 2^52, strings in each
 * encoding, constants in several checkpoints, several chunks; and, for most seeds, damage: bytes changed, cut or repeated, ids that lead
 * nowhere, cycles, counts and sizes that are wrong. For `npm run fuzz` and tests.
 */
import { seededRandom } from "@pyromesh/base";
import { JfrPools } from "./jfr-pools.ts";
import { AGENT_TYPES, writeChunk } from "./jfr-writer.ts";
import type { EncodedText, FieldSpec, TypeSpecs, Value } from "./jfr-writer.ts";

export interface OddRecording {
  readonly seed: number;
  readonly bytes: Uint8Array;
  /** The labels part, as it is put into the form. */
  readonly labels: string | undefined;
  /** Nanoseconds of CPU by stack from the root, where nothing was damaged. */
  readonly cpu: ReadonlyMap<string, bigint> | undefined;
}

interface Draw {
  readonly below: (bound: number) => number;
  readonly pick: <T>(items: readonly T[]) => T;
  readonly happens: (share: number) => boolean;
}

const PERIOD_NS = 10_000_000n;

export function oddRecording(seed: number): OddRecording {
  const random = seededRandom(seed);
  const below = (bound: number): number => Math.floor(random.float() * bound);
  const draw: Draw = { below, pick: (items) => items[below(items.length)]!, happens: (share) => random.float() < share };
  const cpu = new Map<string, bigint>();
  const isOdd = draw.happens(0.4);
  const chunks = Array.from({ length: draw.pick([1, 1, 1, 2, 3]) }, () => oddChunk(draw, cpu, isOdd));
  const whole = Buffer.concat(chunks);
  const isDamaged = draw.happens(0.6);
  const bytes = isDamaged ? damaged(whole, draw) : whole;
  return { seed, bytes, labels: draw.happens(0.3) ? oddLabels(draw) : undefined, cpu: isOdd || isDamaged ? undefined : cpu };
}

const NAMES = ["Main.run", "a/B.f", "a/B.g", ".read", "a/App$$Lambda$4/0x1f.run", "libzstd-jni-1.5.1-7.so.x", "ünï.f", "A.\u{1f525}", "long/".repeat(40) + "Name.f"];
/** What they are folded to, where they are. */
const FOLDED = new Map([
  ["a/App$$Lambda$4/0x1f.run", "a/App$$Lambda_.run"],
  ["libzstd-jni-1.5.1-7.so.x", "libzstd-jni-_.so.x"],
]);

function oddChunk(draw: Draw, cpu: Map<string, bigint>, isOdd: boolean): Uint8Array {
  const { below, pick, happens } = draw;
  const spread = pick([1, 1, 7, 65_536 * 3, 2 ** 40]);
  const base = pick([0, 0, 1000, 2 ** 33]);
  const pools = new JfrPools((number) => base + number * spread);
  const types = oddTypes(draw, isOdd);
  const states = [pools.state("STATE_RUNNABLE"), pools.state("STATE_SLEEPING")] as const;
  const names = Array.from({ length: 1 + below(5) }, () => pick(NAMES));
  const stacks = Array.from({ length: 1 + below(6) }, () => {
    const frames = Array.from({ length: below(8) }, () => ({ name: pick(names), line: pick([0, 5, 200, 70_000, below(3_000_000)]) }));
    return { id: pools.stack(frames), text: frames.map(({ name }) => FOLDED.get(name) ?? name).reverse().join(";") };
  });
  if (isOdd) addOddConstants(draw, pools);
  const events = Array.from({ length: below(12) }, (): readonly [string, Value] => {
    const stack = pick(stacks);
    const stackTrace = isOdd && happens(0.05) ? pick([0, 999_999, 2 ** 52, -1]) : stack.id;
    const fields = { stackTrace, state: pick(states), contextId: pick([0, 0, 1, 2, 77]), spanId: pick<number | bigint>([0, 0, 5, 0xffff_ffff_ffff_ffffn]), spanName: pick([0, 3]) };
    const name = pick(["jdk.ExecutionSample", "jdk.ExecutionSample", "profiler.WallClockSample", "jdk.ObjectAllocationInNewTLAB", "jdk.ThreadPark", "profiler.LiveObject", "jdk.ActiveSetting"]);
    if (name === "jdk.ActiveSetting") return [name, { name: oddText(draw, "event", isOdd), value: oddText(draw, pick(["itimer", "cpu"]), isOdd) }];
    if (name === "jdk.ExecutionSample" && fields.state === states[0] && !isOdd) cpu.set(stack.text, (cpu.get(stack.text) ?? 0n) + PERIOD_NS);
    return [name, { ...fields, samples: below(9), tlabSize: pick([0, 4096, isOdd ? -1 : 2 ** 40]), duration: below(10_000) }];
  });
  return writeChunk({ types, pools: pools.pools, events, checkpointCount: 1 + below(3), ...(isOdd && happens(0.05) ? { firstOffset: pick([1, -1, -90, 5000]) } : {}) });
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
  if (isOdd && happens(0.1)) delete types[pick(Object.keys(types))];
  return types;
}

function addOddConstants({ pick, happens }: Draw, pools: JfrPools): void {
  const to = (type: string): Map<number, Value> => pools.pools.get(type)!;
  if (happens(0.3)) to("java.lang.String").set(1, { encoding: 2, id: 2 }).set(2, pick<EncodedText>([{ encoding: 2, id: 1 }, { encoding: 3, text: "event" }]));
  if (happens(0.1)) to("jdk.types.Method").set(pick([1, 2, 3]), { type: pick([0, 1, 99]), name: pick([0, 1, 99]) });
  if (happens(0.1)) to("java.lang.Class").set(pick([1, 2]), { name: pick([0, 98]) });
  if (happens(0.1)) to("jdk.types.Symbol").set(pick([1, 2]), { string: pick<EncodedText>([{ encoding: 2, id: 1 }, { encoding: 0 }]) });
  if (happens(0.1)) to("jdk.types.StackTrace").set(pick([1, 2]), { frames: Array.from({ length: 300 }, () => ({ method: 1, lineNumber: -1 })) });
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
