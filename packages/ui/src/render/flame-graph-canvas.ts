/**
 * Draws a flame graph as an icicle, with the root on top. The view passes in a scene and asks which box is at a point; this class knows
 * only pixels. What must stay true: the cost of a drawing depends on its pixels (visible-boxes.ts), so that hovering stays smooth with
 * 100,000 boxes, and the canvas is never higher than its visible part.
 */
import { fitName } from "../model/box-text.ts";
import type { FramePalette } from "../model/frame-color.ts";
import { fillOf } from "../model/frame-color.ts";
import type { FlameGraphLayout } from "../model/flame-graph-layout.ts";
import { boxAt, boxName } from "../model/flame-graph-layout.ts";
import type { SearchMatches } from "../model/search.ts";
import type { VisibleBox } from "../model/visible-boxes.ts";
import { visitVisibleBoxes, windowOf } from "../model/visible-boxes.ts";
import type { Surface } from "./canvas-surface.ts";
import { FrameScheduler, openSurface } from "./canvas-surface.ts";

export const ROW_PX = 19;

const GAP_PX = 1;
const TEXT_INSET_PX = 4;
const FONT = '11px ui-monospace, "SF Mono", "Cascadia Mono", Menlo, "DejaVu Sans Mono", monospace';

interface FlameScene {
  readonly layout: FlameGraphLayout;
  /** The zoomed box; 0 shows the whole graph. */
  readonly focus: number;
  readonly matches: SearchMatches | undefined;
  /** -1: none. */
  readonly hovered: number;
  /** The box with the keyboard focus; -1: none. */
  readonly selected: number;
  readonly scrollTopPx: number;
  readonly palette: FramePalette;
}

interface BoxEdges {
  readonly leftPx: number;
  readonly topPx: number;
  readonly widthPx: number;
}

export class FlameGraphCanvas {
  readonly #canvas: HTMLCanvasElement;
  readonly #scheduler: FrameScheduler;
  readonly #fills = new Map<FramePalette, (string | undefined)[]>(); // at most two palettes
  #scene: FlameScene | undefined;
  #fillsLayout: FlameGraphLayout | undefined;
  #characterPx = 0;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#scheduler = new FrameScheduler(() => this.#draw());
  }

  show(scene: FlameScene): void {
    this.#scene = scene;
    this.#scheduler.request();
  }

  /** Draws again with the current size of the element. */
  redraw(): void {
    this.#scheduler.request();
  }

  stop(): void {
    this.#scheduler.stop();
  }

  /** The box under a point of the element, or -1. */
  boxAtPoint(xPx: number, yPx: number): number {
    const scene = this.#scene;
    if (scene === undefined || this.#canvas.clientWidth === 0) return -1;
    const window = windowOf(scene.layout, scene.focus);
    const levelIndex = Math.floor((yPx + scene.scrollTopPx) / ROW_PX);
    return boxAt(scene.layout, levelIndex, window.start + (xPx / this.#canvas.clientWidth) * window.total);
  }

  /** The left and right edge of a box on the element, clipped to its width. */
  edgesOf(box: number): BoxEdges | undefined {
    const scene = this.#scene;
    if (scene === undefined || box < 0 || box >= scene.layout.boxCount) return undefined;
    const window = windowOf(scene.layout, scene.focus);
    const widthPx = this.#canvas.clientWidth;
    const pxPerValue = widthPx / window.total;
    const leftPx = Math.max(0, (scene.layout.start[box]! - window.start) * pxPerValue);
    const rightPx = Math.min(widthPx, (scene.layout.start[box]! + scene.layout.total[box]! - window.start) * pxPerValue);
    if (rightPx <= leftPx) return undefined; // outside of the zoom
    return { leftPx, topPx: scene.layout.level[box]! * ROW_PX - scene.scrollTopPx, widthPx: rightPx - leftPx };
  }

  #draw(): void {
    const surface = openSurface(this.#canvas);
    const scene = this.#scene;
    if (surface === undefined || scene === undefined) return;
    const { context, widthPx, heightPx } = surface;
    context.fillStyle = scene.palette.background;
    context.fillRect(0, 0, widthPx, heightPx);
    if (scene.layout.boxCount === 0) return;
    context.font = FONT;
    context.textBaseline = "middle";
    if (this.#characterPx === 0) this.#characterPx = context.measureText("M".repeat(50)).width / 50;
    const fills = this.#fillsOf(scene);
    const levels = { levelFrom: Math.floor(scene.scrollTopPx / ROW_PX), levelTo: Math.ceil((scene.scrollTopPx + heightPx) / ROW_PX) };
    visitVisibleBoxes(scene.layout, windowOf(scene.layout, scene.focus), levels, widthPx, (visible) => this.#drawBox(surface, scene, fills, visible));
    this.#outline(surface, scene, scene.hovered, 1);
    this.#outline(surface, scene, scene.selected, 2);
  }

  #drawBox({ context }: Surface, scene: FlameScene, fills: (string | undefined)[], visible: VisibleBox): void {
    const { layout, matches, palette } = scene;
    const { box, leftPx } = visible;
    const topPx = visible.levelIndex * ROW_PX - scene.scrollTopPx;
    const isQuiet = matches !== undefined && matches.countBefore[visible.boxEnd] === matches.countBefore[box];
    const widthPx = visible.rightPx - leftPx;
    const boxPx = widthPx > 3 ? widthPx - GAP_PX : widthPx;
    const nameIndex = layout.name[box]!;
    const isAboveZoom = visible.levelIndex < layout.level[scene.focus]!;
    context.globalAlpha = isAboveZoom ? 0.5 : 1;
    context.fillStyle = isQuiet ? palette.quietFill : (fills[nameIndex] ??= fillOf(palette, boxName(layout, box)));
    context.fillRect(leftPx, topPx, boxPx, ROW_PX - GAP_PX);
    context.globalAlpha = 1;
    const roomPx = boxPx - 2 * TEXT_INSET_PX;
    const lengthMax = Math.floor(roomPx / this.#characterPx);
    if (visible.boxEnd !== box + 1 || lengthMax < 3) return;
    const text = fitName(boxName(layout, box), lengthMax);
    if (text === "") return;
    context.fillStyle = isQuiet ? palette.quietText : palette.text;
    // The width limit compresses names with wide characters; all others are not affected.
    context.fillText(text, leftPx + TEXT_INSET_PX, topPx + (ROW_PX - GAP_PX) / 2 + 0.5, roomPx);
  }

  #outline({ context }: Surface, scene: FlameScene, box: number, linePx: number): void {
    const edges = this.edgesOf(box);
    if (edges === undefined) return;
    context.strokeStyle = scene.palette.outline;
    context.lineWidth = linePx;
    const half = linePx / 2;
    context.strokeRect(edges.leftPx + half, edges.topPx + half, Math.max(1, edges.widthPx - GAP_PX - linePx), ROW_PX - GAP_PX - linePx);
  }

  /** Fills by name index, cached for each layout: hashing the names would take most of a frame's time. */
  #fillsOf(scene: FlameScene): (string | undefined)[] {
    if (this.#fillsLayout !== scene.layout) {
      this.#fills.clear();
      this.#fillsLayout = scene.layout;
    }
    let fills = this.#fills.get(scene.palette);
    if (fills === undefined) {
      fills = Array.from<string | undefined>({ length: scene.layout.names.length });
      this.#fills.set(scene.palette, fills);
    }
    return fills;
  }
}
