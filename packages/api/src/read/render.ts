/**
 * The render API of older clients and of Grafana's Profiles Drilldown: one GET for a flame graph with its timeline, in JSON, Graphviz or
 * pprof.
 */
import { invalidArgument } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import { RegexBudget } from "@pyromesh/profile";
import type { ProfileType } from "@pyromesh/profile";
import { parseAttime } from "./attime.ts";
import { estimateGraphBytes } from "../print/reply-estimate.ts";
import type { ApiReply, ApiRequest, Handler } from "../ports/http.ts";
import type { ListingQuery, MergeQuery, ProfileSource, Scope } from "../ports/ports.ts";
import { allowsPartial, DOT_NODES_DEFAULT, RECENT_MS } from "./querier.ts";
import { checkListingLimit, checkMaxNodes, checkPprofNodes, checkRange, limitsOfAll, listingBounds } from "./query-limits.ts";
import type { QueryLimits } from "./query-limits.ts";
import { listingHeaders, receiptHeaders } from "./receipt-headers.ts";
import { timelineStep } from "../print/render-timeline.ts";
import { checkSameType, readGroupBy, readRenderQuery, readSeriesQuery } from "./selection.ts";

interface RenderOptions {
  readonly limitsOf: (tenant: TenantId) => QueryLimits;
}

interface RenderModules {
  readonly source: ProfileSource;
  readonly clock: Clock;
}

/** GET /pyroscope/render */
export function renderHandler(options: RenderOptions, modules: RenderModules): Handler {
  return async (request) => {
    const { query: parameters, signal } = request;
    const { limits, nowMs } = context(request, options, modules);
    const query = mergeQuery(request, { query: "query", from: "from", until: "until" }, limits, nowMs);
    const asked = maxNodesOf(parameters);
    switch (parameters.get("format")) {
      case "dot": {
        const maxNodes = asked === 0 ? DOT_NODES_DEFAULT : checkMaxNodes(asked, limits);
        const answer = await modules.source.dot({ ...query, maxNodes, form: "text" }, signal);
        return { status: 200, headers: { ...receiptHeaders(answer), "content-type": "text/plain; charset=utf-8" }, body: answer.value };
      }
      case "pprof": {
        const answer = await modules.source.pprof({ ...query, maxNodes: checkPprofNodes(asked, limits), goPgo: undefined, form: "proto" }, signal);
        return { status: 200, headers: { ...receiptHeaders(answer), ...pprofHeaders(query.profileType) }, body: await request.compression.gzip(answer.value) };
      }
      default: {
        const maxNodes = checkMaxNodes(asked, limits);
        await request.reserveReply(estimateGraphBytes(maxNodes));
        return renderJson(request, query, maxNodes, modules.source);
      }
    }
  };
}

async function renderJson(request: ApiRequest, query: MergeQuery, maxNodes: number, source: ProfileSource): Promise<ApiReply> {
  const groupBy = readGroupBy(request.query.getAll("groupBy").filter((name) => name !== ""));
  const stepMs = timelineStep(query.startMs, query.endMs) * 1000;
  const aggregation = request.query.get("aggregation") === "avg" ? "average" : "sum";
  const answer = await source.render({ ...query, maxNodes, stepMs, groupBy, aggregation }, request.signal);
  return { status: 200, headers: { ...receiptHeaders(answer), "content-type": "application/json" }, body: answer.value };
}

/** GET /pyroscope/render-diff */
export function renderDiffHandler(options: RenderOptions, modules: RenderModules): Handler {
  return async (request) => {
    const { limits, nowMs } = context(request, options, modules);
    const budget = new RegexBudget();
    const left = mergeQuery(request, { query: "leftQuery", from: "leftFrom", until: "leftUntil" }, limits, nowMs, budget);
    const right = mergeQuery(request, { query: "rightQuery", from: "rightFrom", until: "rightUntil" }, limits, nowMs, budget);
    checkSameType(left, right, ["leftQuery", "rightQuery"]);
    const maxNodes = checkMaxNodes(maxNodesOf(request.query), limits);
    await request.reserveReply(estimateGraphBytes(maxNodes));
    const answer = await modules.source.diff(left, right, { maxNodes, form: "render" }, request.signal);
    return { status: 200, headers: { ...receiptHeaders(answer), "content-type": "application/json" }, body: answer.value };
  };
}

/** GET /pyroscope/label-values: profile types for `label=__name__`, else the values of the label; at most `limit`. */
export function labelValuesHandler(options: RenderOptions, modules: RenderModules): Handler {
  return async (request) => {
    const label = request.query.get("label") ?? "";
    if (label === "") throw invalidArgument("LABEL_NAME_MISSING", `"label" is required: name the label whose values you want`);
    const { limits, nowMs } = context(request, options, modules);
    const text = request.query.get("query") ?? "";
    const selectors = text.trim() === "" ? [] : [readSeriesQuery(text)];
    const start = timeOf(request, "from", nowMs, nowMs - RECENT_MS);
    const end = timeOf(request, "until", nowMs, nowMs);
    const query: ListingQuery = {
      ...scope(request, start, end, limits, nowMs),
      selectors,
      listing: label === "__name__" ? { kind: "types" } : { kind: "values", name: label },
      limit: limitOf(request.query),
      bounds: listingBounds(limits),
      form: "array",
    };
    const answer = await modules.source.listing(query, request.signal);
    return { status: 200, headers: { ...listingHeaders(answer), "content-type": "application/json" }, body: answer.value.bytes };
  };
}

// --- parameters -------------------------------------------------------------------------------------------------------

function context(request: ApiRequest, options: RenderOptions, modules: RenderModules): { limits: QueryLimits; nowMs: number } {
  return { limits: limitsOfAll(request.tenants, options.limitsOf), nowMs: modules.clock.nowMs() };
}

interface QueryParameters {
  readonly query: string;
  readonly from: string;
  readonly until: string;
}

function mergeQuery(request: ApiRequest, names: QueryParameters, limits: QueryLimits, nowMs: number, budget?: RegexBudget): MergeQuery {
  const { profileType, selector } = readRenderQuery(request.query.get(names.query), names.query, budget);
  const start = timeOf(request, names.from, nowMs, nowMs);
  const end = timeOf(request, names.until, nowMs, nowMs);
  return { ...scope(request, start, end, limits, nowMs), profileType, selector, callSite: [], profileIds: [], spanIds: [], traceIds: [] };
}

function scope(request: ApiRequest, start: number, end: number, limits: QueryLimits, nowMs: number): Scope {
  const { startMs, endMs } = checkRange(start, end, nowMs, limits);
  return { tenants: request.tenants, startMs, endMs, allowPartial: limits.isPartialAllowed || allowsPartial(request.headers) };
}

function timeOf(request: ApiRequest, name: string, nowMs: number, absentMs: number): number {
  const text = request.query.get(name);
  return text === null || text === "" ? absentMs : parseAttime(text, nowMs);
}

/** Text that is no number counts as absent, like 0: so it does in Pyroscope. */
function maxNodesOf(parameters: URLSearchParams): number {
  const numberOf = (name: string): number => {
    const text = parameters.get(name) ?? "";
    return /^[+-]?\d+$/.test(text) ? Number(text) : 0;
  };
  return numberOf("maxNodes") || numberOf("max-nodes");
}

/** Our own parameter, so wrong text is refused: if it counted as absent, the answer would be longer than asked for. */
function limitOf(parameters: URLSearchParams): number {
  const text = parameters.get("limit") ?? "";
  if (text === "") return 0;
  if (!/^[+-]?\d+$/.test(text)) throw invalidArgument("LIMIT_INVALID", `limit is ${JSON.stringify(text.slice(0, 40))}: send a whole number, or none`);
  return checkListingLimit(Number(text));
}

// --- the reply --------------------------------------------------------------------------------------------------------

/** A file without content encoding: `go tool pprof URL` recognises gzip by its magic bytes. */
function pprofHeaders(type: ProfileType): Record<string, string> {
  const name = `${type.name}-${type.sampleType}`.replace(/[^A-Za-z0-9_.-]/g, "_");
  return { "content-type": "application/octet-stream", "content-disposition": `attachment; filename="${name}.pb.gz"` };
}
