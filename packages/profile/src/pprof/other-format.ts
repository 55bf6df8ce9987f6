/**
 * Bytes that cannot be read as what they were sent as may be a profile of another format: a recording sent without `format=jfr`, say. The refusal
 * then names that format. It is found by how the bytes begin, and only told: nothing is read as what it only looks like.
 */
import { CodedError } from "@pyromesh/base";
import { namedRefusal } from "../labels/refusal.ts";

/** The values of `format` on /ingest that can be told apart. */
type FormatName = "pprof" | "jfr" | "speedscope" | "folded";

/** `sentAs`: not named, since that is what could not be read. Errors that are no refusals of malformed bytes stay as they are. */
export function namingOtherFormat(error: unknown, bytes: Uint8Array, sentAs: string): unknown {
  if (!(error instanceof CodedError) || error.code !== "PROFILE_MALFORMED") return error;
  const format = formatAtSight(bytes);
  return format === undefined || format === sentAs ? error : namedRefusal(`these bytes begin as ${SHOWN[format]}, which /ingest takes with format=${format}, and cannot be read as what they were sent as`, error);
}

const SHOWN: Readonly<Record<FormatName, string>> = {
  pprof: "a pprof profile",
  jfr: "a JFR recording",
  speedscope: "a speedscope file",
  folded: "folded stacks",
};

/** How much of the bytes is looked at. */
const BEGIN_BYTES = 4096;

function formatAtSight(bytes: Uint8Array): FormatName | undefined {
  if (bytes[0] === 0x46 && bytes[1] === 0x4c && bytes[2] === 0x52 && bytes[3] === 0) return "jfr"; // "FLR\0"
  // A sample type, which is its type (field 1) and its unit (field 2), comes first in what profilers write.
  if (bytes[0] === 0x0a && bytes[1]! <= 6 && bytes[2] === 0x08 && bytes[4] === 0x10) return "pprof";
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, BEGIN_BYTES)).toString("utf8");
  if (/^\ufeff?\s*\{/.test(text)) return text.includes("speedscope.app/file-format-schema.json") ? "speedscope" : undefined;
  return /^\ufeff?[\p{L}\p{N}\p{P}\p{S} ]+[ \t][0-9]+\r?(\n|$)/u.test(text) ? "folded" : undefined;
}
