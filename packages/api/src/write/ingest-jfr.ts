/**
 * A body of format=jfr: the recording itself, or multipart/form-data with the fields `jfr` (the recording) and `labels` (what the contexts of
 * the agent stand for). Each may be gzip. Nothing is opened here: the worker does that.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import type { JfrForm } from "@pyromesh/profile";
import { readMultipart } from "../bodies/multipart.ts";

export interface JfrBody {
  readonly recording: Uint8Array;
  readonly labels: string | undefined;
}

/** Throws MULTIPART_INVALID, INGEST_JFR_MISSING or PROFILE_TOO_LARGE. `labelsBytesMax` 0: no limit. */
export function readJfrBody(body: Uint8Array, contentType: string, labelsBytesMax: number): JfrBody {
  if (!contentType.toLowerCase().startsWith("multipart/form-data")) return { recording: body, labels: undefined };
  const fields = readMultipart(body, contentType);
  const recording = fields.get("jfr");
  if (recording === undefined || recording.length === 0) {
    throw invalidArgument("INGEST_JFR_MISSING", "the multipart body has no field jfr, or an empty one: send the recording in it, or as the whole body");
  }
  const labels = fields.get("labels");
  if (labels === undefined || labels.length === 0) return { recording, labels: undefined };
  if (labelsBytesMax > 0 && labels.length > labelsBytesMax) {
    throw new CodedError({
      code: "PROFILE_TOO_LARGE",
      kind: "invalid_argument",
      message: `the field labels is ${labels.length} bytes and may have ${labelsBytesMax} (limit max_profile_size_bytes): use fewer label sets in one recording, or raise the limit`,
      details: { reason: "profile_size_limit" },
    });
  }
  return { recording, labels: Buffer.from(labels.buffer, labels.byteOffset, labels.byteLength).toString("latin1") };
}

/** How the worker reads the recording. Times in milliseconds since 1970. */
export function jfrForm(labels: string | undefined, sampleRate: number, fromMs: number | undefined, untilMs: number | undefined): JfrForm {
  const durationMs = fromMs === undefined || untilMs === undefined ? undefined : untilMs - fromMs;
  return { sampleRate, hasTime: fromMs !== undefined, durationMs, labels };
}
