/**
 * The flame graph of the page: a canvas in a scrolling box, its tooltip and its keys. The canvas serves eyes and pointers; a live region
 * names the box with the keyboard focus, and the table next to it has the same values as text.
 */
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { spokenName } from "../model/box-text.ts";
import type { FlameGraphLayout } from "../model/flame-graph-layout.ts";
import { boxName } from "../model/flame-graph-layout.ts";
import { DARK_PALETTE, LIGHT_PALETTE } from "../model/frame-color.ts";
import type { Direction } from "../model/navigation.ts";
import { boxBeside } from "../model/navigation.ts";
import type { SearchMatches } from "../model/search.ts";
import { formatShare, formatValue } from "../model/value-format.ts";
import { FlameGraphCanvas, ROW_PX } from "../render/flame-graph-canvas.ts";

interface FlameGraphViewProps {
  readonly layout: FlameGraphLayout;
  readonly focus: number;
  readonly matches: SearchMatches | undefined;
  readonly sampleUnit: string;
  readonly isDark: boolean;
  readonly onZoom: (box: number) => void;
  readonly onClearSearch: () => void;
}

interface Tip {
  readonly box: number;
  readonly xPx: number;
  readonly yPx: number;
}

const ARROWS: Readonly<Record<string, Direction>> = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right" };

export function FlameGraphView({ layout, focus, matches, sampleUnit, isDark, onZoom, onClearSearch }: FlameGraphViewProps): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawing = useRef<FlameGraphCanvas | undefined>(undefined);
  const [tip, setTip] = useState<Tip | undefined>(undefined);
  const [selected, setSelected] = useState(-1);
  const [scrollTopPx, setScrollTopPx] = useState(0);
  const heightPx = useMemo(() => depthWithin(layout, focus) * ROW_PX, [layout, focus]);

  useLayoutEffect(() => {
    const flame = new FlameGraphCanvas(canvas.current!); // always rendered below
    drawing.current = flame;
    const observer = new ResizeObserver(() => flame.redraw());
    observer.observe(canvas.current!);
    return () => {
      observer.disconnect();
      flame.stop();
    };
  }, []);

  useEffect(() => {
    setTip(undefined);
    setSelected(-1);
  }, [layout]);

  // A zoom scrolls to the top of its box, with two callers above it for context.
  useLayoutEffect(() => {
    scroller.current!.scrollTop = Math.max(0, ((layout.level[focus] ?? 0) - 2) * ROW_PX);
  }, [layout, focus]);

  useLayoutEffect(() => {
    drawing.current!.show({
      layout,
      focus,
      matches,
      hovered: tip?.box ?? -1,
      selected,
      scrollTopPx,
      palette: isDark ? DARK_PALETTE : LIGHT_PALETTE,
    });
  });

  const onPointerMove = (event: PointerEvent): void => {
    if (event.pointerType === "touch") return; // a touch zooms, and the line above the graph names the box
    const edges = canvas.current!.getBoundingClientRect();
    const box = drawing.current!.boxAtPoint(event.clientX - edges.left, event.clientY - edges.top);
    setTip(box === -1 ? undefined : { box, xPx: event.clientX, yPx: event.clientY });
  };

  const onClick = (event: MouseEvent): void => {
    const edges = canvas.current!.getBoundingClientRect();
    const box = drawing.current!.boxAtPoint(event.clientX - edges.left, event.clientY - edges.top);
    if (box === -1) return;
    setTip(undefined);
    onZoom(box);
  };

  const select = (box: number): void => {
    setSelected(box);
    const view = scroller.current!;
    const topPx = layout.level[box]! * ROW_PX;
    if (topPx < view.scrollTop) view.scrollTop = topPx;
    else if (topPx + ROW_PX > view.scrollTop + view.clientHeight) view.scrollTop = topPx + ROW_PX - view.clientHeight;
    setTip(undefined);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const direction = ARROWS[event.key];
    if (direction !== undefined && !event.altKey && !event.ctrlKey && !event.metaKey) {
      select(selected === -1 ? focus : boxBeside(layout, selected, direction, focus));
    } else if (event.key === "Home") {
      select(0);
    } else if (event.key === "Enter" && selected !== -1) {
      onZoom(selected);
    } else if (event.key === "Escape") {
      setTip(undefined);
      if (focus !== 0) onZoom(0);
      else if (selected !== -1) setSelected(-1);
      else onClearSearch();
    } else {
      return;
    }
    event.preventDefault();
  };

  const spoken = selected === -1 ? "" : describeBox(layout, selected, focus, sampleUnit);
  return (
    <>
      <div
        class="flame-scroller"
        ref={scroller}
        tabIndex={0}
        role="application"
        aria-label="Flame graph"
        aria-describedby="flame-keys"
        onScroll={(event) => setScrollTopPx(event.currentTarget.scrollTop)}
        onKeyDown={onKeyDown}
        onBlur={() => setSelected(-1)}
      >
        <div class="flame-extent" style={{ height: `${heightPx}px` }}>
          <canvas class="flame-canvas" ref={canvas} aria-hidden="true" onPointerMove={onPointerMove} onPointerLeave={() => setTip(undefined)} onClick={onClick} />
        </div>
      </div>
      <p class="flame-line" aria-live="polite">
        {spoken === "" ? (
          <span id="flame-keys">Click a box to zoom. Keys: arrows move, Enter zooms, Escape goes back.</span>
        ) : (
          <span>{spoken}</span>
        )}
      </p>
      {tip === undefined || tip.box >= layout.boxCount ? null : <Tooltip layout={layout} tip={tip} focus={focus} sampleUnit={sampleUnit} />}
    </>
  );
}

function Tooltip({ layout, tip, focus, sampleUnit }: { readonly layout: FlameGraphLayout; readonly tip: Tip; readonly focus: number; readonly sampleUnit: string }): JSX.Element {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const tooltip = element.current!; // always rendered below
    const { offsetWidth, offsetHeight } = tooltip;
    const leftPx = Math.min(tip.xPx + 14, window.innerWidth - offsetWidth - 8);
    const isBelow = tip.yPx + 16 + offsetHeight < window.innerHeight;
    tooltip.style.left = `${Math.max(8, leftPx)}px`;
    tooltip.style.top = `${isBelow ? tip.yPx + 16 : Math.max(8, tip.yPx - offsetHeight - 10)}px`;
  });
  const total = layout.total[tip.box]!;
  const self = layout.self[tip.box]!;
  const whole = layout.total[0]!;
  const isZoomed = focus !== 0;
  return (
    <div class="tooltip" ref={element} role="presentation">
      <div class="tooltip-name">{spokenName(boxName(layout, tip.box))}</div>
      <table>
        <thead>
          <tr>
            <th />
            <th>value</th>
            <th>of total</th>
            {isZoomed ? <th>of zoomed</th> : null}
          </tr>
        </thead>
        <tbody>
          {[
            { title: "self", value: self },
            { title: "total", value: total },
          ].map(({ title, value }) => (
            <tr key={title}>
              <th>{title}</th>
              <td>{formatValue(value, sampleUnit)}</td>
              <td>{formatShare(value, whole)}</td>
              {isZoomed ? <td>{formatShare(Math.min(value, layout.total[focus]!), layout.total[focus]!)}</td> : null}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function describeBox(layout: FlameGraphLayout, box: number, focus: number, sampleUnit: string): string {
  const total = layout.total[box]!;
  const self = layout.self[box]!;
  const zoomed = focus === 0 || box < focus ? "" : `, ${formatShare(total, layout.total[focus]!)} of zoomed`;
  return `${spokenName(boxName(layout, box))}: total ${formatValue(total, sampleUnit)}, ${formatShare(total, layout.total[0]!)}${zoomed}; self ${formatValue(self, sampleUnit)}, ${formatShare(self, layout.total[0]!)}`;
}

/** Levels from the root to the deepest box within the zoom: the height of the scrolled content. */
function depthWithin(layout: FlameGraphLayout, focus: number): number {
  let depth = layout.levelCount;
  const startOfFocus = layout.start[focus] ?? 0;
  const endOfFocus = startOfFocus + (layout.total[focus] ?? 0);
  while (depth > 1) {
    const first = layout.levelStart[depth - 1]!;
    const end = layout.levelStart[depth]!;
    let low = first;
    let high = end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (layout.start[middle]! >= startOfFocus) high = middle;
      else low = middle + 1;
    }
    if (depth - 1 <= (layout.level[focus] ?? 0) || (low < end && layout.start[low]! < endOfFocus)) return depth;
    depth -= 1;
  }
  return depth;
}
