/** Where an arrow key moves from a box. Left and right stay within the zoom; down moves to the widest child. */
import type { FlameGraphLayout } from "./flame-graph-layout.ts";

export type Direction = "up" | "down" | "left" | "right";

/** The box itself where there is nowhere to move. */
export function boxBeside(layout: FlameGraphLayout, box: number, direction: Direction, focus: number): number {
  if (layout.boxCount === 0) return box;
  if (direction === "up") return Math.max(0, layout.parent[box]!);
  if (direction === "down") return widestChild(layout, box);
  const beside = box + (direction === "left" ? -1 : 1);
  if (beside < 0 || beside >= layout.boxCount || layout.level[beside] !== layout.level[box]) return box;
  const focusStart = layout.start[focus]!;
  const isWithinFocus = layout.start[beside]! >= focusStart && layout.start[beside]! < focusStart + layout.total[focus]!;
  return isWithinFocus ? beside : box;
}

function widestChild(layout: FlameGraphLayout, box: number): number {
  let widest = box;
  for (let child = layout.childStart[box]!, left = layout.childCount[box]!; left > 0; child += 1, left -= 1) {
    if (widest === box || layout.total[child]! > layout.total[widest]!) widest = child;
  }
  return widest;
}
