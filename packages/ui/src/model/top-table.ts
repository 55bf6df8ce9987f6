/**
 * Functions by what they cost within a box, of a graph that shows all. Where it was cut, the node adds up the table: what was left out of
 * the graph is one box, and would be one row. Self adds up over all boxes of the function; total counts a recursive
 * function once, at its topmost box, so no total exceeds the root's.
 */
import type { FlameGraphLayout } from "./flame-graph-layout.ts";

export interface TopRow {
  readonly name: string;
  readonly self: number;
  readonly total: number;
}

export interface TableSort {
  readonly column: "name" | "self" | "total";
  readonly direction: "ascending" | "descending";
}

export const DEFAULT_SORT: TableSort = { column: "self", direction: "descending" };

/** Rows in no order. The synthetic root is left out. */
export function topRows(layout: FlameGraphLayout, root: number): TopRow[] {
  if (layout.boxCount === 0) return [];
  const self = new Float64Array(layout.names.length);
  const total = new Float64Array(layout.names.length);
  const openCount = new Uint32Array(layout.names.length); // boxes of this name on the path being walked
  const open = [root]; // a box when it is entered, ~box when it is left
  while (open.length > 0) {
    const entry = open.pop()!;
    if (entry < 0) {
      openCount[layout.name[~entry]!]! -= 1;
      continue;
    }
    if (entry > 0) {
      const name = layout.name[entry]!;
      self[name]! += layout.self[entry]!;
      if (openCount[name] === 0) total[name]! += layout.total[entry]!;
      openCount[name]! += 1;
      open.push(~entry);
    }
    for (let child = layout.childStart[entry]!, left = layout.childCount[entry]!; left > 0; child += 1, left -= 1) open.push(child);
  }
  const rows: TopRow[] = [];
  for (const [index, name] of layout.names.entries()) {
    if (total[index]! > 0) rows.push({ name, self: self[index]!, total: total[index]! });
  }
  return rows;
}

/** Something was left out of the graph below this box. A leaf that is truly called `other` looks the same: then the node is asked for nothing new. */
export function isCutWithin(layout: FlameGraphLayout, root: number): boolean {
  const isOther = layout.names.map((name) => name === OTHER);
  if (layout.boxCount === 0 || !isOther.includes(true)) return false;
  const start = layout.start[root]!;
  const end = start + layout.total[root]!;
  for (let box = root + 1; box < layout.boxCount; box += 1) {
    if (isOther[layout.name[box]!]! && layout.childCount[box] === 0 && layout.start[box]! >= start && layout.start[box]! < end && layout.level[box]! > layout.level[root]!) return true;
  }
  return false;
}

/** What the node calls the box of what it left out. */
const OTHER = "other";

/** A new array. Equal costs are ordered by the other cost, then by name: the order never depends on the server's. */
export function sortRows(rows: readonly TopRow[], sort: TableSort): TopRow[] {
  const sign = sort.direction === "ascending" ? 1 : -1;
  const { column } = sort;
  return rows.toSorted((left, right) => {
    const byName = left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
    if (column === "name") return sign * byName;
    const other = column === "self" ? "total" : "self";
    return sign * (left[column] - right[column]) || right[other] - left[other] || byName;
  });
}

/** A click on a heading: the same column turns round, another begins with its most useful end. */
export function nextSort(sort: TableSort, column: TableSort["column"]): TableSort {
  if (sort.column === column) return { column, direction: sort.direction === "ascending" ? "descending" : "ascending" };
  return { column, direction: column === "name" ? "ascending" : "descending" };
}
