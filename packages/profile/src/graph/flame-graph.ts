/**
 * Flame graphs as Pyroscope encodes them: levels from the root down, in chunks of four numbers.
 *
 *   x offset (from the end of the bar before it), total, self, index of the name
 *
 * A bar's own value lies at its left, its children follow in bytewise order of their names. Names are numbered in the
 * order of a walk that takes the last child first; only the root has 0. What is below the threshold becomes one leaf called
 * "other" behind its siblings; so an answer may hold a few bars more than were asked for. A function of the profile that is called
 * "other" is a bar like any other: it may stand beside that leaf, under the same name.
 */
import { compareText } from "../labels/labels.ts";
import { childLists } from "./name-tree.ts";
import type { FlameGraph, Int64 } from "../model/results.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { minus, plus, Saturation, sumAt, thresholdOf, totalsOf } from "../model/sums.ts";

/** The name of the leaf that stands for nodes below the threshold. */
export const OTHER = "other";

/** The root's name. A function may have the same name, or none: each has an index of its own. */
export const ROOT_NAME = "total";

/** `maxNodes` below 1 keeps everything. */
export function flameGraph(tree: NameTree, maxNodes: number): { readonly graph: FlameGraph; readonly isSaturated: boolean } {
  const pruned = pruneNames(tree, maxNodes);
  const names = [ROOT_NAME];
  const nameIndexes = new Map<string, number>();
  const levels: Int64[][] = [];
  let maxSelf: Int64 = 0;

  const barStack: PrunedBar[] = [pruned.root];
  const depthStack: number[] = [0];
  const leftStack: Int64[] = [0];
  while (barStack.length > 0) {
    const bar = barStack.pop()!;
    const depth = depthStack.pop()!;
    const left = leftStack.pop()!;
    let nameIndex = bar.node === 0 ? 0 : nameIndexes.get(bar.name);
    if (nameIndex === undefined) {
      nameIndex = names.push(bar.name) - 1;
      nameIndexes.set(bar.name, nameIndex);
    }
    if (bar.self > maxSelf) maxSelf = bar.self;
    // The walk goes from right to left: chunks are written backwards, and the level is reversed at the end.
    if (levels.length === depth) levels.push([]);
    levels[depth]!.push(nameIndex, bar.self, bar.total, left);
    let childLeft = plus(left, bar.self);
    for (const child of pruned.childrenOf(bar)) {
      barStack.push(child);
      depthStack.push(depth + 1);
      leftStack.push(childLeft);
      childLeft = plus(childLeft, child.total);
    }
  }

  const saturation = new Saturation();
  for (const level of levels) {
    level.reverse();
    let end: Int64 = 0;
    for (let at = 0; at < level.length; at += 4) {
      const left = level[at]!;
      level[at] = minus(left, end);
      end = plus(left, level[at + 1]!);
    }
    for (let at = 0; at < level.length; at++) level[at] = saturation.hold(level[at]!);
  }
  const graph = { names, levels, total: saturation.hold(pruned.root.total), maxSelf: saturation.hold(maxSelf) };
  return { graph, isSaturated: saturation.isSaturated };
}

/** A node that stays, or the "other" of its parent (node -1). */
export interface PrunedBar {
  readonly node: number;
  readonly name: string;
  readonly self: Int64;
  readonly total: Int64;
}

export interface PrunedNames {
  readonly root: PrunedBar;
  /** In bytewise order of names, with "other" last. */
  childrenOf(bar: PrunedBar): PrunedBar[];
}

/** The tree after truncation, without nodes that have no value. */
export function pruneNames(tree: NameTree, maxNodes: number): PrunedNames {
  const { nodeCount, nodeParent, nodeName, names } = tree;
  const totals = totalsOf(nodeParent, nodeCount, tree.self);
  const threshold = thresholdOf(nodeCount - 1, (index) => sumAt(totals, index + 1), maxNodes);
  const { start, child } = childLists(nodeParent, nodeCount);
  const barOf = (node: number): PrunedBar => ({
    node,
    name: names[nodeName[node]!]!,
    self: sumAt(tree.self, node),
    total: sumAt(totals, node),
  });
  return {
    root: { node: 0, name: "", self: sumAt(tree.self, 0), total: sumAt(totals, 0) },
    childrenOf(bar) {
      if (bar.node < 0) return [];
      const kept: PrunedBar[] = [];
      let left: Int64 = 0;
      for (let at = start[bar.node]!; at < start[bar.node + 1]!; at++) {
        const node = child[at]!;
        const total = sumAt(totals, node);
        if (total === 0) continue;
        if (total >= threshold) kept.push(barOf(node));
        else left = plus(left, total);
      }
      kept.sort((a, b) => compareText(a.name, b.name));
      if (left !== 0) kept.push({ node: -1, name: OTHER, self: left, total: left });
      return kept;
    },
  };
}
