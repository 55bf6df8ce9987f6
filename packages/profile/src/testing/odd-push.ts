/**
 * Pushes that are odd, each made of a seed alone: pprof whose tables disagree, stacktraces that are empty, deep or cut, names that are
 * empty, generic or no UTF-8, labels sent twice, bytes that were changed; and folded texts of the same kind. For `npm run fuzz` and tests.
 */
import { Function as PprofFunction, Label as PprofLabel, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from "pprof-format";
import type { FoldedText } from "../text/folded.ts";
import { profileOfAppName } from "../text/folded.ts";
import type { Label } from "../labels/labels.ts";
import { drawOf } from "./draw.ts";
import type { Draw } from "./draw.ts";

export interface OddPush {
  readonly seed: number;
  readonly labels: readonly Label[];
  readonly bytes: Uint8Array;
  /** Undefined: the bytes are a pprof. */
  readonly folded: FoldedText | undefined;
}

const NOW_NS = 1_700_000_000_000_000_000n;

export function oddPush(seed: number): OddPush {
  const draw = drawOf(seed);
  const labels: Label[] = [
    { name: "__name__", value: "process_cpu" },
    { name: "service_name", value: "shop" },
  ];
  if (draw.happens(0.3)) labels.push({ name: "pod", value: "a" }, { name: "pod", value: draw.pick(["a", "a", "b"]) });
  if (draw.happens(0.3)) labels.push({ name: "pyroscope_spy", value: draw.pick(["gospy", "unknown", "pyspy"]) });
  if (draw.happens(0.4)) {
    const mode = draw.pick(["groups", "groups", "lines"] as const);
    return { seed, labels, bytes: oddText(draw), folded: { mode, profile: profileOfAppName("alloc_space", 0), isForm: draw.happens(0.2) } };
  }
  const pprof = oddPprof(draw);
  return { seed, labels, bytes: draw.happens(0.3) ? damaged(pprof, draw) : pprof, folded: undefined };
}

const NAMES = ["main", "main.go", "", "work", "other", "total", "[no stacktrace]", "ünï", "m[go.shape.int].f", "m[go.shape.string].f", "m.f", "m[go.shape.int", "a b 1", "\u{1f525}"];
const FILES = ["", "main.go", "/usr/local/go/src/x.go", "lib.py", "a.c"];

function oddPprof(draw: Draw): Uint8Array {
  const { below, pick, happens } = draw;
  const strings = new StringTable();
  const s = (text: string): number => strings.dedup(text);
  const types = pick([["cpu"], ["cpu", "samples"], ["inuse_space"], ["alloc_objects", "alloc_space"], ["delay"], ["x-y"]]);
  const isDeep = happens(0.25);
  const nameCount = pick([2, 5, isDeep ? 120 : 20]);
  const functionCount = nameCount + below(3);
  const locationCount = functionCount + below(6);
  const spread = happens(0.2) ? 1_000_003 : 1; // ids far apart
  const id = (number: number): number => number * spread;
  const name = (at: number): string => (isDeep && at > 3 ? `f${at}` : pick(NAMES));
  const stack = (): number[] => {
    if (happens(0.1)) return [];
    const depth = isDeep ? 20 + below(types[0] === "cpu" ? 60 : 13) : below(8);
    // Neighbours share what is next to their roots, as the stacktraces of one program do.
    const from = below(12);
    return Array.from({ length: depth }, (_, i) => id(1 + (isDeep ? (from + i) % locationCount : below(locationCount + (happens(0.02) ? 3 : 0))))).reverse();
  };
  const label = (): PprofLabel => {
    if (happens(0.1)) return new PprofLabel({ key: s("bytes"), num: below(100) });
    const [key, text] = [pick(["env", "env", "span_id", "trace_id", "", "__type__", "pod"]), pick(["", "x", "y", "00000000000000a1", "ünï"])];
    // pprof-format counts a label without anything as no bytes, and writes two.
    return new PprofLabel({ key: s(key), str: s(key === "" && text === "" ? "x" : text) });
  };
  const value = (): number => (happens(0.1) ? 0 : happens(0.03) ? -1 - below(9) : below(pick([5, 1000, 2 ** 40])));
  const profile = new Profile({
    sampleType: types.map((type) => new ValueType({ type: s(type), unit: s("count") })),
    sample: Array.from({ length: 1 + below(isDeep ? 30 : 12) }, () =>
      new Sample({ locationId: stack(), value: types.map(value), label: happens(0.3) ? Array.from({ length: 1 + below(3) }, label) : [] }),
    ),
    mapping: Array.from({ length: below(3) }, (_, i) => new Mapping({ id: i + 1, filename: s(pick(["", "/lib/library.so", "a.exe"])), buildId: s(pick(["", "ab12"])), hasFunctions: happens(0.3) })),
    location: Array.from({ length: locationCount }, (_, i) =>
      new Location({
        id: id(i + 1),
        address: pick([0, 4096 + below(3), 2 ** 40]),
        mappingId: below(4),
        line: Array.from({ length: happens(0.15) ? below(3) : 1 }, () => new Line({ functionId: id(1 + (isDeep ? i % functionCount : below(functionCount + (happens(0.02) ? 2 : 0)))), line: below(9) - 1 })),
      }),
    ),
    function: Array.from({ length: functionCount }, (_, i) => new PprofFunction({ id: id(i + 1), name: s(name(i)), systemName: s(pick(NAMES)), filename: s(pick(FILES)), startLine: below(5) })),
    stringTable: strings,
    timeNanos: happens(0.1) ? 0 : NOW_NS + BigInt(below(1000)),
    durationNanos: pick([0n, 10_000_000_000n]),
    periodType: new ValueType({ type: s("cpu"), unit: s("count") }),
    period: pick([0, 1, 10_000_000]),
  });
  return profile.encode();
}

/** Bytes changed, cut, put in, or the whole sent twice. */
function damaged(bytes: Uint8Array, { below, pick }: Draw): Uint8Array {
  const copy = Uint8Array.from(bytes);
  switch (below(4)) {
    case 0:
      for (let count = 1 + below(3); count > 0; count--) copy[below(copy.length)] = below(256);
      return copy;
    case 1:
      return copy.subarray(0, below(copy.length));
    case 2:
      return Buffer.concat([copy, pick([copy, Uint8Array.of(0x32, 2, 0xff, 0xfe), Uint8Array.of(0x7a, 1, 0), Uint8Array.of(0x48, 0xff)])]);
    default: {
      const at = below(copy.length);
      return Buffer.concat([copy.subarray(0, at), Uint8Array.of(below(256)), copy.subarray(at)]);
    }
  }
}

const FRAMES = ["main", "main", "a", "b 2", "", " ", "lambda$1", "x1", "#private", "ünï", "0x4f", "2nd pass", "\u{1f525}", "tab\tbed"];

function oddText(draw: Draw): Uint8Array {
  const { below, pick, happens } = draw;
  const line = (): string => {
    if (happens(0.04)) return pick(["", "  \t ", "# event: cpu", " #", "#a;b 5"]);
    if (happens(0.02)) return pick(["garbage", "main;a", "a 1.5", "12", "a 1a", "a 99999999999999999999"]);
    const stack = Array.from({ length: 1 + below(4) }, () => pick(FRAMES)).join(";");
    return `${stack}${pick([" ", " ", " ", "\t", " \t "])}${pick(["", "", "+", "-"])}${below(pick([3, 100, 2 ** 45]))}${pick(["", "", " ", "\t"])}`;
  };
  const lineEnd = pick(["\n", "\n", "\r\n", ""]); // none: as curl -d sends a file
  const text = Array.from({ length: below(12) }, line).join(lineEnd) + (happens(0.7) ? lineEnd : "");
  const bytes = Uint8Array.from(Buffer.from(text));
  return happens(0.08) && bytes.length > 0 ? damaged(bytes, draw) : bytes;
}
