/** A canvas whose drawing is measured in CSS pixels and sharp on every screen. */

export interface Surface {
  readonly context: CanvasRenderingContext2D;
  readonly widthPx: number;
  readonly heightPx: number;
}

/** Sizes the bitmap to the element and the screen, and clears it. Undefined while the element has no size. */
export function openSurface(canvas: HTMLCanvasElement): Surface | undefined {
  const widthPx = canvas.clientWidth;
  const heightPx = canvas.clientHeight;
  const context = canvas.getContext("2d", { alpha: false });
  if (widthPx === 0 || heightPx === 0 || context === null) return undefined;
  const ratio = window.devicePixelRatio || 1;
  const bitmapWidth = Math.round(widthPx * ratio);
  const bitmapHeight = Math.round(heightPx * ratio);
  if (canvas.width !== bitmapWidth) canvas.width = bitmapWidth; // assigning clears, and costs, even when equal
  if (canvas.height !== bitmapHeight) canvas.height = bitmapHeight;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, widthPx, heightPx };
}

/** One drawing per frame, however often it is asked for. */
export class FrameScheduler {
  readonly #draw: () => void;
  #handle = 0;

  constructor(draw: () => void) {
    this.#draw = draw;
  }

  request(): void {
    if (this.#handle !== 0) return;
    this.#handle = requestAnimationFrame(() => {
      this.#handle = 0;
      this.#draw();
    });
  }

  stop(): void {
    cancelAnimationFrame(this.#handle);
    this.#handle = 0;
  }
}
