/**
 * What repairing does to Go's cut stacktraces, told the slow and plain way (fix-go-truncated.ts does it on a tree). For tests.
 * Stacktraces are lists of location ids from the root, one for each sample, in their order.
 */

import type { Profile } from "pprof-format";

/** Which locations come before the root of each of these stacktraces of a Go profile. */
export function goPrefixesOf(profile: Profile, stacks: readonly (readonly string[])[]): string[][] {
  const merged = mergedLocations(profile);
  const types = profile.sampleType.map(({ type }) => profile.stringTable.strings[Number(type)] ?? "");
  if (merged === undefined) return goPrefixes(stacks, types);
  const numbered = stacks.map((stack) => stack.map((id) => String(merged.numbers.get(BigInt(id)) ?? 0)));
  return goPrefixes(numbered, types).map((prefix) => prefix.map((number) => String(merged.ids[Number(number) - 1] ?? 0)));
}

/** The same by location ids alone. `types` says whether the profile is one to repair. */
function goPrefixes(stacks: readonly (readonly string[])[], types: readonly string[]): string[][] {
  const isAllocation = types.some((type) => ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"].includes(type));
  const deepest = stacks.reduce((depth, stack) => Math.max(depth, stack.length), 0);
  const isDeep = isAllocation ? deepest >= 28 && deepest <= 32 : types.includes("cpu") && deepest >= 60;
  return isDeep ? prefixesOf(stacks) : stacks.map(() => []);
}

interface Group {
  readonly key: string;
  readonly path: readonly string[];
  /** Of all its stacktraces, in order. */
  readonly stacks: (readonly string[])[];
}

interface Link {
  readonly to: Group;
  readonly shift: number;
}

function prefixesOf(stacks: readonly (readonly string[])[]): string[][] {
  const byKey = new Map<string, Group>();
  for (const stack of stacks) {
    if (stack.length < 24) continue;
    const key = keyOf(stack, 0, 24);
    const group = byKey.get(key) ?? { key, path: stack.slice(0, 24), stacks: [] };
    byKey.set(key, group);
    group.stacks.push(stack);
  }
  const groups = [...byKey.values()]
    .map((group) => ({ group, at: sortKey(group.path) }))
    .sort((a, b) => Buffer.compare(a.at, b.at))
    .map(({ group }) => group);
  // The last one is passed over, unless all others have one stacktrace each.
  const isAnyOtherLarger = groups.slice(0, -1).some((group) => group.stacks.length > 1);
  const used = new Set(isAnyOtherLarger ? groups.slice(0, -1) : groups);
  // For each run of 16 frames the group in which it lies deepest, and how deep it lies there.
  const deepest = new Map<string, Link>();
  for (let shift = 8; shift >= 1; shift--) {
    for (const group of used) {
      const start = keyOf(group.path, shift, shift + 16);
      if (!deepest.has(start)) deepest.set(start, { to: group, shift });
    }
  }
  const links = new Map<Group, Link>();
  for (const group of used) {
    const link = deepest.get(keyOf(group.path, 0, 16));
    if (link !== undefined && link.to !== group) links.set(group, link);
  }
  return stacks.map((stack) => {
    if (stack.length < 24) return [];
    let missing = 0;
    let steps = 0;
    let last = byKey.get(keyOf(stack, 0, 24))!; // every stacktrace so long was put into one
    for (let link = links.get(last); link !== undefined; link = links.get(last)) {
      if (++steps > 56) return [];
      missing += link.shift;
      last = link.to;
    }
    const reference = last.stacks[0]!;
    return missing < reference.length ? reference.slice(0, missing) : [];
  });
}

function keyOf(stack: readonly string[], from: number, to: number): string {
  return stack.slice(from, to).join(" ");
}

/** Eight bytes a location, the least first, from the leaf's side to the root. */
function sortKey(path: readonly string[]): Buffer {
  return Buffer.concat(
    [...path].reverse().map((id) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(id));
      return bytes;
    }),
  );
}

/** Where names have type parameters, locations that are alike without them are one: the number of each by id, from 1, and an id by number. */
function mergedLocations(profile: Profile): { readonly numbers: ReadonlyMap<bigint, number>; readonly ids: readonly bigint[] } | undefined {
  const { strings } = profile.stringTable;
  const bare = (index: unknown): string => (strings[Number(index)] ?? "").replace(/\[go\.shape\..*\]/, "");
  if (!strings.some((text) => /\[go\.shape\..*\]/.test(text))) return undefined;
  const functions = new Map(profile.function.map((called) => [BigInt(called.id), [bare(called.name), bare(called.systemName), bare(called.filename), called.startLine].join("\n")]));
  const numbers = new Map<bigint, number>();
  const ids: bigint[] = [];
  const byKey = new Map<string, number>();
  for (const { id, mappingId, address, line } of profile.location) {
    const key = [mappingId, address, ...line.map((one) => `${functions.get(BigInt(one.functionId))} ${one.line}`)].join("\n");
    if (!byKey.has(key)) byKey.set(key, ids.push(BigInt(id)));
    numbers.set(BigInt(id), byKey.get(key)!); // set just above
  }
  return { numbers, ids };
}
