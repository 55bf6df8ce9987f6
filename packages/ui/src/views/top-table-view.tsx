/** Functions by their cost, next to the flame graph. A row highlights its function there; a heading sorts. */
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { shortName, shownName } from "../model/box-text.ts";
import { DARK_PALETTE, fillOf, LIGHT_PALETTE } from "../model/frame-color.ts";
import type { SearchTerm } from "../model/search.ts";
import { nameTest } from "../model/search.ts";
import type { TableSort, TopRow } from "../model/top-table.ts";
import { nextSort, sortRows } from "../model/top-table.ts";
import { formatShare, formatValue } from "../model/value-format.ts";

interface TopTableViewProps {
  /** Undefined: still loading. */
  readonly rows: readonly TopRow[] | undefined;
  /** How many functions there are. `rows` may be only the first by `order`. */
  readonly functionCount: number;
  readonly order: "self" | "total";
  /** Why there are no rows. */
  readonly error: Error | undefined;
  /** The total of the root, of which shares are computed. */
  readonly whole: number;
  readonly sampleUnit: string;
  readonly search: SearchTerm;
  readonly sort: TableSort;
  readonly isDark: boolean;
  readonly onSort: (sort: TableSort) => void;
  readonly onFunction: (name: string) => void;
}

// A row is a button and five cells. 150 render without a noticeable delay, and few readers go further.
const ROW_PAGE = 150;

export function TopTableView({ rows, functionCount, order, error, whole, sampleUnit, search, sort, isDark, onSort, onFunction }: TopTableViewProps): JSX.Element {
  const [rowCountMax, setRowCountMax] = useState(ROW_PAGE);
  useEffect(() => setRowCountMax(ROW_PAGE), [rows, search, sort]);
  const shown = useMemo(() => {
    const isShown = search.kind === "text" ? nameTest(search) : () => true; // a chosen function is highlighted among its neighbours
    return sortRows(
      (rows ?? []).filter(({ name }) => isShown(name)),
      sort,
    );
  }, [rows, search, sort]);
  const palette = isDark ? DARK_PALETTE : LIGHT_PALETTE;
  const heading = (column: TableSort["column"], text: string): JSX.Element => (
    <th scope="col" class={column} aria-sort={sort.column === column ? sort.direction : "none"}>
      <button type="button" onClick={() => onSort(nextSort(sort, column))}>
        {text}
        <span class="sort-mark" aria-hidden="true">
          {sort.column === column ? (sort.direction === "ascending" ? "▲" : "▼") : ""}
        </span>
      </button>
    </th>
  );
  return (
    <div class="top-scroller" tabIndex={0} role="region" aria-label="Top functions">
      <table class="top-table">
        <thead>
          <tr>
            {heading("name", "Function")}
            {heading("self", "Self")}
            {heading("total", "Total")}
          </tr>
        </thead>
        <tbody>
          {shown.slice(0, rowCountMax).map((row) => {
            const isChosen = search.kind === "function" && search.name === row.name;
            return (
              <tr key={row.name} class={isChosen ? "chosen" : undefined} onClick={() => onFunction(row.name)}>
                <td class="name">
                  <button
                    type="button"
                    title={shownName(row.name)}
                    aria-label={shownName(row.name)}
                    aria-pressed={isChosen}
                    onClick={(event) => {
                      event.stopPropagation();
                      onFunction(row.name);
                    }}
                  >
                    <i class="swatch" style={{ backgroundColor: fillOf(palette, row.name) }} />
                    <bdi>{shortName(shownName(row.name))}</bdi>
                  </button>
                </td>
                <Cost value={row.self} whole={whole} sampleUnit={sampleUnit} />
                <Cost value={row.total} whole={whole} sampleUnit={sampleUnit} />
              </tr>
            );
          })}
        </tbody>
      </table>
      {shown.length > rowCountMax ? (
        <button type="button" class="button more" onClick={() => setRowCountMax(rowCountMax + ROW_PAGE)}>
          Show {Math.min(ROW_PAGE, shown.length - rowCountMax)} more of {shown.length}
        </button>
      ) : null}
      {rows === undefined ? null : <TableEnd rowCount={rows.length} functionCount={functionCount} order={order} shownCount={shown.length} />}
      {rows !== undefined || error === undefined ? null : (
        <p class="note" role="alert">
          The table could not be added up: {error.message}
        </p>
      )}
      {rows !== undefined || error !== undefined ? null : <p class="note">Adding up all functions…</p>}
    </div>
  );
}

/** Says what the rows do not show. */
function TableEnd({ rowCount, functionCount, order, shownCount }: { readonly rowCount: number; readonly functionCount: number; readonly order: string; readonly shownCount: number }): JSX.Element | null {
  if (functionCount > rowCount) {
    return (
      <p class="note">
        {shownCount === 0 ? "No function among these matches: " : ""}
        {formatCount(rowCount)} of {formatCount(functionCount)} functions, the greatest by {order}.
      </p>
    );
  }
  return shownCount === 0 ? <p class="note">No function matches.</p> : null;
}

function formatCount(count: number): string {
  return count.toLocaleString("en");
}

function Cost({ value, whole, sampleUnit }: { readonly value: number; readonly whole: number; readonly sampleUnit: string }): JSX.Element {
  return (
    <td class={value > 0 ? "cost" : "cost none"}>
      <span class="cost-value">{formatValue(value, sampleUnit)}</span>
      <span class="cost-share">{formatShare(value, whole)}</span>
      <i class="cost-bar" style={{ width: `${whole > 0 ? Math.min(1, value / whole) * 100 : 0}%` }} />
    </td>
  );
}
