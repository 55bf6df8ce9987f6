/** pyromesh.query.v1: field tables of our own queries, the same as `proto/pyromesh/query/v1/query.proto`. */
import type { Int64 } from "@pyromesh/profile";
import { enumeration, message, nested, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";
import { STACK_TRACE_SELECTOR } from "./types-v1.ts";
import type { StackTraceSelectorMessage } from "./types-v1.ts";

export const SORT_BY_TOTAL = 2;
export const TOP_TABLE_SORTS: readonly string[] = ["TOP_TABLE_SORT_UNSPECIFIED", "TOP_TABLE_SORT_SELF", "TOP_TABLE_SORT_TOTAL"];

export interface SelectTopTableRequest {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly start: Int64;
  readonly end: Int64;
  /** 0: as many as the limits allow. */
  readonly limit: Int64;
  readonly sort: number;
  readonly stackTraceSelector: StackTraceSelectorMessage | undefined;
  readonly profileIdSelector: readonly string[];
  /** "": all functions. */
  readonly nameContains: string;
  readonly traceIdSelector: readonly string[];
  readonly spanSelector: readonly string[];
}

export const SELECT_TOP_TABLE_REQUEST: MessageSchema<SelectTopTableRequest> = message("pyromesh.query.v1.SelectTopTableRequest", [
  scalar(1, "profile_typeID", "string", { jsonName: "profileTypeID" }),
  scalar(2, "label_selector", "string"),
  scalar(3, "start", "int64"),
  scalar(4, "end", "int64"),
  scalar(5, "limit", "int64"),
  enumeration(6, "sort", "pyromesh.query.v1.TopTableSort", TOP_TABLE_SORTS),
  nested(7, "stack_trace_selector", STACK_TRACE_SELECTOR, { isOptional: true }),
  scalar(8, "profile_id_selector", "string", { isRepeated: true }),
  scalar(9, "name_contains", "string"),
  scalar(10, "trace_id_selector", "string", { isRepeated: true }),
  scalar(11, "span_selector", "string", { isRepeated: true }),
]);

interface TopFunctionMessage {
  readonly name: string;
  readonly self: Int64;
  readonly total: Int64;
}

const TOP_FUNCTION: MessageSchema<TopFunctionMessage> = message("pyromesh.query.v1.TopFunction", [
  scalar(1, "name", "string"),
  scalar(2, "self", "int64"),
  scalar(3, "total", "int64"),
]);

export interface SelectTopTableResponse {
  readonly functions: readonly TopFunctionMessage[];
  readonly total: Int64;
  readonly functionCount: Int64;
}

export const SELECT_TOP_TABLE_RESPONSE: MessageSchema<SelectTopTableResponse> = message("pyromesh.query.v1.SelectTopTableResponse", [
  nested(1, "functions", TOP_FUNCTION, { isRepeated: true }),
  scalar(2, "total", "int64"),
  scalar(3, "function_count", "int64"),
]);
