/**
 * Repairs stacktraces that Go's runtime cut off. It keeps the frames next to the leaf (64 of a CPU sample, 32 of an allocation
 * before Go 1.23), so a deep stacktrace loses its root and begins somewhere in the middle; a flame graph then shows it as a
 * tree of its own. The missing frames are often in a neighbour that was a little less deep:
 *
 *   root                    leaf
 *   a b c d e f g h i j k l         whole
 *         d e f g h i j k l m n     begins where the first already is: a b c belongs before it
 *               f g h i j k l ...   begins in the second: a b c d e belongs before it
 *
 * A group is the stacktraces that share their GROUP_DEPTH frames next to the root: one node of the tree at that depth. A group
 * whose first OVERLAP frames are found in another group, up to SHIFT_MAX frames deeper, is taken for the rest of a stacktrace
 * whose root the other one still has. Of several the one where they lie deepest is followed, of equals the first in the order of
 * groups (`groupsOf`); that one may itself begin in a third, and so on to the last, whose first stacktrace has what is missing.
 *
 * All of it is Pyroscope's rule, so that the same stacktraces come out. It skips the last group in its order, and does
 * nothing where the stacktrace that should supply the frames is no longer than what is missing. Its order goes by the numbers of locations, and where type parameters
 * were taken out of names (fix-go.ts), locations that are equal afterwards are one. One thing differs: in Pyroscope a group that leads into
 * itself ends the repair of all groups after it; here only recursive groups are left alone.
 *
 * What must stay true: no value is touched, so totals are exact; a stacktrace only gets frames before its root; the numbers of
 * locations decide nothing but the order of groups.
 *
 * Bounds: a stacktrace grows by less than the length of another one of the push. Where the tree has no room for the new nodes (a tenth more
 * than the push has bytes, which no Go program was seen to need), every stacktrace stays as it came.
 */
import { equalLocations } from "./equal-locations.ts";
import type { PprofDecoder } from "../pprof/pprof-decode.ts";
import { isGoProfile } from "./profile-language.ts";
import type { SampleType } from "../labels/profile-type.ts";
import { cleared, grown } from "../model/scratch.ts";
import type { StacktraceWalk } from "../pprof/stacktrace-walk.ts";

/** Frames that must agree. With fewer, recursion would look like a cut. All lengths here are Pyroscope's. */
const OVERLAP = 16;
/** Frames that one neighbour may supply at most. */
const SHIFT_MAX = 8;
const GROUP_DEPTH = OVERLAP + SHIFT_MAX;
/** Groups that begin in each other more often than this, or in a circle, are recursion, and stay as they are. */
const STEPS_MAX = 56;

const ALLOCATION_TYPES: ReadonlySet<string> = new Set(["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]);
/** The runtime cuts allocations at 32 program counters and CPU samples at 64; inlining makes some of them a few locations less. */
const ALLOCATION_DEPTH_MIN = 32 - 4;
const CPU_DEPTH_MIN = 64 - 4;
/** An allocation deeper than this shows that this Go cuts at 128 (1.23 and later), so that stacktraces of 32 frames are whole. */
const ALLOCATION_DEPTH_MAX = 32;

// By node and by group. Used again for each push: one at a time is repaired.
let depthScratch = new Uint32Array(1 << 10);
let groupScratch = new Uint32Array(1 << 10);
let movedScratch = new Uint32Array(1 << 10);
let keyScratch = new Uint32Array(1 << 10);

/** Frees that memory, after a push far larger than most. */
export function releaseGoScratch(): void {
  depthScratch = groupScratch = movedScratch = keyScratch = new Uint32Array(0);
}

export interface GoFacts {
  /** What the client calls itself (`pyroscope_spy`). */
  readonly spyName: string;
  /** Strings that were made by taking type parameters out of names. */
  readonly collapsedNames: ReadonlySet<number>;
}

/** To be called before ids are replaced by indexes, since the tree finds children by location id. */
export function repairGoTruncated(decoded: PprofDecoder, sampleTypes: readonly SampleType[], { spyName, collapsedNames }: GoFacts): void {
  const isAllocation = sampleTypes.some(({ type }) => ALLOCATION_TYPES.has(type));
  if (!isAllocation && !sampleTypes.some(({ type }) => type === "cpu")) return;
  const { tree } = decoded;
  const depthMin = isAllocation ? ALLOCATION_DEPTH_MIN : CPU_DEPTH_MIN;
  if (tree.nodeCount <= depthMin) return;
  const depthMax = measureDepths(tree);
  if (depthMax < depthMin || (isAllocation && depthMax > ALLOCATION_DEPTH_MAX) || !isGoProfile(decoded, spyName)) return;
  const equal = collapsedNames.size === 0 ? undefined : equalLocations(decoded, collapsedNames);
  let isGone: Uint8Array | undefined;
  if (equal !== undefined && equal.sameAs.size > 0) {
    isGone = moveToEqualLocations(decoded, equal.sameAs);
    if (isGone === undefined) return;
    measureDepths(tree);
  }
  const { nodeCount } = tree;
  const groups = groupsOf(decoded, nodeCount, isGone, equal?.orderOf);
  findSources(tree, groups);
  if (findNewParents(tree, groups)) moveGroups(decoded, groups, nodeCount);
}

/** Writes the depth of each node into `depthScratch`; returns the greatest. */
function measureDepths({ nodeCount, nodeParent }: StacktraceWalk): number {
  const depths = (depthScratch = grown(depthScratch, nodeCount));
  depths[0] = 0;
  let depthMax = 0;
  for (let node = 1; node < nodeCount; node++) {
    const depth = depths[nodeParent[node]!]! + 1; // parents come first
    depths[node] = depth;
    if (depth > depthMax) depthMax = depth;
  }
  return depthMax;
}

/** Moves samples to where their stacktraces lie once equal locations are one. Returns 1 for each node that no sample uses any more; undefined where there was no room, and nothing was moved. */
function moveToEqualLocations({ tree, sampleCount, sampleNode }: PprofDecoder, sameAs: ReadonlyMap<number, number>): Uint8Array | undefined {
  const { nodeCount, nodeParent, nodeLocation } = tree;
  const moved = (movedScratch = cleared(movedScratch, nodeCount));
  const isGone = new Uint8Array(nodeCount);
  for (let node = 1; node < nodeCount; node++) {
    const parent = moved[nodeParent[node]!]!;
    const location = sameAs.get(nodeLocation[node]!) ?? nodeLocation[node]!;
    if (parent === nodeParent[node] && location === nodeLocation[node]) {
      moved[node] = node;
      continue;
    }
    isGone[node] = 1;
    moved[node] = tree.childAt(parent, location);
    if (moved[node] === 0) return undefined;
  }
  for (let i = 0; i < sampleCount; i++) sampleNode[i] = moved[sampleNode[i]!]!;
  return isGone;
}

/** Columns of groups, in Pyroscope's order: `groupsOf`. */
interface Groups {
  readonly count: number;
  /** How many of them are compared, from the first on: all but the last. */
  readonly usedCount: number;
  /** The group's node at GROUP_DEPTH. */
  readonly node: Uint32Array;
  /** Its ancestor at depth OVERLAP: groups that share it begin alike. */
  readonly topNode: Uint32Array;
  /** GROUP_DEPTH locations each, from the root. */
  readonly path: Uint32Array;
  /** The leaf of its first sample. */
  readonly firstLeaf: Uint32Array;
  /** The group in which this one begins, and by how many frames deeper; shift 0: in none. */
  readonly source: Uint32Array;
  readonly shift: Uint8Array;
  /** The node below which its path belongs; 0: it stays. */
  readonly below: Uint32Array;
}

/**
 * Pyroscope sorts groups by the bytes of their location numbers, eight each and the least first, from the frame at GROUP_DEPTH to the
 * root. That is the order of whole numbers with their bytes reversed. `isGone`: nodes to leave out; `orderOf`: the number of each location id.
 */
function groupsOf({ tree, sampleCount, sampleNode }: PprofDecoder, nodeCount: number, isGone: Uint8Array | undefined, orderOf: ((id: number) => number) | undefined): Groups {
  const { nodeParent, nodeLocation } = tree;
  const depths = depthScratch;
  const nodes: number[] = [];
  for (let node = 1; node < nodeCount; node++) if (depths[node] === GROUP_DEPTH && isGone?.[node] !== 1) nodes.push(node);
  const keys = (keyScratch = grown(keyScratch, nodes.length * GROUP_DEPTH));
  for (let found = 0, at = 0; found < nodes.length; found++) {
    for (let node = nodes[found]!; node !== 0; node = nodeParent[node]!) keys[at++] = turned(orderOf === undefined ? nodeLocation[node]! : orderOf(nodeLocation[node]!));
  }
  const order = nodes.map((_, found) => found).sort((a, b) => compareKeys(keys, a * GROUP_DEPTH, b * GROUP_DEPTH));
  const count = nodes.length;
  const topNode = new Uint32Array(count);
  const path = new Uint32Array(count * GROUP_DEPTH);
  // By node: its group, plus 1; 0 above GROUP_DEPTH.
  const groupOf = (groupScratch = cleared(groupScratch, nodeCount));
  for (let group = 0; group < count; group++) {
    let node = nodes[order[group]!]!;
    groupOf[node] = group + 1;
    for (let depth = GROUP_DEPTH; depth > 0; depth--) {
      if (depth === OVERLAP) topNode[group] = node;
      path[group * GROUP_DEPTH + depth - 1] = nodeLocation[node]!;
      node = nodeParent[node]!;
    }
  }
  for (let node = 1; node < nodeCount; node++) if (depths[node]! > GROUP_DEPTH) groupOf[node] = groupOf[nodeParent[node]!]!;
  const firstLeaf = new Uint32Array(count);
  let otherSampleCount = 0;
  for (let i = 0; i < sampleCount; i++) {
    const group = groupOf[sampleNode[i]!]! - 1;
    if (group < 0) continue;
    if (firstLeaf[group] === 0) firstLeaf[group] = sampleNode[i]!;
    if (group < count - 1) otherSampleCount++;
  }
  return {
    count,
    // Pyroscope counts the last group's samples from the wrong end, and so finds one only where all other groups have one each.
    usedCount: otherSampleCount > count - 1 ? count - 1 : count,
    node: Uint32Array.from(order, (found) => nodes[found]!),
    topNode,
    path,
    firstLeaf,
    source: new Uint32Array(count),
    shift: new Uint8Array(count),
    below: new Uint32Array(count),
  };
}

/** The number with its four bytes reversed. */
function turned(number: number): number {
  return ((number << 24) | ((number << 8) & 0xff_0000) | ((number >>> 8) & 0xff00) | (number >>> 24)) >>> 0;
}

function compareKeys(keys: Uint32Array, a: number, b: number): number {
  for (let i = 0; i < GROUP_DEPTH; i++) if (keys[a + i] !== keys[b + i]) return keys[a + i]! < keys[b + i]! ? -1 : 1;
  return 0;
}

/** Fills `source` and `shift`: for each group, the group in which its first OVERLAP frames lie deepest. The tree itself is the index. */
function findSources(tree: StacktraceWalk, { usedCount, topNode, path, source, shift }: Groups): void {
  const found = new Map<number, { group: number; shift: number }>();
  for (let group = 0; group < usedCount; group++) {
    for (let by = 1; by <= SHIFT_MAX; by++) {
      const from = group * GROUP_DEPTH + by;
      let node = 0;
      let at = from;
      while (at < from + OVERLAP && (node = tree.findChild(node, path[at]!)) !== 0) at++;
      if (node === 0) continue;
      const known = found.get(node);
      if (known === undefined) found.set(node, { group, shift: by });
      else if (by > known.shift) {
        known.group = group;
        known.shift = by;
      }
    }
  }
  for (let group = 0; group < usedCount; group++) {
    const known = found.get(topNode[group]!);
    // A group that is found in itself is recursion: what is missing is not known.
    if (known === undefined || known.group === group) continue;
    source[group] = known.group;
    shift[group] = known.shift;
  }
}

/** States of a group. From WHOLE on: WHOLE plus the number of steps to the group that begins in no other. */
const UNKNOWN = 0;
const VISITED = 1;
const RECURSIVE = 2;
const WHOLE = 3;

/** Fills `below`. Returns false where nothing is to be moved. */
function findNewParents({ nodeParent }: StacktraceWalk, { usedCount, source, shift, firstLeaf, below }: Groups): boolean {
  const state = new Uint8Array(usedCount);
  /** The group at the end of the chain, which begins in no other, and by how many frames below its root this one begins. */
  const last = Uint32Array.from({ length: usedCount }, (_, group) => group);
  const missing = new Uint32Array(usedCount);
  const way: number[] = [];
  let isAnyMoved = false;
  for (let group = 0; group < usedCount; group++) {
    way.length = 0;
    let end = group;
    while (state[end] === UNKNOWN && shift[end] !== 0) {
      state[end] = VISITED;
      way.push(end);
      end = source[end]!;
    }
    if (state[end] === UNKNOWN) state[end] = WHOLE;
    for (let before = way.pop(); before !== undefined; end = before, before = way.pop()) {
      // VISITED here means that the chain is a circle.
      if (state[end] === VISITED || state[end] === RECURSIVE || state[end]! >= WHOLE + STEPS_MAX) {
        state[before] = RECURSIVE;
        continue;
      }
      state[before] = state[end]! + 1;
      const reference = (last[before] = last[end]!);
      const missingCount = (missing[before] = missing[end]! + shift[before]!);
      let node = firstLeaf[reference]!;
      let depth = depthScratch[node]!;
      if (missingCount >= depth) continue;
      for (; depth > missingCount; depth--) node = nodeParent[node]!;
      below[before] = node;
      isAnyMoved = true;
    }
  }
  return isAnyMoved;
}

/** Moves groups, with everything below them, to where they belong. The old nodes have no samples any more; neither have new ones where the room did not suffice. */
function moveGroups(decoded: PprofDecoder, { count, node, path, below }: Groups, oldNodeCount: number): void {
  const { tree, sampleCount, sampleNode } = decoded;
  const moved = (movedScratch = cleared(movedScratch, oldNodeCount));
  for (let group = 0; group < count; group++) {
    let to = below[group]!;
    if (to === 0) continue;
    for (let i = 0; i < GROUP_DEPTH; i++) {
      to = tree.childAt(to, path[group * GROUP_DEPTH + i]!);
      if (to === 0) return;
    }
    moved[node[group]!] = to;
  }
  for (let old = 1; old < oldNodeCount; old++) {
    const parent = moved[tree.nodeParent[old]!]!;
    if (parent === 0) continue;
    const copy = tree.childAt(parent, tree.nodeLocation[old]!);
    if (copy === 0) return;
    moved[old] = copy;
  }
  for (let i = 0; i < sampleCount; i++) sampleNode[i] = moved[sampleNode[i]!]! || sampleNode[i]!;
}
