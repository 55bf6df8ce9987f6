/**
 * Why a profile was refused. The reason is Pyroscope's own word, because dashboards count discards by it; the code is
 * ours and stable. A refusal is always something that the caller can repair (kind `invalid_argument`), so its sentence says what to change.
 */
import { CodedError } from "@pyromesh/base";

const CODE_BY_REASON = {
  malformed_profile: "PROFILE_MALFORMED",
  not_in_ingestion_window: "PROFILE_OUTSIDE_WINDOW",
  profile_size_limit: "PROFILE_TOO_LARGE",
  samples_limit: "PROFILE_SAMPLES_LIMIT",
  sample_labels_limit: "PROFILE_SAMPLE_LABELS_LIMIT",
  missing_labels: "LABELS_MISSING",
  max_label_names_per_series: "LABELS_TOO_MANY",
  label_name_too_long: "LABEL_NAME_TOO_LONG",
  label_value_too_long: "LABEL_VALUE_TOO_LONG",
  duplicate_label_names: "LABEL_NAMES_DUPLICATE",
  invalid_labels: "LABELS_INVALID",
} as const;

/** The value of `reason` in `pyromesh_discarded_samples_total`. */
export type DiscardReason = keyof typeof CODE_BY_REASON;

/** `details.reason` carries the reason; `message` says what to change. */
export function refusal(reason: DiscardReason, message: string): CodedError {
  return new CodedError({ code: CODE_BY_REASON[reason], kind: "invalid_argument", message, details: { reason } });
}

/** The same refusal, of a profile among several: its name comes first. */
export function namedRefusal(name: string, error: CodedError): CodedError {
  return new CodedError({ code: error.code, kind: error.kind, message: `${name}: ${error.message}`, details: error.details, cause: error });
}

/** The pprof bytes themselves are wrong: broken encoding, or references that lead nowhere. */
export function malformed(message: string): CodedError {
  return refusal("malformed_profile", message);
}
