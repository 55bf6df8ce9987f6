/** Decodes the bodies of answers without the product's code: into values by stack, or points by series. */
import { stackKey } from "../history/part.ts";

export type ByStack = Map<string, bigint>;

interface FlameGraphBody {
  readonly flamegraph?: { readonly names?: readonly string[]; readonly levels?: readonly { readonly values?: readonly (string | number)[] }[]; readonly total?: string | number };
}

interface Bar {
  readonly startsAt: bigint;
  readonly endsAt: bigint;
  readonly frames: readonly string[];
}

/**
 * The self values by stack, root first. A level holds four numbers for each bar: the offset from the end of the bar before, total, self, and
 * the index of the name.
 */
export function readFlameGraph(body: string): ByStack {
  const { flamegraph } = JSON.parse(body) as FlameGraphBody;
  const names = flamegraph?.names ?? [];
  const found: ByStack = new Map();
  let above: Bar[] = [];
  for (const [depth, { values = [] }] of (flamegraph?.levels ?? []).entries()) {
    const bars: Bar[] = [];
    let end = 0n;
    let parent = 0;
    for (let at = 0; at < values.length; at += 4) {
      const startsAt = end + BigInt(values[at]!);
      const total = BigInt(values[at + 1]!);
      const self = BigInt(values[at + 2]!);
      end = startsAt + total;
      let frames: readonly string[] = [];
      if (depth > 0) {
        while (parent < above.length && above[parent]!.endsAt <= startsAt) parent++;
        const over = above[parent];
        if (over === undefined || over.startsAt > startsAt || over.endsAt < end) throw new Error(`a bar of level ${depth} stands on none of the level above`);
        frames = [...over.frames, names[Number(values[at + 3]!)] ?? "?"];
      }
      bars.push({ startsAt, endsAt: end, frames });
      if (self !== 0n) add(found, stackKey(frames), self);
    }
    above = bars;
  }
  return found;
}

interface PprofBody {
  readonly sample?: readonly { readonly locationId?: readonly (string | number)[]; readonly value?: readonly (string | number)[] }[];
  readonly location?: readonly { readonly id?: string | number; readonly line?: readonly { readonly functionId?: string | number }[] }[];
  readonly function?: readonly { readonly id?: string | number; readonly name?: string | number }[];
  readonly stringTable?: readonly string[];
}

export function readPprof(body: string): ByStack {
  const profile = JSON.parse(body) as PprofBody;
  const functions = new Map<string, string>();
  for (const { id = 0, name = 0 } of profile.function ?? []) functions.set(String(id), profile.stringTable?.[Number(name)] ?? "?");
  const locations = new Map<string, string>();
  for (const { id = 0, line = [] } of profile.location ?? []) locations.set(String(id), functions.get(String(line[0]?.functionId)) ?? "?");
  const found: ByStack = new Map();
  for (const { locationId = [], value = [] } of profile.sample ?? []) {
    add(found, stackKey(locationId.map((id) => locations.get(String(id)) ?? "?").reverse()), BigInt(value[0] ?? 0));
  }
  return found;
}

interface SeriesBody {
  readonly series?: readonly { readonly labels?: readonly { readonly name?: string; readonly value?: string }[]; readonly points?: readonly { readonly value?: number; readonly timestamp?: string | number }[] }[];
}

/** The sum of each series' points, by the value of `label`. */
export function readSeries(body: string, label: string): Map<string, bigint> {
  const found = new Map<string, bigint>();
  for (const { labels = [], points = [] } of (JSON.parse(body) as SeriesBody).series ?? []) {
    const name = labels.find((one) => one.name === label)?.value ?? "";
    for (const { value = 0 } of points) add(found, name, BigInt(value));
  }
  return found;
}

export function readNames(body: string): string[] {
  return [...((JSON.parse(body) as { readonly names?: readonly string[] }).names ?? [])];
}

function add(map: Map<string, bigint>, key: string, value: bigint): void {
  map.set(key, (map.get(key) ?? 0n) + value);
}
