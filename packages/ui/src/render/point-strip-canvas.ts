/** Draws values over time as bars, one per step, across the element. The bar at `t` covers (t - step, t]. */
import type { TimeSpan } from "../model/time-range.ts";
import { openSurface } from "./canvas-surface.ts";

interface StripPalette {
  readonly background: string;
  readonly bar: string;
  readonly hoveredBar: string;
  readonly line: string;
  readonly selection: string;
}

export const LIGHT_STRIP: StripPalette = { background: "#ffffff", bar: "#e8a06c", hoveredBar: "#b4480f", line: "#d8dde4", selection: "rgba(29, 95, 209, 0.18)" };
export const DARK_STRIP: StripPalette = { background: "#171b21", bar: "#a8633a", hoveredBar: "#f0a878", line: "#323a45", selection: "rgba(120, 170, 255, 0.25)" };

interface StripScene {
  readonly points: readonly { readonly timestampMs: number; readonly value: number }[];
  readonly span: TimeSpan;
  readonly stepMs: number;
  readonly valueMax: number;
  /** An index into `points`; -1: none. */
  readonly hovered: number;
  /** The span that the reader is dragging over. */
  readonly selected: TimeSpan | undefined;
  readonly palette: StripPalette;
}

export function drawPointStrip(canvas: HTMLCanvasElement, scene: StripScene): void {
  const surface = openSurface(canvas);
  if (surface === undefined) return;
  const { context, widthPx, heightPx } = surface;
  const { palette, span } = scene;
  context.fillStyle = palette.background;
  context.fillRect(0, 0, widthPx, heightPx);
  const pxPerMs = widthPx / (span.endMs - span.startMs);
  const xOf = (timeMs: number): number => (timeMs - span.startMs) * pxPerMs;
  const roomPx = heightPx - 3; // so that the highest bar does not touch the edge
  for (const [index, point] of scene.points.entries()) {
    if (point.value <= 0 || scene.valueMax <= 0) continue;
    const leftPx = xOf(point.timestampMs - scene.stepMs);
    const widthOfBarPx = Math.max(1, scene.stepMs * pxPerMs - (scene.stepMs * pxPerMs > 4 ? 1 : 0));
    const barPx = Math.max(1, (point.value / scene.valueMax) * roomPx);
    context.fillStyle = index === scene.hovered ? palette.hoveredBar : palette.bar;
    context.fillRect(leftPx, heightPx - 1 - barPx, widthOfBarPx, barPx);
  }
  context.fillStyle = palette.line;
  context.fillRect(0, heightPx - 1, widthPx, 1);
  if (scene.selected !== undefined) {
    context.fillStyle = palette.selection;
    context.fillRect(xOf(scene.selected.startMs), 0, xOf(scene.selected.endMs) - xOf(scene.selected.startMs), heightPx);
  }
}
