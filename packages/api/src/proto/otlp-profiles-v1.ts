/**
 * An export of OTLP profiles, for reflection: the newest version that is taken, 1.10 and 1.11, with the fields that are read. `profile` reads exports, of other versions too
 * (profile/src/otlp/generation.ts); no codec here does. `proto/opentelemetry` has the same as `.proto` files.
 */
import { message, nested, scalar } from "./schema.ts";
import type { Field, MessageSchema } from "./schema.ts";

const REPEATED = { isRepeated: true } as const;
/** A field of a oneof: it counts though it is zero or empty. */
const ONE_OF = { isOptional: true } as const;

const COMMON = "opentelemetry.proto.common.v1";
const PROFILES = "opentelemetry.proto.profiles.v1development";

/** The values of a list are values, so the list is added when both exist. */
const anyValueFields: Field[] = [scalar(1, "string_value", "string", ONE_OF), scalar(3, "int_value", "int64", ONE_OF)];
const ANY_VALUE: MessageSchema<object> = message(`${COMMON}.AnyValue`, anyValueFields);
const ARRAY_VALUE: MessageSchema<object> = message(`${COMMON}.ArrayValue`, [nested(1, "values", ANY_VALUE, REPEATED)]);
anyValueFields.push(nested(5, "array_value", ARRAY_VALUE), scalar(8, "string_value_strindex", "int32", ONE_OF));

const KEY_VALUE = message(`${COMMON}.KeyValue`, [scalar(1, "key", "string"), nested(2, "value", ANY_VALUE), scalar(3, "key_strindex", "int32")]);
const SCOPE = message(`${COMMON}.InstrumentationScope`, [nested(3, "attributes", KEY_VALUE, REPEATED)]);
const RESOURCE = message("opentelemetry.proto.resource.v1.Resource", [nested(1, "attributes", KEY_VALUE, REPEATED)]);

const VALUE_TYPE = message(`${PROFILES}.ValueType`, [scalar(1, "type_strindex", "int32"), scalar(2, "unit_strindex", "int32")]);
const SAMPLE = message(`${PROFILES}.Sample`, [
  scalar(1, "stack_index", "int32"),
  scalar(2, "attribute_indices", "int32", REPEATED),
  scalar(3, "link_index", "int32"),
  scalar(4, "values", "int64", REPEATED),
  scalar(5, "timestamps_unix_nano", "fixed64", REPEATED),
]);
const PROFILE = message(`${PROFILES}.Profile`, [
  nested(1, "sample_type", VALUE_TYPE),
  nested(2, "samples", SAMPLE, REPEATED),
  scalar(3, "time_unix_nano", "fixed64"),
  scalar(4, "duration_nano", "uint64"),
  nested(5, "period_type", VALUE_TYPE),
  scalar(6, "period", "int64"),
]);
const SCOPE_PROFILES = message(`${PROFILES}.ScopeProfiles`, [nested(1, "scope", SCOPE), nested(2, "profiles", PROFILE, REPEATED)]);
const RESOURCE_PROFILES = message(`${PROFILES}.ResourceProfiles`, [nested(1, "resource", RESOURCE), nested(2, "scope_profiles", SCOPE_PROFILES, REPEATED)]);

const MAPPING = message(`${PROFILES}.Mapping`, [
  scalar(1, "memory_start", "uint64"),
  scalar(2, "memory_limit", "uint64"),
  scalar(3, "file_offset", "uint64"),
  scalar(4, "filename_strindex", "int32"),
  scalar(5, "attribute_indices", "int32", REPEATED),
]);
const LINE = message(`${PROFILES}.Line`, [scalar(1, "function_index", "int32"), scalar(2, "line", "int64")]);
const LOCATION = message(`${PROFILES}.Location`, [scalar(1, "mapping_index", "int32"), scalar(2, "address", "uint64"), nested(3, "lines", LINE, REPEATED)]);
const FUNCTION = message(`${PROFILES}.Function`, [scalar(1, "name_strindex", "int32"), scalar(2, "system_name_strindex", "int32"), scalar(3, "filename_strindex", "int32"), scalar(4, "start_line", "int64")]);
const LINK = message(`${PROFILES}.Link`, [scalar(1, "trace_id", "bytes"), scalar(2, "span_id", "bytes")]);
const ATTRIBUTE = message(`${PROFILES}.KeyValueAndUnit`, [scalar(1, "key_strindex", "int32"), nested(2, "value", ANY_VALUE)]);
const STACK = message(`${PROFILES}.Stack`, [scalar(1, "location_indices", "int32", REPEATED)]);
const DICTIONARY = message(`${PROFILES}.ProfilesDictionary`, [
  nested(1, "mapping_table", MAPPING, REPEATED),
  nested(2, "location_table", LOCATION, REPEATED),
  nested(3, "function_table", FUNCTION, REPEATED),
  nested(4, "link_table", LINK, REPEATED),
  scalar(5, "string_table", "string", REPEATED),
  nested(6, "attribute_table", ATTRIBUTE, REPEATED),
  nested(7, "stack_table", STACK, REPEATED),
]);

export const EXPORT_PROFILES_REQUEST: MessageSchema<object> = message("opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceRequest", [
  nested(1, "resource_profiles", RESOURCE_PROFILES, REPEATED),
  nested(2, "dictionary", DICTIONARY),
]);
