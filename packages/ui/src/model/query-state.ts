/**
 * Everything on the page that the reader chose, and its form in the URL: a link shows another reader the same page, and Back undoes a
 * choice. What must stay true: parsing a printed state returns the same state, and every URL has a state.
 */
import type { SearchTerm } from "./search.ts";
import { NO_SEARCH, searchFor } from "./search.ts";
import type { TimeRange } from "./time-range.ts";
import { DEFAULT_RANGE, parseRange, printRange } from "./time-range.ts";
import type { TableSort } from "./top-table.ts";
import { DEFAULT_SORT } from "./top-table.ts";

export interface QueryState {
  /** Empty: the server's default tenant. */
  readonly tenant: string;
  /** Empty: not chosen. So is an empty type. */
  readonly service: string;
  readonly profileType: string;
  /** Matchers as the reader typed them. */
  readonly selector: string;
  readonly range: TimeRange;
  readonly search: SearchTerm;
  /** Function names from below the root to the zoomed box. */
  readonly zoom: readonly string[];
  readonly sort: TableSort;
  readonly isAutoRefresh: boolean;
  /** Show a partial answer where the node has no complete one. */
  readonly allowsPartial: boolean;
  /** 0: the server's default. */
  readonly maxNodes: number;
}

export const DEFAULT_STATE: QueryState = {
  tenant: "",
  service: "",
  profileType: "",
  selector: "",
  range: DEFAULT_RANGE,
  search: NO_SEARCH,
  zoom: [],
  sort: DEFAULT_SORT,
  isAutoRefresh: false,
  allowsPartial: false,
  maxNodes: 0,
};

// Servers and proxies refuse URLs of some 8 KB. A longer zoom path is left out, and the link then shows the whole graph.
const ZOOM_LENGTH_MAX = 4000;

/** The text after `?`; empty for the default state. */
export function printQueryState(state: QueryState): string {
  const params = new URLSearchParams();
  const put = (name: string, value: string, isDefault: boolean): void => {
    if (!isDefault) params.append(name, value);
  };
  put("tenant", state.tenant, state.tenant === "");
  put("service", state.service, state.service === "");
  put("type", state.profileType, state.profileType === "");
  put("selector", state.selector, state.selector === "");
  const { from, until } = printRange(state.range);
  const isDefaultRange = from === printRange(DEFAULT_RANGE).from;
  put("from", from, isDefaultRange);
  put("until", until, isDefaultRange);
  if (state.search.kind === "text") params.append("search", state.search.text);
  if (state.search.kind === "function") params.append("function", state.search.name);
  if (encodeURIComponent(state.zoom.join("")).length <= ZOOM_LENGTH_MAX) for (const name of state.zoom) params.append("zoom", name);
  put("sort", `${state.sort.column}-${state.sort.direction}`, state.sort.column === DEFAULT_SORT.column && state.sort.direction === DEFAULT_SORT.direction);
  put("refresh", "10s", !state.isAutoRefresh);
  put("partial", "allow", !state.allowsPartial);
  put("max-nodes", String(state.maxNodes), state.maxNodes === 0);
  return params.toString();
}

/** Never throws: values that it cannot read count as absent. */
export function parseQueryState(params: URLSearchParams): QueryState {
  const functionName = params.get("function");
  return {
    tenant: params.get("tenant") ?? "",
    service: params.get("service") ?? "",
    profileType: params.get("type") ?? "",
    selector: params.get("selector") ?? "",
    range: parseRange(params.get("from"), params.get("until")) ?? DEFAULT_RANGE,
    search: functionName !== null ? { kind: "function", name: functionName } : searchFor(params.get("search") ?? ""),
    zoom: params.getAll("zoom"),
    sort: parseSort(params.get("sort")),
    isAutoRefresh: params.get("refresh") === "10s",
    allowsPartial: params.get("partial") === "allow",
    maxNodes: parseCount(params.get("max-nodes")),
  };
}

function parseSort(text: string | null): TableSort {
  const [column, direction] = (text ?? "").split("-");
  if ((column === "name" || column === "self" || column === "total") && (direction === "ascending" || direction === "descending")) {
    return { column, direction };
  }
  return DEFAULT_SORT;
}

function parseCount(text: string | null): number {
  return text !== null && /^\d{1,7}$/.test(text) ? Number(text) : 0;
}
