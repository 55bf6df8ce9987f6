/**
 * Top tables: by function name, its own value and its value with everything that it called. A function that is several times on a stacktrace
 * counts the stacktrace once in its total. They are made of the whole tree, before it is truncated for a flame graph.
 */
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import { compareText } from "../labels/labels.ts";
import type { ChildLists } from "./name-tree.ts";
import { childLists } from "./name-tree.ts";
import type { Int64 } from "../model/results.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { Saturation, SumColumn, sumAt, totalsOf } from "../model/sums.ts";

export interface TopRow {
  /** Empty: a function without a name. */
  readonly name: string;
  readonly self: Int64;
  readonly total: Int64;
}

export interface TopTable {
  readonly rows: readonly TopRow[];
  /** The value of all stacktraces that were counted, whichever rows are returned. */
  readonly total: Int64;
  /** How many functions match and have a value; `rows` may be only the first of them. */
  readonly rowCount: number;
  readonly isSaturated: boolean;
}

export type TopSort = "self" | "total";

export interface TopTableOptions {
  /** How many rows are returned at most; 0: all. */
  readonly limit: number;
  /** The value by which rows are sorted, greatest first. Equal ones are sorted by the other value, then by name. */
  readonly sort: TopSort;
  /** Function names from the root: only the node at the end of this path, and what lies below it, is counted. Empty: everything. */
  readonly callSite: readonly string[];
  /** Only functions whose names contain this text, in upper or lower case, are returned. Empty: all. */
  readonly nameContains: string;
}

export const WHOLE_TOP_TABLE: TopTableOptions = { limit: 0, sort: "self", callSite: [], nameContains: "" };

export function topTable(tree: NameTree, options: Partial<TopTableOptions> = {}, interrupt: Interrupt = UNINTERRUPTED): TopTable {
  const { limit, sort, callSite, nameContains } = { ...WHOLE_TOP_TABLE, ...options };
  const { nodeCount, nodeParent, nodeName, names } = tree;
  const totals = totalsOf(nodeParent, nodeCount, tree.self);
  const lists = childLists(nodeParent, nodeCount);
  const top = nodeAt(tree, lists, callSite);
  if (top === undefined) return { rows: [], total: 0, rowCount: 0, isSaturated: false };
  const self = new SumColumn(names.length);
  const total = new SumColumn(names.length);
  // No name's total is above that of the node where the walk begins, since each stacktrace adds to it once.
  self.raise(sumAt(totals, top));
  total.raise(sumAt(totals, top));

  const { start, child } = lists;
  // How often each name is on the current path of the walk.
  const onPath = new Uint32Array(names.length);
  const enter = (node: number): void => {
    const name = nodeName[node]!;
    self.addFrom(name, tree.self, node);
    if (onPath[name]!++ === 0) total.addFrom(name, totals, node);
  };
  const next = start.slice(0, nodeCount);
  let node = top;
  if (top !== 0) enter(top); // the root is no function
  for (;;) {
    if (next[node]! < start[node + 1]!) {
      node = child[next[node]!++]!;
      interrupt.after(1);
      enter(node);
    } else {
      if (node === top) break;
      onPath[nodeName[node]!]!--;
      node = nodeParent[node]!;
    }
  }

  const wanted = nameContains.toLowerCase();
  const saturation = new Saturation();
  const rows: TopRow[] = [];
  for (let name = 0; name < names.length; name++) {
    interrupt.after(1);
    const sum = total.at(name);
    if (sum === 0 || (wanted !== "" && !names[name]!.toLowerCase().includes(wanted))) continue;
    rows.push({ name: names[name]!, self: saturation.hold(self.at(name)), total: saturation.hold(sum) });
  }
  const other = sort === "self" ? "total" : "self";
  rows.sort((a, b) => descending(a[sort], b[sort]) || descending(a[other], b[other]) || compareText(a.name, b.name));
  return {
    rows: limit > 0 ? rows.slice(0, limit) : rows,
    total: saturation.hold(sumAt(totals, top)),
    rowCount: rows.length,
    isSaturated: saturation.isSaturated,
  };
}

/** The node at the end of a path of names; undefined where there is none. */
function nodeAt({ nodeName, names }: NameTree, { start, child }: ChildLists, path: readonly string[]): number | undefined {
  let node = 0;
  for (const name of path) {
    let below: number | undefined;
    for (let at = start[node]!; at < start[node + 1]! && below === undefined; at++) {
      if (names[nodeName[child[at]!]!] === name) below = child[at]!;
    }
    if (below === undefined) return undefined;
    node = below;
  }
  return node;
}

function descending(a: Int64, b: Int64): number {
  return a === b ? 0 : a > b ? -1 : 1;
}
