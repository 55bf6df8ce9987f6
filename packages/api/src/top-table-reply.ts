/** A top table as the bytes of its reply. Pure, and called in a worker: a table may have a row for each of a hundred thousand functions. */
import { encodeUtf8 } from "@pyromesh/base";
import type { TopTable } from "@pyromesh/profile";
import { encodeBinary } from "./proto/binary.ts";
import { encodeJson } from "./proto/json.ts";
import { SELECT_TOP_TABLE_RESPONSE } from "./proto/pyromesh-query-v1.ts";

export type TopTableForm = "json" | "proto";

export function printTopTable({ rows, total, rowCount }: TopTable, form: TopTableForm): Uint8Array {
  const message = { functions: rows, total, functionCount: rowCount };
  return form === "proto" ? encodeBinary(SELECT_TOP_TABLE_RESPONSE, message) : encodeUtf8(encodeJson(SELECT_TOP_TABLE_RESPONSE, message));
}
