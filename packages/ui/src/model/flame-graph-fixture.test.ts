/** Flame graphs for tests: Pyroscope's worked example, and an encoder of folded stacks to check readers against. */
import type { FlameGraph } from "./flame-graph-layout.ts";

/** The graph of the stacks a;b;e 1, a;c 2, a;c;d 1. */
export const GOLDEN: FlameGraph = {
  names: ["total", "a", "c", "d", "b", "e"],
  levels: [
    [0, 4, 0, 0],
    [0, 4, 0, 1],
    [0, 1, 0, 4, 0, 3, 2, 2],
    [0, 1, 1, 5, 2, 1, 1, 3],
  ],
};

interface TreeNode {
  total: number;
  self: number;
  readonly children: Map<string, TreeNode>;
}

/** Encodes stacks from the root with their values. The self value of a box is at its left, then its children by name. */
export function flameGraphOf(stacks: readonly (readonly [readonly string[], number])[]): FlameGraph {
  const root: TreeNode = { total: 0, self: 0, children: new Map() };
  for (const [stack, value] of stacks) {
    root.total += value;
    let node = root;
    for (const name of stack) {
      const child: TreeNode = node.children.get(name) ?? { total: 0, self: 0, children: new Map() };
      node.children.set(name, child);
      child.total += value;
      node = child;
    }
    node.self += value;
  }
  const names = ["total"];
  const levels: number[][] = [];
  const ends: number[] = [];
  const put = (name: string, node: TreeNode, start: number, level: number): void => {
    const index = names.indexOf(name) === -1 ? names.push(name) - 1 : names.indexOf(name);
    (levels[level] ??= []).push(start - (ends[level] ?? 0), node.total, node.self, index);
    ends[level] = start + node.total;
    let childStart = start + node.self;
    for (const childName of [...node.children.keys()].sort()) {
      put(childName, node.children.get(childName)!, childStart, level + 1);
      childStart += node.children.get(childName)!.total;
    }
  };
  put("total", root, 0, 0);
  return { names, levels };
}
