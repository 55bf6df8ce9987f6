/**
 * Two flame graphs over one shape, as Pyroscope encodes them: levels in chunks of seven numbers.
 *
 *   x offset, total, self of the left; x offset, total, self of the right; index of the name
 *
 * A node stays where its total on either side reaches the threshold. The rest of each parent becomes one leaf "other".
 */
import { OTHER, ROOT_NAME } from "./flame-graph.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import { compareText } from "../labels/labels.ts";
import { childLists, NameNodes } from "./name-tree.ts";
import type { FlameGraphDiff, Int64 } from "../model/results.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { minus, plus, Saturation, SumColumn, sumAt, thresholdOf, totalsOf } from "../model/sums.ts";

interface Bar {
  /** -1 for what was left out. */
  readonly node: number;
  readonly name: string;
  readonly leftSelf: Int64;
  readonly leftTotal: Int64;
  readonly rightSelf: Int64;
  readonly rightTotal: Int64;
}

/** `maxNodes` below 1 keeps everything. */
export function flameGraphDiff(
  left: NameTree,
  right: NameTree,
  maxNodes: number,
  interrupt: Interrupt = UNINTERRUPTED,
): { readonly graph: FlameGraphDiff; readonly isSaturated: boolean } {
  const nodes = new NameNodes();
  const leftTarget = nodes.place(left, interrupt);
  const rightTarget = nodes.place(right, interrupt);
  const { nodeCount, nodeParent, nodeName } = nodes;
  const leftColumn = new SumColumn(nodeCount);
  const rightColumn = new SumColumn(nodeCount);
  leftColumn.addAll(left.self, left.nodeCount, leftTarget);
  rightColumn.addAll(right.self, right.nodeCount, rightTarget);
  const leftSelfs = leftColumn.view();
  const rightSelfs = rightColumn.view();
  const leftTotals = totalsOf(nodeParent, nodeCount, leftSelfs);
  const rightTotals = totalsOf(nodeParent, nodeCount, rightSelfs);
  // Here the root counts as a node, unlike in a single flame graph: so do the recorded answers.
  const threshold = thresholdOf(nodeCount, (node) => greater(sumAt(leftTotals, node), sumAt(rightTotals, node)), maxNodes);
  const { start, child } = childLists(nodeParent, nodeCount);
  const barOf = (node: number, name: string): Bar => ({
    node,
    name,
    leftSelf: sumAt(leftSelfs, node),
    leftTotal: sumAt(leftTotals, node),
    rightSelf: sumAt(rightSelfs, node),
    rightTotal: sumAt(rightTotals, node),
  });
  const childrenOf = (node: number): Bar[] => {
    const kept: Bar[] = [];
    let otherLeft: Int64 = 0;
    let otherRight: Int64 = 0;
    for (let at = start[node]!; at < start[node + 1]!; at++) {
      const bar = barOf(child[at]!, nodes.names[nodeName[child[at]!]!]!);
      if (bar.leftTotal === 0 && bar.rightTotal === 0) continue;
      if (bar.leftTotal >= threshold || bar.rightTotal >= threshold) {
        kept.push(bar);
        continue;
      }
      otherLeft = plus(otherLeft, bar.leftTotal);
      otherRight = plus(otherRight, bar.rightTotal);
    }
    kept.sort((a, b) => compareText(a.name, b.name));
    if (otherLeft !== 0 || otherRight !== 0) {
      kept.push({ node: -1, name: OTHER, leftSelf: otherLeft, leftTotal: otherLeft, rightSelf: otherRight, rightTotal: otherRight });
    }
    return kept;
  };

  const names = [ROOT_NAME];
  const nameIndexes = new Map<string, number>();
  const levels: Int64[][] = [];
  let maxSelf: Int64 = 0;
  const root = barOf(0, "");
  const stack: { bar: Bar; depth: number; leftX: Int64; rightX: Int64 }[] = [{ bar: root, depth: 0, leftX: 0, rightX: 0 }];
  while (stack.length > 0) {
    const { bar, depth, leftX, rightX } = stack.pop()!;
    let nameIndex = bar.node === 0 ? 0 : nameIndexes.get(bar.name);
    if (nameIndex === undefined) {
      nameIndex = names.push(bar.name) - 1;
      nameIndexes.set(bar.name, nameIndex);
    }
    maxSelf = greater(maxSelf, greater(bar.leftSelf, bar.rightSelf));
    if (levels.length === depth) levels.push([]);
    // The walk goes from right to left, so chunks are written backwards; the level is reversed below.
    levels[depth]!.push(nameIndex, bar.rightSelf, bar.rightTotal, rightX, bar.leftSelf, bar.leftTotal, leftX);
    if (bar.node < 0) continue;
    let childLeftX = plus(leftX, bar.leftSelf);
    let childRightX = plus(rightX, bar.rightSelf);
    for (const childBar of childrenOf(bar.node)) {
      stack.push({ bar: childBar, depth: depth + 1, leftX: childLeftX, rightX: childRightX });
      childLeftX = plus(childLeftX, childBar.leftTotal);
      childRightX = plus(childRightX, childBar.rightTotal);
    }
  }

  const saturation = new Saturation();
  for (const level of levels) {
    level.reverse();
    let leftEnd: Int64 = 0;
    let rightEnd: Int64 = 0;
    for (let at = 0; at < level.length; at += 7) {
      const leftX = level[at]!;
      const rightX = level[at + 3]!;
      level[at] = minus(leftX, leftEnd);
      level[at + 3] = minus(rightX, rightEnd);
      leftEnd = plus(leftX, level[at + 1]!);
      rightEnd = plus(rightX, level[at + 4]!);
    }
    for (let at = 0; at < level.length; at++) level[at] = saturation.hold(level[at]!);
  }
  const graph = {
    names,
    levels,
    total: saturation.hold(plus(root.leftTotal, root.rightTotal)),
    maxSelf: saturation.hold(maxSelf),
    leftTicks: saturation.hold(root.leftTotal),
    rightTicks: saturation.hold(root.rightTotal),
  };
  return { graph, isSaturated: saturation.isSaturated };
}

function greater(a: Int64, b: Int64): Int64 {
  return a > b ? a : b;
}
