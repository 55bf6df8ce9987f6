/** Reads a top table from the API's answer (`pyromesh.query.v1.QueryService/SelectTopTable`). */
import { CodedError } from "@pyromesh/base";
import type { Int64, TopTable } from "@pyromesh/profile";

/** Throws `REPLY_INVALID`. */
export function readTopTableReply(reply: unknown): TopTable {
  const { functions = [], total, functionCount } = recordOf(reply);
  if (!Array.isArray(functions)) throw invalid("functions that are not a list");
  const rows = functions.map((item: unknown) => {
    const { name = "", self, total: rowTotal } = recordOf(item);
    if (typeof name !== "string") throw invalid("a name that is not text");
    return { name, self: toInt64(self), total: toInt64(rowTotal) };
  });
  return { rows, total: toInt64(total), rowCount: Number(toInt64(functionCount)), isSaturated: false };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw invalid("something that is not a message");
  return value as Record<string, unknown>; // an object has text keys
}

/** In Connect's JSON an int64 is a text, and 0 is left out. */
function toInt64(value: unknown): Int64 {
  if (value === undefined) return 0;
  try {
    const whole = BigInt(value as string | number);
    return whole <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(whole) : whole;
  } catch {
    throw invalid("something that is not a whole number");
  }
}

function invalid(found: string): CodedError {
  return new CodedError({ code: "REPLY_INVALID", kind: "internal", message: `the top table in the answer holds ${found}: is this a Pyromesh?` });
}
