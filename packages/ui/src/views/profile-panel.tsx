/** The two views of one profile, side by side, with the search, the zoom and the total that they share. */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Answered, TopFunctions } from "../client.ts";
import { shownName } from "../model/box-text.ts";
import type { FlameGraphLayout } from "../model/flame-graph-layout.ts";
import { boxName, boxOfPath, pathOf } from "../model/flame-graph-layout.ts";
import type { QueryState } from "../model/query-state.ts";
import { sampleUnitOf } from "../model/service-catalog.ts";
import { findMatches, matchedTotal, NO_SEARCH, searchFor } from "../model/search.ts";
import { topRows } from "../model/top-table.ts";
import { formatShare, formatValue } from "../model/value-format.ts";
import { FlameGraphView } from "./flame-graph-view.tsx";
import { TopTableView } from "./top-table-view.tsx";
import type { Answer } from "./use-answer.ts";
import type { ChangeState } from "./use-query-state.ts";

interface ProfilePanelProps {
  readonly layout: FlameGraphLayout;
  /** The zoomed box. */
  readonly focus: number;
  /** The table computed by the node; undefined where the graph is complete. */
  readonly top: Answer<Answered<TopFunctions>> | undefined;
  readonly state: QueryState;
  readonly isDark: boolean;
  readonly onChange: ChangeState;
}

export function ProfilePanel({ layout, focus, top, state, isDark, onChange }: ProfilePanelProps): JSX.Element {
  const unit = sampleUnitOf(state.profileType);
  const matches = useMemo(() => findMatches(layout, state.search), [layout, state.search]);
  const isWhole = top === undefined;
  const ownRows = useMemo(() => (isWhole ? topRows(layout, focus) : []), [layout, focus, isWhole]);
  const table = top === undefined ? { rows: ownRows, functionCount: ownRows.length } : top.value?.value;
  const whole = layout.total[0] ?? 0;
  const searchInput = useRef<HTMLInputElement>(null);

  // "/" moves the focus to the search, as in many tools, unless the reader is typing.
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey) return;
      searchInput.current?.focus();
      event.preventDefault();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);

  const searchText = state.search.kind === "text" ? state.search.text : state.search.kind === "function" ? shownName(state.search.name) : "";
  const onFunction = (name: string): void => {
    const isChosen = state.search.kind === "function" && state.search.name === name;
    onChange({ search: isChosen ? NO_SEARCH : { kind: "function", name } }, "replace");
  };
  const onZoom = (box: number): void => {
    const isSame = box === focus && state.zoom.length > 0;
    if (isSame || (box === 0 && state.zoom.length === 0)) return;
    // The box of what was cut off has the same path as a function called `other` next to it. For it the caller is shown.
    const path = pathOf(layout, box);
    onChange({ zoom: boxOfPath(layout, path) === box ? path : path.slice(0, -1) });
  };
  return (
    <main class="profile">
      <section class="panel flame-panel" aria-label="Flame graph">
        <div class="panel-head">
          <label class="search">
            <span class="off-screen">Search functions</span>
            <input
              ref={searchInput}
              type="search"
              placeholder="Search functions ( / )"
              spellcheck={false}
              autocomplete="off"
              autocapitalize="off"
              value={searchText}
              onInput={(event) => onChange({ search: searchFor(event.currentTarget.value) }, "replace")}
              onKeyDown={(event) => {
                if (event.key === "Escape") onChange({ search: NO_SEARCH }, "replace");
              }}
            />
          </label>
          <span class="matched" role="status">
            {matches === undefined ? "" : matchedText(layout, matches.functionCount, matchedTotal(layout, matches, 0), matchedTotal(layout, matches, focus), focus)}
          </span>
          <span class="total">
            total <strong>{formatValue(whole, unit)}</strong>
          </span>
        </div>
        {focus === 0 ? null : (
          <div class="zoomed">
            <button type="button" class="button" onClick={() => onZoom(0)}>
              Reset zoom
            </button>
            <bdi class="zoomed-name" title={shownName(boxName(layout, focus))}>
              {shownName(boxName(layout, focus))}
            </bdi>
            <span class="zoomed-cost">
              {formatValue(layout.total[focus]!, unit)}, {formatShare(layout.total[focus]!, whole)} of total
            </span>
          </div>
        )}
        <FlameGraphView layout={layout} focus={focus} matches={matches} sampleUnit={unit} isDark={isDark} onZoom={onZoom} onClearSearch={() => onChange({ search: NO_SEARCH }, "replace")} />
      </section>
      <section class={top?.isLoading === true ? "panel table-panel is-waiting" : "panel table-panel"} aria-label="Top table" aria-busy={top?.isLoading === true}>
        <TopTableView
          rows={table?.rows}
          functionCount={table?.functionCount ?? 0}
          order={state.sort.column === "total" ? "total" : "self"}
          error={top?.error}
          whole={whole}
          sampleUnit={unit}
          search={state.search}
          sort={state.sort}
          isDark={isDark}
          onSort={(sort) => onChange({ sort }, "replace")}
          onFunction={onFunction}
        />
      </section>
    </main>
  );
}

function matchedText(layout: FlameGraphLayout, functionCount: number, matched: number, matchedInZoom: number, focus: number): string {
  if (functionCount === 0) return "no match";
  const functions = functionCount === 1 ? "1 function" : `${functionCount} functions`;
  const zoomed = focus === 0 ? "" : `, ${formatShare(matchedInZoom, layout.total[focus]!)} of zoomed`;
  return `${functions}, ${formatShare(matched, layout.total[0]!)} of total${zoomed}`;
}
