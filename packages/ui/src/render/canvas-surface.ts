/** A canvas that is measured in CSS pixels and sharp on every screen. */

export interface Surface {
  readonly context: CanvasRenderingContext2D;
  readonly widthPx: number;
  readonly heightPx: number;
}

/** Sets the bitmap to the size of the element on this screen, and clears it. Undefined where the element has no size. */
export function openSurface(canvas: HTMLCanvasElement): Surface | undefined {
  const widthPx = canvas.clientWidth;
  const heightPx = canvas.clientHeight;
  const context = canvas.getContext("2d", { alpha: false });
  if (widthPx === 0 || heightPx === 0 || context === null) return undefined;
  const ratio = window.devicePixelRatio || 1;
  const bitmapWidth = Math.round(widthPx * ratio);
  const bitmapHeight = Math.round(heightPx * ratio);
  if (canvas.width !== bitmapWidth) canvas.width = bitmapWidth; // an assignment clears the canvas, even of the same value
  if (canvas.height !== bitmapHeight) canvas.height = bitmapHeight;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, widthPx, heightPx };
}

/** Draws at most once per frame, however often it is called. */
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
