/**
 * A flame graph as absolute boxes, in typed arrays. Pyroscope sends levels of deltas; a layout has every box's start,
 * so that drawing, searching and hit testing need no walk.
 *
 *     level 0   0 [ total ............................ ]
 *     level 1   1 [ main ................ ][ 2 gc .... ]
 *     level 2        3 [ parse ][ 4 render ]
 *
 * What must stay true: boxes are numbered level by level and, within a level, by start; so the boxes of a level and the
 * children of a box are each one run of numbers, and a level can be searched by halving. Box 0 is the root. A box lies
 * within its parent. Boxes of no width are left out.
 *
 * Values are int64 on the wire and float64 here: above 2^53 the last digits are lost, which no pixel shows.
 */
export interface FlameGraph {
  readonly names: readonly string[];
  /** Chunks of 4: distance from the end of the box before, total, self, name index. */
  readonly levels: readonly (readonly number[])[];
}

export interface FlameGraphLayout {
  readonly names: readonly string[];
  readonly boxCount: number;
  readonly levelCount: number;
  /** The first box of each level, and the number of boxes at the end. */
  readonly levelStart: Uint32Array;
  readonly level: Uint32Array;
  readonly start: Float64Array;
  readonly total: Float64Array;
  readonly self: Float64Array;
  readonly name: Uint32Array;
  /** -1 for the root. */
  readonly parent: Int32Array;
  readonly childStart: Uint32Array;
  readonly childCount: Uint32Array;
}

/** Throws an Error that names the level which cannot be read. */
export function layOutFlameGraph(graph: FlameGraph): FlameGraphLayout {
  const boxCountMax = graph.levels.reduce((sum, values) => sum + Math.floor(values.length / 4), 0);
  const level = new Uint32Array(boxCountMax);
  const start = new Float64Array(boxCountMax);
  const total = new Float64Array(boxCountMax);
  const self = new Float64Array(boxCountMax);
  const name = new Uint32Array(boxCountMax);
  const parent = new Int32Array(boxCountMax).fill(-1);
  const childStart = new Uint32Array(boxCountMax);
  const childCount = new Uint32Array(boxCountMax);
  const levelStart: number[] = [];
  let box = 0;
  for (const [levelIndex, values] of graph.levels.entries()) {
    if (values.length % 4 !== 0) throw new Error(`level ${levelIndex} of the flame graph has ${values.length} numbers, not a multiple of 4`);
    const first = box;
    const above = levelStart.at(-1) ?? 0;
    let candidate = above;
    let end = 0;
    for (let at = 0; at < values.length; at += 4) {
      const boxStart = end + values[at]!;
      const boxTotal = values[at + 1]!;
      const nameIndex = values[at + 3]!;
      end = boxStart + boxTotal;
      if (boxTotal <= 0) continue;
      if (graph.names[nameIndex] === undefined) throw new Error(`level ${levelIndex} of the flame graph names function ${nameIndex} of ${graph.names.length}`);
      if (levelIndex === 0 && box > 0) throw new Error("the flame graph has more than one root");
      if (levelIndex > 0) {
        while (candidate < first && start[candidate]! + total[candidate]! <= boxStart) candidate += 1;
        if (candidate === first || start[candidate]! > boxStart || start[candidate]! + total[candidate]! < end) {
          throw new Error(`level ${levelIndex} of the flame graph has a box outside every box of the level above`);
        }
        parent[box] = candidate;
        if (childCount[candidate] === 0) childStart[candidate] = box;
        childCount[candidate]! += 1;
      }
      level[box] = levelIndex;
      start[box] = boxStart;
      total[box] = boxTotal;
      self[box] = values[at + 2]!;
      name[box] = nameIndex;
      box += 1;
    }
    if (box === first) break; // an empty level, so there are none below it
    levelStart.push(first);
  }
  return {
    names: graph.names,
    boxCount: box,
    levelCount: levelStart.length,
    levelStart: Uint32Array.from([...levelStart, box]),
    level: level.subarray(0, box),
    start: start.subarray(0, box),
    total: total.subarray(0, box),
    self: self.subarray(0, box),
    name: name.subarray(0, box),
    parent: parent.subarray(0, box),
    childStart: childStart.subarray(0, box),
    childCount: childCount.subarray(0, box),
  };
}

export function boxName(layout: FlameGraphLayout, box: number): string {
  return layout.names[layout.name[box]!] ?? "";
}

/** The box of `levelIndex` that covers `value`, or -1. */
export function boxAt(layout: FlameGraphLayout, levelIndex: number, value: number): number {
  if (levelIndex < 0 || levelIndex >= layout.levelCount) return -1;
  const box = firstBoxEndingAfter(layout, levelIndex, layout.levelStart[levelIndex]!, value);
  return box < layout.levelStart[levelIndex + 1]! && layout.start[box]! <= value ? box : -1;
}

/** The first box of the level, not before `from`, that ends after `value`. The end of the level where there is none. */
export function firstBoxEndingAfter(layout: FlameGraphLayout, levelIndex: number, from: number, value: number): number {
  let low = from;
  let high = layout.levelStart[levelIndex + 1]!;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (layout.start[middle]! + layout.total[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The function names from below the root to the box; empty for the root. The URL keeps this of a zoom. */
export function pathOf(layout: FlameGraphLayout, box: number): string[] {
  const path: string[] = [];
  for (let at = box; at > 0; at = layout.parent[at]!) path.push(boxName(layout, at));
  return path.reverse();
}

/**
 * The box at the end of the path, or its deepest ancestor that this graph has. Where a function called `other` and the box of what was
 * cut off have the same parent, it is the first one, the function.
 */
export function boxOfPath(layout: FlameGraphLayout, path: readonly string[]): number {
  let box = 0;
  for (const name of path) {
    const first = layout.childStart[box] ?? 0;
    const end = first + (layout.childCount[box] ?? 0);
    let next = -1;
    for (let child = first; child < end && next === -1; child += 1) {
      if (boxName(layout, child) === name) next = child;
    }
    if (next === -1) return box;
    box = next;
  }
  return box;
}
