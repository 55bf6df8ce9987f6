/** The chosen profile over time. Dragging over the strip selects that time. */
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { SeriesPoint } from "../client.ts";
import { formatMoment } from "../model/local-time.ts";
import type { TimeSpan } from "../model/time-range.ts";
import { formatValue } from "../model/value-format.ts";
import { FrameScheduler } from "../render/canvas-surface.ts";
import { DARK_STRIP, drawPointStrip, LIGHT_STRIP } from "../render/point-strip-canvas.ts";

interface PointStripProps {
  readonly points: readonly SeriesPoint[];
  readonly span: TimeSpan;
  readonly stepMs: number;
  readonly sampleUnit: string;
  readonly isDark: boolean;
  readonly onPick: (span: TimeSpan) => void;
}

const DRAG_MIN_PX = 4; // a shorter drag is a click

export function PointStrip({ points, span, stepMs, sampleUnit, isDark, onPick }: PointStripProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const redraw = useRef<() => void>(() => undefined);
  const [pointerMs, setPointerMs] = useState<number | undefined>(undefined);
  const [dragFromMs, setDragFromMs] = useState<number | undefined>(undefined);
  const valueMax = points.reduce((max, { value }) => Math.max(max, value), 0);
  const hovered = pointerMs === undefined ? -1 : points.findIndex(({ timestampMs }) => timestampMs - stepMs < pointerMs && pointerMs <= timestampMs);
  const selected =
    dragFromMs === undefined || pointerMs === undefined ? undefined : { startMs: Math.min(dragFromMs, pointerMs), endMs: Math.max(dragFromMs, pointerMs) };

  redraw.current = () => drawPointStrip(canvas.current!, { points, span, stepMs, valueMax, hovered, selected, palette: isDark ? DARK_STRIP : LIGHT_STRIP });
  useLayoutEffect(() => redraw.current());
  useLayoutEffect(() => {
    const scheduler = new FrameScheduler(() => redraw.current());
    const observer = new ResizeObserver(() => scheduler.request());
    observer.observe(canvas.current!); // always rendered below
    return () => {
      observer.disconnect();
      scheduler.stop();
    };
  }, []);

  const timeAt = (event: PointerEvent): number => {
    const edges = canvas.current!.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - edges.left) / edges.width));
    return span.startMs + share * (span.endMs - span.startMs);
  };
  const onPointerUp = (event: PointerEvent): void => {
    const edges = canvas.current!.getBoundingClientRect();
    const msPerPx = (span.endMs - span.startMs) / edges.width;
    const untilMs = timeAt(event);
    if (dragFromMs !== undefined && Math.abs(untilMs - dragFromMs) >= DRAG_MIN_PX * msPerPx) {
      onPick({ startMs: Math.round(Math.min(dragFromMs, untilMs)), endMs: Math.round(Math.max(dragFromMs, untilMs)) });
    }
    setDragFromMs(undefined);
  };

  const hoveredPoint = points[hovered];
  const middleMs = (span.startMs + span.endMs) / 2;
  return (
    <section class="strip" aria-label="Over time">
      <div class="strip-head">
        <span>{valueMax > 0 ? `peak ${formatValue(valueMax, sampleUnit)} in ${formatValue(stepMs, "milliseconds")}` : "no samples in this time"}</span>
        <span class="strip-readout">
          {hoveredPoint === undefined ? "drag to pick a time" : `${formatMoment(hoveredPoint.timestampMs, span)}  ${formatValue(hoveredPoint.value, sampleUnit)}`}
        </span>
      </div>
      <canvas
        ref={canvas}
        class="strip-canvas"
        role="img"
        aria-label={`${points.length} points from ${formatMoment(span.startMs, span)} to ${formatMoment(span.endMs, span)}, peak ${formatValue(valueMax, sampleUnit)}`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDragFromMs(timeAt(event));
          setPointerMs(timeAt(event));
        }}
        onPointerMove={(event) => setPointerMs(timeAt(event))}
        onPointerUp={onPointerUp}
        onPointerCancel={() => setDragFromMs(undefined)}
        onPointerLeave={() => {
          if (dragFromMs === undefined) setPointerMs(undefined);
        }}
      />
      <div class="strip-axis" aria-hidden="true">
        <span>{formatMoment(span.startMs, span)}</span>
        <span>{formatMoment(middleMs, span)}</span>
        <span>{formatMoment(span.endMs, span)}</span>
      </div>
    </section>
  );
}
