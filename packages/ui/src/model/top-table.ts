/**
 * Functions by their cost within a box, computed from a graph that is complete. Where the graph was cut off, the node computes the table:
 * the rest is one box here, and would be one row. Self is added up over all boxes of a function. Total counts a recursive function once,
 * at its topmost box, so it never exceeds the total of the root.
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

/** The rows in no order, without the root. */
export function topRows(layout: FlameGraphLayout, root: number): TopRow[] {
  if (layout.boxCount === 0) return [];
  const self = new Float64Array(layout.names.length);
  const total = new Float64Array(layout.names.length);
  const openCount = new Uint32Array(layout.names.length); // boxes of each name on the current path
  const open = [root]; // box: to be entered, ~box: to be left
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

/**
 * True where something below the box was cut off. A leaf whose function is really called `other` looks the same; the node's table is the
 * same then.
 */
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

/** The node's name for the box of what was cut off. */
const OTHER = "other";

/** Returns a new array. Rows of equal cost are ordered by the other cost, then by name, so the order does not depend on the server's. */
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

/** After a click on a heading: the same column is reversed, another one begins with its most useful end. */
export function nextSort(sort: TableSort, column: TableSort["column"]): TableSort {
  if (sort.column === column) return { column, direction: sort.direction === "ascending" ? "descending" : "ascending" };
  return { column, direction: column === "name" ? "ascending" : "descending" };
}
