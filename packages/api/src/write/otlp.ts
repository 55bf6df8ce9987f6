/**
 * OTLP profiles, `ProfilesService/Export`: over HTTP as OTLP has it, and as an RPC in every protocol (rpc/protocols.ts).
 *
 *   POST /v1development/profiles                                    application/x-protobuf, application/protobuf, application/json
 *   POST /otlp/v1development/profiles                               the same, for senders that are given a base path
 *   POST /opentelemetry.proto.collector.profiles.v1development...   gRPC, gRPC-Web, Connect
 *
 * The export is not decoded here: a worker reads it (profile/src/otlp). Checks, counts and limits are those of any other push.
 *
 * What must stay true: 200 means that every profile of the export was stored but for those that `partial_success` counts, each with a sentence. An export of which
 * nothing could be stored is an error, since a sender does not look into what was answered with 200.
 */
import { CodedError } from "@pyromesh/base";
import type { Codec } from "../bodies/connect.ts";
import { applyClientTimeout, CONTENT_TYPE_UNKNOWN, codecOf } from "../bodies/connect.ts";
import { inflateBody } from "../bodies/inflate.ts";
import { contentCodingOf } from "../ports/content-coding.ts";
import { errorReply, kindOf, publicMessageOf } from "../ports/error-status.ts";
import type { ApiReply, ApiRequest, BodyUse, Handler } from "../ports/http.ts";
import type { RefusedProfile } from "../ports/ports.ts";
import { encodeBinary } from "../proto/binary.ts";
import { encodeJson } from "../proto/json-encode.ts";
import { EXPORT_PROFILES_RESPONSE, RPC_STATUS } from "../proto/otlp-v1.ts";
import type { ExportProfilesResponse } from "../proto/otlp-v1.ts";
import { grpcCodeOf } from "../rpc/grpc-status.ts";
import { readAdmitted } from "./push-gate.ts";
import { bodyLimitBytes, discardOversize, idempotencyKeyOf, keepBodies, PUSH_BODY_USE, writeTenant } from "./push.ts";
import type { WriteModules, WriteOptions } from "./push.ts";

export const EXPORT_PROFILES_PATH = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
export const OTLP_HTTP_PATHS: readonly string[] = ["/v1development/profiles", "/otlp/v1development/profiles"];

/** An export as sent and decompressed: what a worker reads of one body, whatever the limits say. gRPC's clients send 4 MiB at most by default. */
const EXPORT_BYTES_MAX = 16 * 2 ** 20;

/** An export lies here, in memory that is shared with a worker, and in the worker's own. */
const EXPORT_USE: BodyUse = { ...PUSH_BODY_USE, copyCount: 3 };

/** OTLP over HTTP. Errors are a `google.rpc.Status`, in the encoding of the request. */
export function otlpHttpHandler(options: WriteOptions, modules: WriteModules): Handler {
  return async (request) => {
    const form = FORMS.get(mediaTypeOf(request));
    if (form === undefined) return MEDIA_TYPE_UNKNOWN;
    try {
      const response = await exportProfiles(request, form.codec, options, modules);
      return { status: 200, headers: { "content-type": form.mediaType }, body: encoded(response, form.codec) };
    } catch (thrown) {
      if (!(thrown instanceof CodedError)) throw thrown;
      return statusReply(thrown, form);
    }
  };
}

/** The RPC, as a unary call of Connect. */
export function otlpRpcHandler(options: WriteOptions, modules: WriteModules): Handler {
  return async (request) => {
    const codec = codecOf(request.headers["content-type"]);
    if (codec === undefined) return CONTENT_TYPE_UNKNOWN;
    try {
      applyClientTimeout(request);
      const response = await exportProfiles(request, codec, options, modules);
      return { status: 200, headers: { "content-type": `application/${codec}` }, body: encoded(response, codec) };
    } catch (thrown) {
      if (!(thrown instanceof CodedError)) throw thrown;
      return errorReply(thrown);
    }
  };
}

async function exportProfiles(request: ApiRequest, codec: Codec, options: WriteOptions, modules: WriteModules): Promise<ExportProfilesResponse> {
  const tenant = writeTenant(request);
  const limits = options.limitsOf(tenant);
  const idempotencyKey = idempotencyKeyOf(request);
  const body = await readBody(request, Math.min(bodyLimitBytes(limits), EXPORT_BYTES_MAX), modules).catch((thrown: unknown) => {
    discardOversize(thrown, tenant, modules);
    throw thrown;
  });
  // The export counts as one profile: how many it holds is known to the worker that reads it.
  modules.counts.received(tenant, body.length);
  const limited = modules.rateLimit.take(tenant, body.length);
  if (limited !== undefined) {
    modules.discards.add(tenant, limited, body.length);
    throw limited;
  }
  const profile = {
    labels: [],
    pprof: body,
    format: { kind: "otlp", form: { encoding: codec === "json" ? "json" : "protobuf" } },
    profileId: undefined,
    fallbackTimeMs: undefined,
    idempotencyKey,
    ingest: undefined,
    describe: "OTLP",
  } as const;
  const { refused, parts = [] } = await keepBodies({ tenant, profiles: [profile], sizesBytes: [body.length] }, request.caller, modules);
  const [first] = refused;
  if (first !== undefined) throw first.error;
  return parts.length === 0 ? ALL_STORED : { partialSuccess: { rejectedProfiles: parts.length, errorMessage: sentenceOf(parts) } };
}

const ALL_STORED: ExportProfilesResponse = { partialSuccess: undefined };

async function readBody(request: ApiRequest, sizeBytesMax: number, { gate }: WriteModules): Promise<Uint8Array> {
  const coding = contentCodingOf(request);
  const body = await readAdmitted(request, sizeBytesMax, gate, EXPORT_USE);
  if (coding === undefined || body.length === 0) return body;
  const { unpackMemory: memory, caller, compression } = request;
  return inflateBody(body, { ...EXPORT_USE, coding, sizeBytesMax, advice: "the most that one export may have: send fewer profiles at once" }, { memory, caller, compression });
}

/** Refusals that one reply tells of; the others are only counted. */
const REFUSALS_TOLD_MAX = 20;

function sentenceOf(parts: readonly RefusedProfile[]): string {
  const told = parts.slice(0, REFUSALS_TOLD_MAX).map(({ error }) => error.message);
  if (parts.length > told.length) told.push(`and ${parts.length - told.length} more`);
  return told.join("; ");
}

// --- the reply --------------------------------------------------------------------------------------------------------

interface HttpForm {
  readonly mediaType: string;
  readonly codec: Codec;
}

const FORMS: ReadonlyMap<string, HttpForm> = new Map([
  ["application/x-protobuf", { mediaType: "application/x-protobuf", codec: "proto" }],
  ["application/protobuf", { mediaType: "application/x-protobuf", codec: "proto" }],
  ["application/json", { mediaType: "application/json", codec: "json" }],
]);

function mediaTypeOf(request: ApiRequest): string {
  return (request.headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

const MEDIA_TYPE_UNKNOWN: ApiReply = {
  status: 415,
  headers: { "content-type": "text/plain; charset=utf-8", "accept-post": "application/x-protobuf, application/json" },
  body: "send an ExportProfilesServiceRequest as application/x-protobuf or application/json\n",
};

function encoded(response: ExportProfilesResponse, codec: Codec): Uint8Array {
  return codec === "json" ? encodeJson(EXPORT_PROFILES_RESPONSE, response) : encodeBinary(EXPORT_PROFILES_RESPONSE, response);
}

/** As `errorReply`, with OTLP's body. The status is the same (429, 503 and 504 are those that senders try again), but for an unknown encoding, which is 415 as on `/ingest`. */
function statusReply(thrown: CodedError, { mediaType, codec }: HttpForm): ApiReply {
  const status = { code: grpcCodeOf(kindOf(thrown)), message: publicMessageOf(thrown) };
  const reply = errorReply(thrown);
  return {
    ...reply,
    status: thrown.code === "CONTENT_ENCODING_UNKNOWN" ? 415 : reply.status,
    headers: { ...reply.headers, "content-type": mediaType },
    body: codec === "json" ? encodeJson(RPC_STATUS, status) : encodeBinary(RPC_STATUS, status),
  };
}
