/** Top tables: per function name, what it spent itself and with all it called. A function that calls itself counts once. */
import { compareText } from "./labels.ts";
import { childLists } from "./name-tree.ts";
import type { Int64 } from "./results.ts";
import type { NameTree } from "./stacktrace-tree.ts";
import { Saturation, SumColumn, sumAt, totalsOf } from "./sums.ts";

export interface TopRow {
  readonly name: string;
  readonly self: Int64;
  readonly total: Int64;
}

export interface TopTable {
  readonly rows: readonly TopRow[];
  /** Of the whole tree. */
  readonly total: Int64;
  /** Names with a value, of which `rows` may be the first few. */
  readonly rowCount: number;
  readonly isSaturated: boolean;
}

/** The `limit` rows with the greatest selfs (then totals, then by name); 0: all. */
export function topTable(tree: NameTree, limit: number): TopTable {
  const { nodeCount, nodeParent, nodeName, names } = tree;
  const totals = totalsOf(nodeParent, nodeCount, tree.self);
  const self = new SumColumn(names.length);
  const total = new SumColumn(names.length);
  // No name's total is above the root's, since each stacktrace adds to it once.
  self.raise(sumAt(totals, 0));
  total.raise(sumAt(totals, 0));

  const { start, child } = childLists(nodeParent, nodeCount);
  // How often each name is on the path to where the walk is.
  const onPath = new Uint32Array(names.length);
  const next = start.slice(0, nodeCount);
  let node = 0;
  for (;;) {
    if (next[node]! < start[node + 1]!) {
      node = child[next[node]!++]!;
      const name = nodeName[node]!;
      self.addFrom(name, tree.self, node);
      if (onPath[name]!++ === 0) total.addFrom(name, totals, node);
    } else {
      if (node === 0) break;
      onPath[nodeName[node]!]!--;
      node = nodeParent[node]!;
    }
  }

  const saturation = new Saturation();
  const rows: TopRow[] = [];
  for (let name = 0; name < names.length; name++) {
    const sum = total.at(name);
    if (sum === 0) continue;
    rows.push({ name: names[name]!, self: saturation.hold(self.at(name)), total: saturation.hold(sum) });
  }
  rows.sort((a, b) => descending(a.self, b.self) || descending(a.total, b.total) || compareText(a.name, b.name));
  return {
    rows: limit > 0 ? rows.slice(0, limit) : rows,
    total: saturation.hold(sumAt(totals, 0)),
    rowCount: rows.length,
    isSaturated: saturation.isSaturated,
  };
}

function descending(a: Int64, b: Int64): number {
  return a === b ? 0 : a > b ? -1 : 1;
}
