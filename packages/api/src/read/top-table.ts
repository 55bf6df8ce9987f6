/**
 * pyromesh.query.v1.QueryService: queries that Pyroscope does not have. SelectTopTable adds up all stacktraces before anything is
 * truncated, so its values are right where a flame graph with few nodes shows most functions as "other".
 */
import { invalidArgument } from "@pyromesh/base";
import type { Int64 } from "@pyromesh/profile";
import { unaryHandler } from "../bodies/connect.ts";
import type { UnaryAnswer, UnaryCall } from "../bodies/connect.ts";
import * as p from "../proto/pyromesh-query-v1.ts";
import { allowsPartial } from "./querier.ts";
import type { QuerierModules, QuerierOptions, RpcRoute } from "./querier.ts";
import { checkRange, limitsOfAll } from "./query-limits.ts";
import type { QueryLimits } from "./query-limits.ts";
import { receiptHeaders } from "./receipt-headers.ts";
import { readSelection } from "./selection.ts";

const SELECT_TOP_TABLE = "/pyromesh.query.v1.QueryService/SelectTopTable";

export function topTableRoute(options: QuerierOptions, modules: QuerierModules): RpcRoute {
  const handle = (message: p.SelectTopTableRequest, call: UnaryCall): Promise<UnaryAnswer<p.SelectTopTableResponse>> => selectTopTable(message, call, options, modules);
  const method = { path: SELECT_TOP_TABLE, request: p.SELECT_TOP_TABLE_REQUEST, response: p.SELECT_TOP_TABLE_RESPONSE, handle };
  return { path: SELECT_TOP_TABLE, handler: unaryHandler(method, options) };
}

async function selectTopTable(
  message: p.SelectTopTableRequest,
  call: UnaryCall,
  options: QuerierOptions,
  { clock, source }: QuerierModules,
): Promise<UnaryAnswer<p.SelectTopTableResponse>> {
  const limits = limitsOfAll(call.tenants, options.limitsOf);
  const selection = readSelection(message);
  if (message.stackTraceSelector?.goPgo !== undefined) throw invalidArgument("GO_PGO_NEEDS_PPROF", "go_pgo applies only to pprof: use SelectMergeProfile");
  if (message.sort < 0 || message.sort >= p.TOP_TABLE_SORTS.length) {
    throw invalidArgument("SORT_UNKNOWN", `sort ${message.sort} is not known: send one of ${p.TOP_TABLE_SORTS.slice(1).join(", ")}`);
  }
  const range = checkRange(message.start, message.end, clock.nowMs(), limits);
  const answer = await source.topTable(
    {
      ...selection,
      ...range,
      tenants: call.tenants,
      allowPartial: limits.isPartialAllowed || allowsPartial(call.headers),
      limit: rowLimit(message.limit, limits),
      sort: message.sort === p.SORT_BY_TOTAL ? "total" : "self",
      nameContains: message.nameContains,
      form: call.codec,
    },
    call.signal,
  );
  return { body: answer.value, headers: receiptHeaders(answer) };
}

/** The limit on nodes applies to rows: a row costs about as much. A table that is cut off says so by its `functionCount`. */
function rowLimit(asked: Int64, { flameGraphNodesMax: countMax }: QueryLimits): number {
  const limit = Number(asked);
  if (limit < 0) throw invalidArgument("LIMIT_INVALID", `limit is ${limit}: send a positive number, or none for as many as max_flamegraph_nodes_max allows`);
  if (limit === 0) return countMax;
  return countMax === 0 ? limit : Math.min(limit, countMax);
}
