/**
 * Mends stacktraces that Go's runtime cut off. It keeps the frames next to the leaf (64 of a CPU sample, 32 of an allocation
 * before Go 1.23), so a deep stacktrace loses its root and begins somewhere in the middle; a flame graph then shows it as a
 * tree of its own. What is missing is often there in a neighbour that was a little less deep (reference 2.4):
 *
 *   root                    leaf
 *   a b c d e f g h i j k l         whole
 *         d e f g h i j k l m n     begins where the first already is: a b c belongs before it
 *               f g h i j k l ...   begins in the second: a b c d e belongs before it
 *
 * A group is the stacktraces that share their GROUP_DEPTH frames next to the root: one node of the tree at that depth. A group
 * whose first OVERLAP frames are found in another group, up to SHIFT_MAX frames deeper, is taken for the rest of a stacktrace
 * whose root the other one still has. Of several the one where they lie deepest is followed, of equals the one that came first;
 * that one may itself begin in a third.
 *
 * What must stay true: no value is touched, so totals are exact; a stacktrace only gets frames before its root; neither the
 * numbers of locations nor the order of tables decides anything.
 *
 * Bounds: a stacktrace grows by at most SHIFT_MAX * STEPS_MAX frames. Where the tree has no room for all nodes to be made (a tenth more
 * than the push has bytes, which no Go program was seen to need), all stays as it came.
 */
import type { PprofDecoder } from "./pprof-decode.ts";
import type { SampleType } from "./profile-type.ts";
import type { StacktraceWalk } from "./stacktrace-walk.ts";

/**
 * The official Go SDK, by the label that /ingest puts on what it sends. Pyroscope also guesses Go from the names of files; what
 * is mended on a guess is no longer what was sent, stacktrace by stacktrace, so here the client must say it.
 */
const GO_SPY = "gospy";

/** Frames that must agree: fewer, and recursion would look like a cut. All lengths here are Pyroscope's. */
const OVERLAP = 16;
/** So many frames one neighbour may supply. */
const SHIFT_MAX = 8;
const GROUP_DEPTH = OVERLAP + SHIFT_MAX;
/** Groups that begin in each other more often than this, or in a circle, are recursion: left as they are. */
const STEPS_MAX = 56;

const ALLOCATION_TYPES: ReadonlySet<string> = new Set(["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]);
/** The runtime cuts allocations at 32 program counters and CPU samples at 64; inlining makes some of them a few locations less. */
const ALLOCATION_DEPTH_MIN = 32 - 4;
const CPU_DEPTH_MIN = 64 - 4;
/** A deeper allocation says that this Go cuts at 128 (1.23 and later): what is 32 deep is whole. */
const ALLOCATION_DEPTH_MAX = 32;

/** Before ids become indexes, since the tree is asked for children by location id. */
export function mendGoTruncated(decoded: PprofDecoder, sampleTypes: readonly SampleType[], spyName: string): void {
  const isAllocation = sampleTypes.some(({ type }) => ALLOCATION_TYPES.has(type));
  if (!isAllocation && !sampleTypes.some(({ type }) => type === "cpu")) return;
  const { tree } = decoded;
  const depthMin = isAllocation ? ALLOCATION_DEPTH_MIN : CPU_DEPTH_MIN;
  if (tree.nodeCount <= depthMin || spyName !== GO_SPY) return;
  const depths = depthsOf(tree);
  let depthMax = 0;
  for (let node = 1; node < depths.length; node++) if (depths[node]! > depthMax) depthMax = depths[node]!;
  if (depthMax < depthMin || (isAllocation && depthMax > ALLOCATION_DEPTH_MAX)) return;
  const groups = groupsOf(tree, depths);
  findSources(tree, groups);
  if (attach(tree, groups)) move(decoded, groups, depths.length);
}

function depthsOf({ nodeCount, nodeParent }: StacktraceWalk): Uint32Array {
  const depths = new Uint32Array(nodeCount);
  for (let node = 1; node < nodeCount; node++) depths[node] = depths[nodeParent[node]!]! + 1; // parents come first
  return depths;
}

/** Columns of groups, in the order in which their first samples came. */
interface Groups {
  readonly count: number;
  /** At GROUP_DEPTH. */
  readonly node: Uint32Array;
  /** At OVERLAP, on the way there: groups with the same one begin alike. */
  readonly topNode: Uint32Array;
  /** GROUP_DEPTH locations each, from the root. */
  readonly path: Uint32Array;
  /** The group this one begins in, and by how many frames deeper; shift 0: in none. */
  readonly source: Uint32Array;
  readonly shift: Uint8Array;
  /** The node its path belongs below; 0: it stays. */
  readonly below: Uint32Array;
}

function groupsOf({ nodeParent, nodeLocation }: StacktraceWalk, depths: Uint32Array): Groups {
  const nodes: number[] = [];
  for (let node = 1; node < depths.length; node++) if (depths[node] === GROUP_DEPTH) nodes.push(node);
  const count = nodes.length;
  const topNode = new Uint32Array(count);
  const path = new Uint32Array(count * GROUP_DEPTH);
  for (let group = 0; group < count; group++) {
    let node = nodes[group]!;
    for (let depth = GROUP_DEPTH; depth > 0; depth--) {
      if (depth === OVERLAP) topNode[group] = node;
      path[group * GROUP_DEPTH + depth - 1] = nodeLocation[node]!;
      node = nodeParent[node]!;
    }
  }
  return { count, node: Uint32Array.from(nodes), topNode, path, source: new Uint32Array(count), shift: new Uint8Array(count), below: new Uint32Array(count) };
}

/** Whether OVERLAP frames of a path, some way down, are how another group begins: the tree itself is the index. */
function findSources(tree: StacktraceWalk, { count, topNode, path, source, shift }: Groups): void {
  const found = new Map<number, { group: number; shift: number }>();
  for (let group = 0; group < count; group++) {
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
  for (let group = 0; group < count; group++) {
    const known = found.get(topNode[group]!);
    // A group that is found in itself recurses; nobody knows more of it.
    if (known === undefined || known.group === group) continue;
    source[group] = known.group;
    shift[group] = known.shift;
  }
}

/** States of a group; from WHOLE on: WHOLE + the steps from it to the group that begins in none. */
const UNKNOWN = 0;
const VISITED = 1;
const RECURSIVE = 2;
const WHOLE = 3;

/** Fills `below`; false where nothing is to be moved, or there is no room. */
function attach(tree: StacktraceWalk, { count, path, source, shift, below }: Groups): boolean {
  const state = new Uint8Array(count);
  const way: number[] = [];
  let isAnyMoved = false;
  for (let group = 0; group < count; group++) {
    way.length = 0;
    let end = group;
    while (state[end] === UNKNOWN && shift[end] !== 0) {
      state[end] = VISITED;
      way.push(end);
      end = source[end]!;
    }
    if (state[end] === UNKNOWN) state[end] = WHOLE;
    for (let before = way.pop(); before !== undefined; end = before, before = way.pop()) {
      // VISITED here means that the way led into itself.
      if (state[end] === VISITED || state[end] === RECURSIVE || state[end]! >= WHOLE + STEPS_MAX) {
        state[before] = RECURSIVE;
        continue;
      }
      state[before] = state[end]! + 1;
      let node = below[end]!;
      for (let i = 0; i < shift[before]!; i++) {
        node = tree.childAt(node, path[end * GROUP_DEPTH + i]!);
        if (node === 0) return false;
      }
      below[before] = node;
      isAnyMoved = true;
    }
  }
  return isAnyMoved;
}

/** Puts groups, with all that grows on them, where they belong. What stood there before is left without samples; so is what was made where there is no room for all. */
function move(decoded: PprofDecoder, { count, node, path, below }: Groups, oldNodeCount: number): void {
  const { tree, sampleCount, sampleNode } = decoded;
  const moved = new Uint32Array(oldNodeCount);
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
