/**
 * POST /ingest and /pyroscope/ingest, which the Go, Java, Node, Python, Ruby and Rust SDKs use: one profile per request, with its labels in the
 * query string. The first line that applies says what the body is:
 *
 *   format=trie | tree, or binary/octet-stream+trie | +tree    Pyroscope's binary trees
 *   format=lines                                               one stack a line
 *   format=jfr                                                 a recording of a JVM (ingest-jfr.ts)
 *   format=speedscope                                          speedscope's JSON
 *   format=pprof, or multipart/form-data                       pprof (fields profile, sample_type_config)
 *   format=folded | groups | collapsed, or none                `main;work;sum 40` a line
 *   anything else                                              the same, as Pyroscope; 422, naming these, where it does not read so
 *
 * Status codes differ from Push for the same data (ingestStatus): 422 for a profile that cannot be parsed, and for a pprof or a recording that breaks a
 * limit; 400 for the query string, and for another format that breaks a limit; 413 for a profile that the rate limit can never let through, and 415 for an unknown Content-Encoding.
 */
import { checkJsonBounds, CodedError, invalidArgument, messageOf } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { LABEL_NAME, LABEL_SERVICE_NAME, profileOfAppName, splitAppName } from "@pyromesh/profile";
import type { AppProfile, BodyFormat, Label } from "@pyromesh/profile";
import { parseAttimeStrict } from "../read/attime.ts";
import { errorReplyWith, httpStatusOf } from "../ports/error-status.ts";
import type { ApiReply, ApiRequest, Handler } from "../ports/http.ts";
import { ingestFormat, isOfNames, unreadAsText } from "./ingest-format.ts";
import type { IngestFormat } from "./ingest-format.ts";
import { jfrForm, readJfrBody } from "./ingest-jfr.ts";
import { parseIngestName } from "./ingest-name.ts";
import type { IngestName } from "./ingest-name.ts";
import { JSON_MESSAGE_BOUNDS } from "../proto/json-bounds.ts";
import { inflateBody } from "../bodies/inflate.ts";
import { readMultipart } from "../bodies/multipart.ts";
import { contentCodingOf } from "../ports/content-coding.ts";
import type { ArrivedProfile, IngestHints } from "../ports/ports.ts";
import { readAdmitted } from "./push-gate.ts";
import type { PushGate } from "./push-gate.ts";
import { BODY_LIMIT_ADVICE, bodyLimitBytes, claimedSizeBytes, discardOversize, idempotencyKeyOf, keep, PUSH_BODY_USE, writeTenant } from "./push.ts";
import type { WriteLimits, WriteModules, WriteOptions } from "./push.ts";

export function ingestHandler(options: WriteOptions, modules: WriteModules & { readonly clock: Clock }): Handler {
  return async (request) => {
    try {
      await ingest(request, options, modules);
      return { status: 200, headers: {}, body: "" };
    } catch (thrown) {
      if (!(thrown instanceof CodedError)) throw thrown;
      return ingestErrorReply(thrown, isOfNames(ingestFormat(request)));
    }
  };
}

async function ingest(request: ApiRequest, options: WriteOptions, modules: WriteModules & { readonly clock: Clock }): Promise<void> {
  const tenant = writeTenant(request);
  const limits = options.limitsOf(tenant);
  const ask = readIngestQuery(request, modules.clock.nowMs());
  const idempotencyKey = idempotencyKeyOf(request);
  const format = ingestFormat(request);
  const body = await readBody(request, bodyLimitBytes(limits), modules.gate).catch((thrown: unknown) => {
    discardOversize(thrown, tenant, modules);
    throw thrown;
  });
  // Clients send an empty body when nothing was sampled. There is nothing to store and nothing wrong.
  if (body.length === 0) return;

  const read = readProfile(body, format, request, ask, limits);
  if (read === undefined) return;
  const sizeBytes = claimedSizeBytes(read.pprof, limits.profileSizeBytesMax);
  modules.counts.received(tenant, sizeBytes);
  const limited = (isOfNames(format) ? checkBodySize(body, limits) : undefined) ?? modules.rateLimit.take(tenant, sizeBytes);
  if (limited !== undefined) {
    modules.discards.add(tenant, limited, sizeBytes);
    throw limited;
  }
  const arrived: ArrivedProfile = { ...read, profileId: undefined, fallbackTimeMs: ask.fromMs, idempotencyKey, describe: "profile" };
  const [refused] = await keep({ tenant, profiles: [arrived], sizesBytes: [sizeBytes] }, request.caller, modules);
  if (refused !== undefined) throw format === "unknown" ? unreadAsText(refused.error, request) : refused.error;
}

/** Whatever its format, it may have a Content-Encoding. Without one it may still be gzip: the worker that reads it sees to that. */
async function readBody(request: ApiRequest, sizeBytesMax: number, gate: PushGate): Promise<Uint8Array> {
  const coding = contentCodingOf(request);
  const body = await readAdmitted(request, sizeBytesMax, gate, PUSH_BODY_USE);
  if (coding === undefined || body.length === 0) return body;
  return inflateBody(body, { ...PUSH_BODY_USE, coding, sizeBytesMax, advice: BODY_LIMIT_ADVICE }, { memory: request.unpackMemory, caller: request.caller, compression: request.compression });
}

// --- the query string -------------------------------------------------------------------------------------------------

interface IngestQuery {
  readonly name: IngestName;
  readonly fromMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly sampleRate: number;
  readonly spyName: string;
}

/** Codes of errors in the query string, which are 400 as in Pyroscope. */
const STATUS_400_CODES: ReadonlySet<string> = new Set(["INGEST_NAME_INVALID", "INGEST_TIME_INVALID", "INGEST_SAMPLE_RATE_INVALID", "TENANT_NOT_ONE", "TENANT_ID_INVALID", "IDEMPOTENCY_KEY_TOO_LONG"]);

function readIngestQuery(request: ApiRequest, nowMs: number): IngestQuery {
  const { query } = request;
  const name = parseIngestName(query.get("name") ?? "");
  const fromMs = afterEpoch(timeOf(query, "from", nowMs));
  // `from` is the time of the profile; `until` is only validated, but for a recording, which then is as long as that.
  const untilMs = afterEpoch(timeOf(query, "until", nowMs));
  if (fromMs !== undefined && untilMs !== undefined && fromMs > untilMs) {
    throw invalidArgument("INGEST_TIME_INVALID", `from (${query.get("from")}) is after until (${query.get("until")}): swap them`);
  }
  return { name, fromMs, untilMs, sampleRate: sampleRateOf(query.get("sampleRate")), spyName: query.get("spyName") || "unknown" };
}

/** A time that is not after 1970-01-01 00:00 counts as absent, like the time of a pprof. */
function afterEpoch(timeMs: number | undefined): number | undefined {
  return timeMs !== undefined && timeMs > 0 ? timeMs : undefined;
}

function timeOf(query: URLSearchParams, key: "from" | "until", nowMs: number): number | undefined {
  const text = query.get(key);
  if (text === null || text === "") return undefined;
  const timeMs = parseAttimeStrict(text, nowMs);
  if (timeMs === undefined || !Number.isFinite(timeMs)) {
    throw invalidArgument("INGEST_TIME_INVALID", `${key}: ${JSON.stringify(text.slice(0, 100))} is not a time: send Unix seconds, milliseconds, nanoseconds, or now-1h`);
  }
  return timeMs;
}

/**
 * Samples a second. 0: the values are not counts of a sampling clock. Absent or empty: 100. Text that is no number is refused; Pyroscope
 * takes it for 100, and stores values that are wrong by a factor. A rate above 10^9, by which a sample would count no whole nanosecond, is
 * refused too; Pyroscope answers 200 and keeps nothing.
 */
function sampleRateOf(text: string | null): number {
  if (text === null || text === "") return SAMPLE_RATE_DEFAULT;
  const rate = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (rate <= SAMPLE_RATE_MAX) return rate;
  throw invalidArgument(
    "INGEST_SAMPLE_RATE_INVALID",
    `sampleRate: ${JSON.stringify(text.slice(0, 100))} is not a number of samples per second: send a whole number from 0 to ${SAMPLE_RATE_MAX}, or none for ${SAMPLE_RATE_DEFAULT}`,
  );
}

const SAMPLE_RATE_DEFAULT = 100;
/** One sample in each nanosecond. */
const SAMPLE_RATE_MAX = 1_000_000_000;

// --- the body ----------------------------------------------------------------------------------------------------------

type ReadProfile = Pick<ArrivedProfile, "labels" | "pprof" | "format" | "ingest">;

/** Undefined: there is nothing to store. */
function readProfile(body: Uint8Array, format: IngestFormat, request: ApiRequest, ask: IngestQuery, limits: WriteLimits): ReadProfile | undefined {
  switch (format) {
    case "pprof":
      return readPprof(body, request, ask);
    case "jfr": {
      const { recording, labels } = readJfrBody(body, request.headers["content-type"] ?? "", limits.profileSizeBytesMax);
      const form = jfrForm(labels, ask.sampleRate, ask.fromMs, ask.untilMs);
      return { labels: recordingLabels(ask), pprof: recording, format: { kind: "jfr", form }, ingest: undefined };
    }
    default:
      return readOther(body, format, request, ask);
  }
}

/** Undefined: there is nothing to store. A multipart body is also read with `format=pprof`, where Pyroscope fails. */
function readPprof(body: Uint8Array, request: ApiRequest, ask: IngestQuery): ReadProfile | undefined {
  const contentType = request.headers["content-type"] ?? "";
  let pprof = body;
  let sampleTypes: IngestHints["sampleTypes"];
  if (contentType.toLowerCase().startsWith("multipart/form-data")) {
    const fields = readMultipart(body, contentType);
    if ((fields.get("prev_profile")?.length ?? 0) > 0) {
      throw invalidArgument(
        "INGEST_PREV_PROFILE",
        "the field prev_profile is not supported: the server computes no differences; upgrade the client to one that sends them itself",
      );
    }
    pprof = fields.get("profile") ?? new Uint8Array(0);
    sampleTypes = readSampleTypeConfig(fields.get("sample_type_config"));
  }
  if (pprof.length === 0) return undefined;
  return { labels: ingestLabels(ask, ask.name.app), pprof, ingest: { spyName: ask.spyName, sampleTypes } };
}

/** The size limit of a profile applies to other formats as they are sent, and in the worker to what they become. */
function checkBodySize(body: Uint8Array, { profileSizeBytesMax }: WriteLimits): CodedError | undefined {
  if (profileSizeBytesMax <= 0 || body.length <= profileSizeBytesMax) return undefined;
  return new CodedError({
    code: "PROFILE_TOO_LARGE",
    kind: "invalid_argument",
    message: `the body is ${body.length} bytes and a profile may have ${profileSizeBytesMax} (limit max_profile_size_bytes): profile for a shorter time, or raise the limit`,
    details: { reason: "profile_size_limit" },
  });
}

/** Only prepares the body: it becomes a pprof in the worker that decodes it. */
function readOther(body: Uint8Array, format: Exclude<IngestFormat, "pprof" | "jfr">, request: ApiRequest, ask: IngestQuery): ReadProfile {
  const { app } = ask.name;
  const { service, suffix } = splitAppName(app);
  if (format === "speedscope") {
    const appLabel = [LABEL_SERVICE_NAME, APP_NAME].find((name) => !hasOwn(ask, name));
    const form = { app, sampleRate: ask.sampleRate, appLabel };
    return { labels: ingestLabels(ask, service), pprof: body, format: { kind: "speedscope", form }, ingest: undefined };
  }
  const profile = profileOfAppName(suffix, ask.sampleRate);
  return { labels: ingestLabels(ask, service, profile.name), pprof: body, format: formOf(format, profile, request), ingest: undefined };
}

function formOf(format: "groups" | "lines" | "tree" | "trie" | "unknown", profile: AppProfile, request: ApiRequest): BodyFormat {
  if (format === "tree" || format === "trie") return { kind: format, form: { profile } };
  return { kind: "folded", form: { mode: format === "lines" ? "lines" : "groups", profile, isForm: isForm(request) } };
}

function isForm(request: ApiRequest): boolean {
  return (request.headers["content-type"] ?? "").toLowerCase().startsWith("application/x-www-form-urlencoded");
}

// --- sample_type_config -----------------------------------------------------------------------------------------------

const SAMPLE_TYPE_CONFIG_BYTES_MAX = 65_536;

/** Of the form `{"<pprof sample type>": {"display-name": "...", "units": "...", ...}}`. Throws INGEST_CONFIG_INVALID. */
function readSampleTypeConfig(bytes: Uint8Array | undefined): IngestHints["sampleTypes"] {
  if (bytes === undefined || bytes.length === 0) return undefined;
  if (bytes.length > SAMPLE_TYPE_CONFIG_BYTES_MAX) throw configInvalid(`it has ${bytes.length} bytes, over ${SAMPLE_TYPE_CONFIG_BYTES_MAX}`);
  let root: unknown;
  try {
    checkJsonBounds(bytes, JSON_MESSAGE_BOUNDS);
    root = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw configInvalid(messageOf(cause));
  }
  // Clients without a configuration, or without one for a type, may send null.
  if (root === null) return undefined;
  if (typeof root !== "object" || Array.isArray(root)) throw configInvalid("it should be a JSON object");
  const entries = Object.entries(root).map(([type, value]: [string, unknown]): [string, { displayName?: string; units?: string }] => {
    if (value === null) return [type, {}];
    if (typeof value !== "object") throw configInvalid(`${JSON.stringify(type)} should be a JSON object`);
    const { "display-name": displayName, units } = value as { "display-name"?: unknown; units?: unknown }; // checked just above: it is an object
    return [type, { ...(typeof displayName === "string" ? { displayName } : {}), ...(typeof units === "string" ? { units } : {}) }];
  });
  // Without a prototype, in which a sample type called "constructor" would be found.
  return Object.assign(Object.create(null) as Record<string, never>, Object.fromEntries(entries));
}

function configInvalid(why: string): CodedError {
  return invalidArgument("INGEST_CONFIG_INVALID", `the field sample_type_config is not understood (${why.slice(0, 200)}): send {"<sample type>": {"display-name": "...", "units": "..."}} as JSON, or leave the field out`);
}

// --- labels -----------------------------------------------------------------------------------------------------------

/** Names that begin with `__` belong to the server. Of the client's only the session id is kept. */
const SESSION_ID = "__session_id__";

const APP_NAME = "app_name";

/** Whether the client has set this label. */
function hasOwn({ name }: IngestQuery, label: string): boolean {
  return name.labels.some((own) => own.name === label);
}

/** `textName`: the `__name__` of a text profile. A pprof has its names in its sample types. */
function ingestLabels(ask: IngestQuery, service: string, textName?: string): Label[] {
  const labels: Label[] = [];
  if (textName !== undefined) labels.push({ name: LABEL_NAME, value: textName });
  labels.push({ name: "__delta__", value: "false" });
  // The client's own service_name counts. The application's name of a text profile is kept in app_name then.
  if (!hasOwn(ask, LABEL_SERVICE_NAME)) labels.push({ name: LABEL_SERVICE_NAME, value: service });
  else if (textName !== undefined && !hasOwn(ask, APP_NAME)) labels.push({ name: APP_NAME, value: service });
  if (!hasOwn(ask, "pyroscope_spy")) labels.push({ name: "pyroscope_spy", value: ask.spyName });
  for (const label of ask.name.labels) if (!label.name.startsWith("__") || label.name === SESSION_ID) labels.push(label);
  return labels;
}

/** A recording's `__name__` and `jfr_event` come from what it holds. */
function recordingLabels(ask: IngestQuery): Label[] {
  return ingestLabels(ask, ask.name.app, "").filter(({ name }) => name !== LABEL_NAME && name !== "jfr_event");
}

// --- the reply --------------------------------------------------------------------------------------------------------

/** Pyroscope derives the code from the status here, and knows no code for these two. */
const STATUS_UNKNOWN: ReadonlySet<number> = new Set([408, 422]);

function ingestErrorReply(error: CodedError, isOfText: boolean): ApiReply {
  const reply = errorReplyWith(ingestStatus(error, isOfText), error);
  return STATUS_UNKNOWN.has(reply.status) ? { ...reply, body: JSON.stringify({ code: "unknown", message: error.message }) } : reply;
}

/** For a pprof and a recording always 422. For any other format 422 where it cannot be parsed and 400 where it breaks a limit, as Pyroscope 2.2.1 answers. */
function ingestStatus(error: CodedError, isOfText: boolean): number {
  if (error.code === "RATE_BURST_EXCEEDED") return 413;
  if (error.code === "CONTENT_ENCODING_UNKNOWN") return 415;
  if (error.code === "CONTENT_ENCODING_TORN") return 422;
  const status = httpStatusOf(error);
  if (status !== 400 || STATUS_400_CODES.has(error.code)) return status;
  return isOfText && error.code !== "PROFILE_MALFORMED" && error.code !== "INGEST_FORMAT_UNKNOWN" ? 400 : 422;
}
