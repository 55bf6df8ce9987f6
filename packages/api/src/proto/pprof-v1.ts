/**
 * google.v1.Profile: the field tables of pprof. Only JSON replies of `SelectMergeProfile` and `PROFILE_FORMAT_PPROF` need them; binary
 * replies pass the bytes through. Decoded objects take ten times the bytes, so hot paths must not use these tables.
 */
import { message, nested, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";

/** A message that is only printed; no code here reads its fields. */
export type PprofMessage = Readonly<Record<string, unknown>>;

const VALUE_TYPE: MessageSchema<PprofMessage> = message("google.v1.ValueType", [scalar(1, "type", "int64"), scalar(2, "unit", "int64")]);

const LABEL: MessageSchema<PprofMessage> = message("google.v1.Label", [
  scalar(1, "key", "int64"),
  scalar(2, "str", "int64"),
  scalar(3, "num", "int64"),
  scalar(4, "num_unit", "int64"),
]);

const SAMPLE: MessageSchema<PprofMessage> = message("google.v1.Sample", [
  scalar(1, "location_id", "uint64", { isRepeated: true }),
  scalar(2, "value", "int64", { isRepeated: true }),
  nested(3, "label", LABEL, { isRepeated: true }),
]);

const MAPPING: MessageSchema<PprofMessage> = message("google.v1.Mapping", [
  scalar(1, "id", "uint64"),
  scalar(2, "memory_start", "uint64"),
  scalar(3, "memory_limit", "uint64"),
  scalar(4, "file_offset", "uint64"),
  scalar(5, "filename", "int64"),
  scalar(6, "build_id", "int64"),
  scalar(7, "has_functions", "bool"),
  scalar(8, "has_filenames", "bool"),
  scalar(9, "has_line_numbers", "bool"),
  scalar(10, "has_inline_frames", "bool"),
]);

const LINE: MessageSchema<PprofMessage> = message("google.v1.Line", [scalar(1, "function_id", "uint64"), scalar(2, "line", "int64")]);

const LOCATION: MessageSchema<PprofMessage> = message("google.v1.Location", [
  scalar(1, "id", "uint64"),
  scalar(2, "mapping_id", "uint64"),
  scalar(3, "address", "uint64"),
  nested(4, "line", LINE, { isRepeated: true }),
  scalar(5, "is_folded", "bool"),
]);

const FUNCTION: MessageSchema<PprofMessage> = message("google.v1.Function", [
  scalar(1, "id", "uint64"),
  scalar(2, "name", "int64"),
  scalar(3, "system_name", "int64"),
  scalar(4, "filename", "int64"),
  scalar(5, "start_line", "int64"),
]);

export const PPROF: MessageSchema<PprofMessage> = message("google.v1.Profile", [
  nested(1, "sample_type", VALUE_TYPE, { isRepeated: true }),
  nested(2, "sample", SAMPLE, { isRepeated: true }),
  nested(3, "mapping", MAPPING, { isRepeated: true }),
  nested(4, "location", LOCATION, { isRepeated: true }),
  nested(5, "function", FUNCTION, { isRepeated: true }),
  scalar(6, "string_table", "string", { isRepeated: true }),
  scalar(7, "drop_frames", "int64"),
  scalar(8, "keep_frames", "int64"),
  scalar(9, "time_nanos", "int64"),
  scalar(10, "duration_nanos", "int64"),
  nested(11, "period_type", VALUE_TYPE),
  scalar(12, "period", "int64"),
  scalar(13, "comment", "int64", { isRepeated: true }),
  scalar(14, "default_sample_type", "int64"),
]);
