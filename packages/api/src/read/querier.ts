/**
 * querier.v1.QuerierService. Each RPC turns the fields of its request into a query for the `ProfileSource`, and the answer into a
 * response. Requests are checked before the source is asked; nothing is computed here.
 *
 * Long answers come from the source as the bytes of the reply: a worker prints a million nodes where it merged them. All label endpoints
 * are forms of one query, `ProfileSource.listing`.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import { RegexBudget } from "@pyromesh/profile";
import type { Alphabet, Int64, Listing } from "@pyromesh/profile";
import { unaryHandler } from "../bodies/connect.ts";
import type { ConnectOptions, UnaryAnswer, UnaryCall, UnaryMethod } from "../bodies/connect.ts";
import { estimateGraphBytes } from "../print/reply-estimate.ts";
import type { Handler } from "../ports/http.ts";
import type { Answer, ListingQuery, MergeQuery, PointsQuery, PprofQuery, ProfileSource, Scope } from "../ports/ports.ts";
import * as q from "../proto/querier-v1.ts";
import { PPROF } from "../proto/pprof-v1.ts";
import type { PprofMessage } from "../proto/pprof-v1.ts";
import * as t from "../proto/types-v1.ts";
import { checkListingLimit, checkMaxNodes, checkPprofNodes, checkRange, checkSeriesLimit, checkStep, limitsOfAll, listingBounds } from "./query-limits.ts";
import type { QueryLimits } from "./query-limits.ts";
import { listingHeaders, receiptHeaders } from "./receipt-headers.ts";
import { checkSameType, readGroupBy, readLabelNames, readSelection, readSelectors, readSeriesQuery } from "./selection.ts";
import type { SelectionInput } from "./selection.ts";

export interface QuerierOptions extends ConnectOptions {
  /** Called for each request, so that reloaded limits apply. */
  readonly limitsOf: (tenant: TenantId) => QueryLimits;
}

export interface QuerierModules {
  readonly source: ProfileSource;
  readonly clock: Clock;
}

export interface RpcRoute {
  readonly path: string;
  readonly handler: Handler;
}

export function querierRoutes(options: QuerierOptions, modules: QuerierModules): readonly RpcRoute[] {
  const querier = new Querier(options, modules);
  const route = <Request extends object, Response extends object>(
    name: string,
    request: UnaryMethod<Request, Response>["request"],
    response: UnaryMethod<Request, Response>["response"],
    handle: UnaryMethod<Request, Response>["handle"],
    estimateReplyBytes?: UnaryMethod<Request, Response>["estimateReplyBytes"],
  ): RpcRoute => {
    const path = `/querier.v1.QuerierService/${name}`;
    return { path, handler: unaryHandler({ path, request, response, handle, estimateReplyBytes }, options) };
  };
  return [
    route("ProfileTypes", q.PROFILE_TYPES_REQUEST, q.PROFILE_TYPES_RESPONSE, (message, call) => querier.profileTypes(message, call)),
    route("LabelNames", t.LABEL_NAMES_REQUEST, t.LABEL_NAMES_RESPONSE, (message, call) => querier.labelNames(message, call)),
    route("LabelValues", t.LABEL_VALUES_REQUEST, t.LABEL_VALUES_RESPONSE, (message, call) => querier.labelValues(message, call)),
    route("Series", q.SERIES_REQUEST, q.SERIES_RESPONSE, (message, call) => querier.series(message, call)),
    route("SelectMergeStacktraces", q.SELECT_MERGE_STACKTRACES_REQUEST, q.SELECT_MERGE_STACKTRACES_RESPONSE, (message, call) =>
      querier.selectMergeStacktraces(message, call),
      ({ maxNodes }) => estimateGraphBytes(maxNodes),
    ),
    route("SelectMergeProfile", q.SELECT_MERGE_PROFILE_REQUEST, PPROF, (message, call) => querier.selectMergeProfile(message, call)),
    route("SelectMergeSpanProfile", q.SELECT_MERGE_SPAN_PROFILE_REQUEST, q.SELECT_MERGE_SPAN_PROFILE_RESPONSE, (message, call) =>
      querier.selectMergeSpanProfile(message, call),
      ({ maxNodes }) => estimateGraphBytes(maxNodes),
    ),
    route("SelectSeries", q.SELECT_SERIES_REQUEST, q.SELECT_SERIES_RESPONSE, (message, call) => querier.selectSeries(message, call)),
    route("SelectHeatmap", q.SELECT_HEATMAP_REQUEST, q.SELECT_HEATMAP_RESPONSE, (message, call) => querier.selectHeatmap(message, call)),
    route("Diff", q.DIFF_REQUEST, q.DIFF_RESPONSE, (message, call) => querier.diff(message, call), ({ left, right }) => estimateGraphBytes(left?.maxNodes, right?.maxNodes)),
    route("GetProfileStats", t.GET_PROFILE_STATS_REQUEST, t.GET_PROFILE_STATS_RESPONSE, (_, call) => querier.getProfileStats(call)),
    route("AnalyzeQuery", q.ANALYZE_QUERY_REQUEST, q.ANALYZE_QUERY_RESPONSE, (message, call) => querier.analyzeQuery(message, call)),
  ];
}

/** `X-Pyromesh-Partial: allow`: the answer may lack what cannot be read, and names it. */
export function allowsPartial(headers: Readonly<Record<string, string>>): boolean {
  return (headers["x-pyromesh-partial"] ?? "").trim().toLowerCase() === "allow";
}

/** The range of a listing that names none: the last hour. */
export const RECENT_MS = 3_600_000;

/** The default of nodes in a Graphviz drawing, which is unreadable with more. */
export const DOT_NODES_DEFAULT = 100;

class Querier {
  readonly #options: QuerierOptions;
  readonly #source: ProfileSource;
  readonly #clock: Clock;

  constructor(options: QuerierOptions, modules: QuerierModules) {
    this.#options = options;
    this.#source = modules.source;
    this.#clock = modules.clock;
  }

  // --- labels -------------------------------------------------------------------------------------------------------

  profileTypes(message: q.ProfileTypesRequest, call: UnaryCall): Promise<UnaryAnswer<q.ProfileTypesResponse>> {
    const nowMs = this.#clock.nowMs();
    const isOpen = Number(message.start) === 0 && Number(message.end) === 0;
    const range = isOpen ? { start: nowMs - RECENT_MS, end: nowMs } : message;
    return this.#listing({ kind: "types" }, { matchers: [], ...range, limit: message.limit }, call);
  }

  labelNames(message: t.LabelNamesRequest, call: UnaryCall): Promise<UnaryAnswer<t.NamesResponse>> {
    return this.#listing({ kind: "names", alphabet: alphabetOf(call) }, message, call);
  }

  async labelValues(message: t.LabelValuesRequest, call: UnaryCall): Promise<UnaryAnswer<t.NamesResponse>> {
    if (message.name === "") throw invalidArgument("LABEL_NAME_MISSING", "name is required: send the label whose values you want");
    return this.#listing({ kind: "values", name: message.name }, message, call);
  }

  async series(message: q.SeriesRequest, call: UnaryCall): Promise<UnaryAnswer<q.SeriesResponse>> {
    // Label names that the caller asks for by name are not filtered.
    return this.#listing({ kind: "series", names: readLabelNames(message.labelNames), alphabet: alphabetOf(call) }, message, call);
  }

  async #listing<T extends object>(listing: Listing, message: ListingMessage, call: UnaryCall): Promise<UnaryAnswer<T>> {
    const query: ListingQuery = {
      ...this.#scope(message, call),
      selectors: readSelectors(message.matchers),
      listing,
      limit: checkListingLimit(message.limit),
      bounds: listingBounds(this.#limits(call)),
      form: call.codec,
    };
    const answer = await this.#source.listing(query, call.signal);
    return { body: answer.value.bytes, headers: listingHeaders(answer) };
  }

  // --- profiles -----------------------------------------------------------------------------------------------------

  async selectMergeStacktraces(message: q.SelectMergeStacktracesRequest, call: UnaryCall): Promise<UnaryAnswer<q.SelectMergeStacktracesResponse>> {
    refuseAsync(message.async);
    const query = this.#mergeQuery(message, message, call);
    const goPgo = goPgoOf(message.stackTraceSelector);
    switch (message.format) {
      case q.FORMAT_TREE: {
        refuseGoPgo(goPgo);
        return printed(await this.#source.treeBytes({ ...query, maxNodes: this.#maxNodes(message.maxNodes, call), form: call.codec }, call.signal));
      }
      case q.FORMAT_DOT: {
        refuseGoPgo(goPgo);
        const maxNodes = Number(message.maxNodes ?? 0) === 0 ? DOT_NODES_DEFAULT : this.#maxNodes(message.maxNodes, call);
        return printed(await this.#source.dot({ ...query, maxNodes, form: call.codec }, call.signal));
      }
      case q.FORMAT_PPROF: {
        const maxNodes = checkPprofNodes(message.maxNodes, this.#limits(call));
        return printed(await this.#source.pprof({ ...query, maxNodes, goPgo, form: `field-${call.codec}` }, call.signal));
      }
      default: {
        refuseGoPgo(goPgo);
        if (message.format < 0 || message.format >= q.PROFILE_FORMATS.length) {
          throw invalidArgument("FORMAT_UNKNOWN", `format ${message.format} is not known: send one of ${q.PROFILE_FORMATS.slice(1).join(", ")}`);
        }
        return printed(await this.#source.flameGraph({ ...query, maxNodes: this.#maxNodes(message.maxNodes, call), form: call.codec }, call.signal));
      }
    }
  }

  async selectMergeProfile(message: q.SelectMergeProfileRequest, call: UnaryCall): Promise<UnaryAnswer<PprofMessage>> {
    const query: PprofQuery = {
      ...this.#mergeQuery(message, message, call),
      maxNodes: checkPprofNodes(message.maxNodes, this.#limits(call)),
      goPgo: goPgoOf(message.stackTraceSelector),
      form: call.codec,
    };
    return printed(await this.#source.pprof(query, call.signal));
  }

  async selectMergeSpanProfile(message: q.SelectMergeSpanProfileRequest, call: UnaryCall): Promise<UnaryAnswer<q.SelectMergeSpanProfileResponse>> {
    const query = { ...this.#mergeQuery(message, message, call), maxNodes: this.#maxNodes(message.maxNodes, call), form: call.codec };
    if (message.format === q.FORMAT_TREE) return printed(await this.#source.treeBytes(query, call.signal));
    if (message.format > q.FORMAT_TREE || message.format < 0) {
      throw invalidArgument("FORMAT_UNKNOWN", "SelectMergeSpanProfile answers a flame graph or a tree: use SelectMergeStacktraces with spanSelector for other formats");
    }
    return printed(await this.#source.flameGraph(query, call.signal));
  }

  async diff(message: q.DiffRequest, call: UnaryCall): Promise<UnaryAnswer<q.DiffResponse>> {
    const [left, right] = [message.left, message.right];
    if (left === undefined || right === undefined) {
      throw invalidArgument("DIFF_SIDE_MISSING", `${left === undefined ? "left" : "right"} is missing: send both sides, each as a SelectMergeStacktraces request`);
    }
    refuseAsync(left.async);
    refuseAsync(right.async);
    const maxNodes = Math.max(this.#maxNodes(left.maxNodes, call), this.#maxNodes(right.maxNodes, call));
    const budget = new RegexBudget();
    const [leftQuery, rightQuery] = [this.#mergeQuery(left, left, call, budget), this.#mergeQuery(right, right, call, budget)];
    checkSameType(leftQuery, rightQuery, ["left", "right"]);
    return printed(await this.#source.diff(leftQuery, rightQuery, { maxNodes, form: call.codec }, call.signal));
  }

  // --- over time ----------------------------------------------------------------------------------------------------

  async selectSeries(message: q.SelectSeriesRequest, call: UnaryCall): Promise<UnaryAnswer<q.SelectSeriesResponse>> {
    const query: PointsQuery = {
      ...this.#mergeQuery(message, message, call),
      stepMs: checkStep(message.step, this.#limits(call)),
      groupBy: readGroupBy(message.groupBy),
      aggregation: message.aggregation === t.AGGREGATION_AVERAGE ? "average" : "sum",
      limit: checkSeriesLimit(message.limit),
      exemplars: exemplarsOf(message.exemplarType),
      form: call.codec,
    };
    return printed(await this.#source.points(query, call.signal));
  }

  async selectHeatmap(message: q.SelectHeatmapRequest, call: UnaryCall): Promise<UnaryAnswer<q.SelectHeatmapResponse>> {
    const query = this.#mergeQuery(message, message, call);
    if (Number(message.start) >= Number(message.end)) throw invalidArgument("TIME_RANGE_BACKWARDS", "a heatmap needs start before end");
    const answer = await this.#source.heatmap(
      {
        ...query,
        stepMs: checkStep(message.step, this.#limits(call)),
        groupBy: readGroupBy(message.groupBy),
        limit: checkSeriesLimit(message.limit),
        of: message.queryType === q.HEATMAP_OF_SPANS ? "span" : "individual",
        exemplars: exemplarsOf(message.exemplarType),
        form: call.codec,
      },
      call.signal,
    );
    return printed(answer);
  }

  // --- about the store ----------------------------------------------------------------------------------------------

  async getProfileStats(call: UnaryCall): Promise<UnaryAnswer<t.GetProfileStatsResponse>> {
    const [tenant, another] = call.tenants;
    if (tenant === undefined || another !== undefined) {
      throw invalidArgument("TENANT_NOT_ONE", `GetProfileStats is about one tenant, this request names ${call.tenants.length}: send one id in X-Scope-OrgID`);
    }
    const stats = await this.#source.stats(tenant, call.signal);
    const message = { dataIngested: stats !== undefined, oldestProfileTime: stats?.oldestMs ?? 0, newestProfileTime: stats?.newestMs ?? 0 };
    return { message, headers: {} };
  }

  async analyzeQuery(message: q.AnalyzeQueryRequest, call: UnaryCall): Promise<UnaryAnswer<q.AnalyzeQueryResponse>> {
    const selectors = message.query.trim() === "" ? [] : [readSeriesQuery(message.query)];
    const answer = await this.#source.analyze({ ...this.#scope(message, call), selectors }, call.signal);
    const { scopes, totalBytesInRange, totalSeries } = answer.value;
    return reply(answer, {
      queryScopes: scopes,
      queryImpact: { totalBytesInTimeRange: totalBytesInRange, totalQueriedSeries: totalSeries, deduplicationNeeded: false },
    });
  }

  // --- what every query needs ---------------------------------------------------------------------------------------

  #scope(range: { readonly start: number | bigint; readonly end: number | bigint }, call: UnaryCall): Scope {
    const limits = this.#limits(call);
    const { startMs, endMs } = checkRange(range.start, range.end, this.#clock.nowMs(), limits);
    return { tenants: call.tenants, startMs, endMs, allowPartial: limits.isPartialAllowed || allowsPartial(call.headers) };
  }

  #mergeQuery(range: { readonly start: number | bigint; readonly end: number | bigint }, selection: SelectionInput, call: UnaryCall, budget?: RegexBudget): MergeQuery {
    return { ...readSelection(selection, budget), ...this.#scope(range, call) };
  }

  #maxNodes(asked: number | bigint | undefined, call: UnaryCall): number {
    return checkMaxNodes(asked, this.#limits(call));
  }

  #limits(call: UnaryCall): QueryLimits {
    return limitsOfAll(call.tenants, this.#options.limitsOf);
  }
}

// --- from requests ----------------------------------------------------------------------------------------------------

interface ListingMessage {
  readonly matchers: readonly string[];
  readonly start: Int64;
  readonly end: Int64;
  readonly limit: Int64;
}

/** Clients that do not declare UTF-8 label names get only names of the classic alphabet. */
function alphabetOf(call: UnaryCall): Alphabet {
  return takesUtf8Names(call.headers["accept"]) ? "utf8" : "legacy";
}

/** `Accept: *\/*;allow-utf8-labelnames=true`. A header that cannot be parsed counts as no. */
function takesUtf8Names(accept: string | undefined): boolean {
  return /;\s*allow-utf8-labelnames\s*=\s*"?true"?\s*(?:[;,]|$)/i.test(accept ?? "");
}

function refuseAsync(request: q.AsyncQueryRequest | undefined): void {
  if (request === undefined || (request.type !== q.ASYNC_FORCE && request.requestId === "")) return;
  throw new CodedError({ code: "ASYNC_UNIMPLEMENTED", kind: "unimplemented", message: "asynchronous queries are not part of Pyromesh: send the query without async" });
}

function goPgoOf(selector: t.StackTraceSelectorMessage | undefined): PprofQuery["goPgo"] {
  const asked = selector?.goPgo;
  return asked === undefined ? undefined : { keepLocations: asked.keepLocations, aggregateCallees: asked.aggregateCallees };
}

/** go_pgo shapes locations, which only a pprof has. A flame graph would ignore it without a word. */
function refuseGoPgo(goPgo: PprofQuery["goPgo"]): void {
  if (goPgo !== undefined) throw invalidArgument("GO_PGO_NEEDS_PPROF", "go_pgo applies only to pprof: ask for PROFILE_FORMAT_PPROF, or use SelectMergeProfile");
}

function exemplarsOf(exemplarType: number): PointsQuery["exemplars"] {
  return exemplarType === t.EXEMPLARS_INDIVIDUAL ? "individual" : exemplarType === t.EXEMPLARS_SPAN ? "span" : "none";
}

// --- to responses -----------------------------------------------------------------------------------------------------

function reply<T extends object>(answer: Pick<Answer<unknown>, "receipt" | "missing" | "isSaturated">, message: T): UnaryAnswer<T> {
  return { message, headers: receiptHeaders(answer) };
}

/** For an answer that is the body of the reply. */
function printed<T extends object>(answer: Answer<Uint8Array>): UnaryAnswer<T> {
  return { body: answer.value, headers: receiptHeaders(answer) };
}
