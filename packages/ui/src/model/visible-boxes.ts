/**
 * The boxes that a drawing of a given width needs. The work is bounded by pixels, not by boxes: boxes narrower than a pixel are drawn as
 * one sliver, and the next box is found by binary search. So 100,000 boxes cost as much as a few thousand.
 */
import type { FlameGraphLayout } from "./flame-graph-layout.ts";
import { firstBoxEndingAfter } from "./flame-graph-layout.ts";

/** The part of the value axis that the drawing shows. */
export interface ValueWindow {
  readonly start: number;
  readonly total: number;
}

export interface VisibleBox {
  readonly box: number;
  /** The next box that is not drawn yet: `box + 1`, or more where narrow boxes share a sliver. */
  readonly boxEnd: number;
  readonly levelIndex: number;
  readonly leftPx: number;
  readonly rightPx: number;
}

const WIDTH_MIN_PX = 1;

export function windowOf(layout: FlameGraphLayout, box: number): ValueWindow {
  return { start: layout.start[box] ?? 0, total: layout.total[box] ?? 0 };
}

/** Calls `visit` for each box to draw in the levels [levelFrom, levelTo), level by level, from left to right. */
export function visitVisibleBoxes(
  layout: FlameGraphLayout,
  window: ValueWindow,
  levels: { readonly levelFrom: number; readonly levelTo: number },
  widthPx: number,
  visit: (box: VisibleBox) => void,
): void {
  if (window.total <= 0 || widthPx <= 0) return;
  const pxPerValue = widthPx / window.total;
  const windowEnd = window.start + window.total;
  const levelTo = Math.min(levels.levelTo, layout.levelCount);
  for (let levelIndex = Math.max(0, levels.levelFrom); levelIndex < levelTo; levelIndex += 1) {
    const end = layout.levelStart[levelIndex + 1]!;
    let box = firstBoxEndingAfter(layout, levelIndex, layout.levelStart[levelIndex]!, window.start);
    while (box < end && layout.start[box]! < windowEnd) {
      const leftPx = Math.max(0, (layout.start[box]! - window.start) * pxPerValue);
      const rightPx = Math.min(widthPx, (layout.start[box]! + layout.total[box]! - window.start) * pxPerValue);
      if (rightPx - leftPx >= WIDTH_MIN_PX) {
        visit({ box, boxEnd: box + 1, levelIndex, leftPx, rightPx });
        box += 1;
        continue;
      }
      const sliverEndPx = leftPx + WIDTH_MIN_PX;
      const next = Math.max(box + 1, firstBoxEndingAfter(layout, levelIndex, box + 1, window.start + sliverEndPx / pxPerValue));
      visit({ box, boxEnd: next, levelIndex, leftPx, rightPx: Math.min(widthPx, sliverEndPx) });
      box = next;
    }
  }
}
