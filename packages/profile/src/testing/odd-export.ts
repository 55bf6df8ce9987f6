/**
 * OTLP exports that are odd, each made of a seed alone, in any version: references that lead nowhere, values and timestamps that disagree, several
 * services in one profile, lists that are not packed or in pieces, empty tables, and bytes that were changed. For `npm run fuzz` and tests.
 */
import { drawOf } from "./draw.ts";
import type { ExportModel, ModelProfile, ModelSample, OtlpVersion } from "./otlp-export.ts";
import { OTLP_VERSIONS, otlpExport } from "./otlp-export.ts";

export interface OddExport {
  readonly seed: number;
  readonly version: OtlpVersion;
  readonly bytes: Uint8Array;
  /** What the values of each profile's samples make, by the model: undefined where the bytes were changed, or a profile must be refused. */
  readonly sums: readonly bigint[] | undefined;
}

const TIME_NS = 1_700_000_000_000_000_000n;

export function oddExport(seed: number): OddExport {
  const { below, happens, pick } = drawOf(seed);
  const index = (count: number): number => (happens(0.002) ? count + below(300) : below(count));
  let isWhole = true;
  const reference = (count: number): number => {
    const found = index(count);
    if (found >= count) isWhole = false;
    return found;
  };

  const attributes = [{ key: "", value: "" }, ...Array.from({ length: below(8) }, () => ({ key: pick(["thread.name", "service.name", "cpu", "ünï", "process.executable.build_id.gnu"]), value: pick(["a", "b", 7, true, ["x"], ["x", "y"], [[["deep"]]]]) }))];
  const someAttributes = (): number[] => (attributes.length === 1 || happens(0.5) ? [] : Array.from({ length: 1 + below(3) }, () => Math.max(1, reference(attributes.length))));
  const mappings = [{ filename: "" }, ...Array.from({ length: below(3) }, () => ({ filename: pick(["libc.so", "shop"]), start: below(9), attributes: someAttributes() }))];
  const functions = [{ name: "" }, ...Array.from({ length: 1 + below(5) }, (_, i) => ({ name: pick(["main", "work", "ünï", `f${i}`]), filename: pick(["", "a.go"]) }))];
  const locations = [{}, ...Array.from({ length: 1 + below(6) }, () => ({ mapping: reference(mappings.length), address: pick([0, 4096 + below(4)]), lines: Array.from({ length: below(3) }, () => [Math.max(1, reference(functions.length)), below(9)] as const) }))];
  const stacks = [[], ...Array.from({ length: 1 + below(5) }, () => Array.from({ length: below(pick([4, 40])) }, () => Math.max(1, reference(locations.length))))];
  const links = [{ trace: new Uint8Array(0), span: new Uint8Array(0) }, { trace: Uint8Array.from({ length: 16 }, () => 1 + below(255)), span: Uint8Array.from({ length: pick([8, 8, 3]) }, () => below(256)) }];
  const sums: bigint[] = [];
  const version = pick(OTLP_VERSIONS);
  // No sender has such lists beside timestamps.
  const unpacked = happens(0.7) ? [] : pick(version === "1.7" ? ([["values", "attributes"], ["attributes"]] as const) : ([["values", "attributes"]] as const));

  const sample = (shape: number): ModelSample => {
    const count = 1 + below(4);
    const values = shape === 2 ? [] : Array.from({ length: shape === 0 ? 1 : count }, () => pick([1, below(1000), 2 ** 40 + below(9)]));
    const timestamps = shape === 0 ? [] : Array.from({ length: count }, () => TIME_NS + BigInt(below(1000)));
    const total = values.length === 0 ? BigInt(timestamps.length) : values.reduce((sum, value) => sum + BigInt(value), 0n);
    sums[sums.length - 1]! += total;
    return { stack: Math.max(1, reference(stacks.length)), values, timestamps, attributes: someAttributes(), ...(happens(0.3) ? { link: 1 } : {}) };
  };
  const profile = (): ModelProfile => {
    sums.push(0n);
    const shape = unpacked.length > 0 ? 0 : below(3);
    return { type: pick([["events", "count"], ["alloc_space", "bytes"]] as const), timeNs: TIME_NS, ...(happens(0.5) ? { periodType: ["cpu", "nanoseconds"] as const, period: 1 + below(9) } : {}), samples: Array.from({ length: 1 + below(6) }, () => sample(shape)) };
  };
  const model: ExportModel = {
    mappings,
    functions,
    locations,
    stacks,
    links,
    attributes,
    resources: Array.from({ length: 1 + below(3) }, () => ({ attributes: happens(0.5) ? { "service.name": pick(["shop", "cart"]), pod: below(3) } : {}, profiles: Array.from({ length: 1 + below(3) }, profile) })),
  };
  const bytes = otlpExport(model, version, unpacked, happens(0.1));
  if (!happens(0.4)) return { seed, version, bytes, sums: isWhole ? sums : undefined };
  return { seed, version, bytes: damaged(bytes, below), sums: undefined };
}

function damaged(bytes: Uint8Array, below: (bound: number) => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  switch (below(3)) {
    case 0:
      for (let count = 1 + below(4); count > 0; count--) copy[below(copy.length)] = below(256);
      return copy;
    case 1:
      return copy.subarray(0, below(copy.length));
    default: {
      const at = below(copy.length);
      return new Uint8Array(Buffer.concat([copy.subarray(0, at), Uint8Array.of(below(256)), copy.subarray(at)]));
    }
  }
}
