/**
 * push.v1.PusherService/Push: many profiles in one request, each accepted or refused by itself.
 *
 * The order matters, cheap checks first: whether the node is overloaded, the body's size, the message's structure, the rate limit, then the sink. Profiles are not
 * decoded here. The uncompressed size of a profile is what its gzip trailer claims, at most what the sink would decompress.
 *
 * What must stay true: 200 means that the sink has stored every profile. Where some were refused, all others are stored, and the error
 * names each one that was refused.
 */
import { claimedInflatedBytes, CodedError, invalidArgument, isGzip, messageOf } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import { namedRefusal, parseUuid } from "@pyromesh/profile";
import { CONTENT_TYPE_UNKNOWN, codecOf, applyClientTimeout } from "../bodies/connect.ts";
import type { Codec } from "../bodies/connect.ts";
import { CODINGS_ACCEPTED, contentCodingOf } from "../ports/content-coding.ts";
import type { Discards } from "./discards.ts";
import { errorReply } from "../ports/error-status.ts";
import type { ApiReply, ApiRequest, BodyUse, Handler } from "../ports/http.ts";
import { inflateBody } from "../bodies/inflate.ts";
import { JSON_PUSH_BYTES_MAX } from "../proto/json-bounds.ts";
import type { ArrivedProfile, Caller, ProfileSink, PushOutcome, RefusedProfile } from "../ports/ports.ts";
import { LargeReadings } from "./large-readings.ts";
import type { PushCounts } from "./push-counts.ts";
import { readAdmitted } from "./push-gate.ts";
import type { PushGate } from "./push-gate.ts";
import { readPushJson } from "./push-json.ts";
import { describeProfile, finishReading, readPushBinary } from "./push-message.ts";
import type { PushedProfile } from "./push-message.ts";
import type { RateLimit, RateLimits } from "./rate-limit.ts";

/** Limits on a tenant's writes; 0 is unlimited. */
export interface WriteLimits extends RateLimits {
  /** `limits.ingestion_body_limit_mb`: of the body as sent, of the decompressed body, and of the profiles of one push together. */
  readonly ingestionBodyBytesMax: number;
  /** `limits.max_profile_size_bytes`. Uncompressed size of one profile. The sink enforces it; here it bounds the bytes that the rate limit charges. */
  readonly profileSizeBytesMax: number;
}

export interface WriteOptions {
  /** Called for every request, so that reloaded limits apply. */
  readonly limitsOf: (tenant: TenantId) => WriteLimits;
}

export interface WriteModules {
  readonly sink: ProfileSink;
  readonly gate: PushGate;
  readonly rateLimit: RateLimit;
  readonly counts: PushCounts;
  readonly discards: Discards;
}

/** Connect unary, JSON and binary. An error that is no CodedError is rethrown: the server answers 500 and logs it. */
export function pushHandler(options: WriteOptions, { clock, ...modules }: WriteModules & { readonly clock: Clock }): Handler {
  const own = { ...modules, largeReadings: new LargeReadings({ clock }) };
  return async (request) => {
    const codec = codecOf(request.headers["content-type"]);
    if (codec === undefined) return CONTENT_TYPE_UNKNOWN;
    try {
      applyClientTimeout(request);
      await push(request, codec, options, own);
      return codec === "json" ? ACCEPTED_JSON : ACCEPTED_PROTO;
    } catch (thrown) {
      if (!(thrown instanceof CodedError)) throw thrown;
      return errorReply(thrown);
    }
  };
}

/** Shared by all pushes: even an empty body costs a buffer. */
const ACCEPTED_JSON: ApiReply = { status: 200, headers: { "content-type": "application/json", "accept-encoding": CODINGS_ACCEPTED }, body: "{}" };
const ACCEPTED_PROTO: ApiReply = { status: 200, headers: { "content-type": "application/proto", "accept-encoding": CODINGS_ACCEPTED }, body: new Uint8Array(0) };

async function push(request: ApiRequest, codec: Codec, options: WriteOptions, modules: WriteModules & { readonly largeReadings: LargeReadings }): Promise<void> {
  const tenant = writeTenant(request);
  const limits = options.limitsOf(tenant);
  const bodyBytesMax = bodyLimitBytes(limits);
  let body: Uint8Array;
  try {
    body = await readBody(request, codec, bodyBytesMax, modules.gate);
  } catch (thrown) {
    discardOversize(thrown, tenant, modules);
    throw thrown;
  }
  const reading = codec === "json" ? readPushJson(body) : readPushBinary(body);
  const pushed = body.length <= READ_AT_ONCE_BYTES_MAX ? finishReading(reading) : await modules.largeReadings.run(reading, request.caller);
  if (pushed.length === 0) throw invalidArgument("PUSH_EMPTY", "no profiles received: send at least one series with at least one sample");
  const pushBytes = checkTotalSize(pushed, limits, { tenant, sizeBytesMax: bodyBytesMax }, modules);

  const requestKey = idempotencyKeyOf(request);
  const refused: unknown[] = [];
  let isRateLimited = false;
  const arrived: ArrivedProfile[] = [];
  const arrivedBytes: number[] = [];
  for (const [index, profile] of pushed.entries()) {
    const sizeBytes = claimedSizeBytes(profile.raw, limits.profileSizeBytesMax);
    modules.counts.received(tenant, sizeBytes);
    const problem = checkProfile(profile) ?? modules.rateLimit.take(tenant, sizeBytes, pushBytes);
    if (problem !== undefined) {
      isRateLimited ||= problem.code === "RATE_LIMITED";
      modules.discards.add(tenant, problem, sizeBytes);
      refused.push(namedRefusal(describeProfile(profile), problem));
      continue;
    }
    // The key belongs to the request. With the profile's position in the request it tells equal profiles apart and recognises each one in
    // a retry. So refused profiles must not change the positions.
    arrived.push({
      labels: profile.labels,
      pprof: profile.raw,
      profileId: profile.id === "" ? undefined : parseUuid(profile.id),
      fallbackTimeMs: undefined,
      idempotencyKey: requestKey === undefined || pushed.length === 1 ? requestKey : `${requestKey}#${index}`,
      ingest: undefined,
      describe: describeProfile(profile),
    });
    arrivedBytes.push(sizeBytes);
  }

  if (arrived.length > 0) {
    for (const { error } of await keep({ tenant, profiles: arrived, sizesBytes: arrivedBytes }, request.caller, modules)) refused.push(error);
  }
  // Computed after all profiles: those behind a refused one may have passed, and the client sends the whole push again.
  const waitSeconds = isRateLimited ? modules.rateLimit.waitSeconds(tenant, pushBytes) : 0;
  if (refused.length > 0) throw summary(refused, pushed.length, waitSeconds);
}

interface ArrivedProfiles {
  readonly tenant: TenantId;
  readonly profiles: readonly ArrivedProfile[];
  /** The size that each profile was counted with when it was received. */
  readonly sizesBytes: readonly number[];
}

/** Passes profiles to the sink and counts the outcome. Resolves with those that were refused; rejects where none could be stored. */
export async function keep(arrived: ArrivedProfiles, caller: Caller, modules: WriteModules): Promise<readonly RefusedProfile[]> {
  return (await keepBodies(arrived, caller, modules)).refused;
}

/** As `keep`, of bodies that may hold several profiles: some of a body may be refused while the rest is stored. */
export async function keepBodies({ tenant, profiles, sizesBytes }: ArrivedProfiles, caller: Caller, { counts, discards, gate, sink }: WriteModules): Promise<Omit<PushOutcome, "acceptedCount">> {
  let outcome: PushOutcome;
  try {
    const enteredMs = gate.enter();
    try {
      outcome = await sink.push(tenant, profiles, caller);
    } finally {
      gate.leave(enteredMs);
    }
  } catch (thrown) {
    discards.add(tenant, thrown, sizesBytes.reduce((sum, sizeBytes) => sum + sizeBytes, 0), profiles.length);
    throw thrown;
  }
  const { refused, parts = [] } = outcome;
  const refusedIndexes = new Set<number>();
  // A push that is refused as a whole has the same error for all of its profiles, which may be thousands.
  const refusedTogether = new Map<Error, { sizeBytes: number; count: number }>();
  for (const { index, error } of refused) {
    refusedIndexes.add(index);
    let together = refusedTogether.get(error);
    if (together === undefined) refusedTogether.set(error, (together = { sizeBytes: 0, count: 0 }));
    together.sizeBytes += sizesBytes[index]!;
    together.count++;
  }
  for (const [error, { sizeBytes, count }] of refusedTogether) discards.add(tenant, error, sizeBytes, count);
  for (const [index, sizeBytes] of sizesBytes.entries()) if (!refusedIndexes.has(index)) counts.accepted(tenant, sizeBytes);
  // A part's own size is not known: the bytes of its body are counted with the whole.
  for (const { error } of parts) discards.add(tenant, error, 0);
  return outcome;
}

// --- checks -----------------------------------------------------------------------------------------------------------

function checkProfile(profile: PushedProfile): CodedError | undefined {
  if (profile.raw.length === 0) return invalidArgument("PROFILE_EMPTY", "rawProfile is empty: send a pprof profile");
  if (profile.id !== "" && parseUuid(profile.id) === undefined) {
    return invalidArgument("PROFILE_ID_INVALID", `ID ${JSON.stringify(profile.id.slice(0, 100))} is not a UUID: send one, or leave ID out`);
  }
  return undefined;
}

/** Size of a gzip header and trailer. */
const GZIP_BYTES_MIN = 18;

interface BodyBound {
  readonly tenant: TenantId;
  readonly sizeBytesMax: number;
}

function checkTotalSize(pushed: readonly PushedProfile[], limits: WriteLimits, { tenant, sizeBytesMax }: BodyBound, { counts, discards }: WriteModules): number {
  let totalBytes = 0;
  for (const profile of pushed) totalBytes += claimedSizeBytes(profile.raw, limits.profileSizeBytesMax);
  if (totalBytes <= sizeBytesMax) return totalBytes;
  const refusal = invalidArgument(
    "PUSH_BODY_SIZE_LIMIT",
    `the profiles of this push are ${totalBytes} bytes before compression, over ${sizeBytesMax} (limit ingestion_body_limit_mb): send fewer at once, or raise the limit`,
  );
  counts.received(tenant, totalBytes, pushed.length);
  discards.add(tenant, refusal, totalBytes, pushed.length);
  throw refusal;
}

/**
 * A body that is too large counts as one profile of the largest size allowed: its content is not read. The bound is the one the error
 * names, which may be below the tenant's limit: JSON bodies have a bound of their own, and so has the node's memory.
 */
export function discardOversize(thrown: unknown, tenant: TenantId, { counts, discards }: WriteModules): void {
  if (!(thrown instanceof CodedError) || thrown.code !== "BODY_TOO_LARGE") return;
  const { sizeBytesMax } = thrown.details;
  const sizeBytes = typeof sizeBytesMax === "number" ? sizeBytesMax : 0;
  counts.received(tenant, sizeBytes);
  discards.add(tenant, thrown, sizeBytes);
}

/**
 * The uncompressed size that the gzip trailer claims. A trailer may lie, so the claim is held between the size as sent and the size that
 * the sink would decompress. The sink has bounds of its own.
 */
export function claimedSizeBytes(raw: Uint8Array, profileSizeBytesMax: number): number {
  if (raw.length < GZIP_BYTES_MIN || !isGzip(raw)) return raw.length;
  return Math.max(raw.length, Math.min(claimedInflatedBytes(raw), profileSizeBytesMax > 0 ? profileSizeBytesMax : Infinity));
}

// --- the request ------------------------------------------------------------------------------------------------------

export function writeTenant(request: ApiRequest): TenantId {
  const [tenant, another] = request.tenants;
  if (tenant === undefined || another !== undefined) {
    throw invalidArgument("TENANT_NOT_ONE", `a write names exactly one tenant, this one names ${request.tenants.length}: send one id in X-Scope-OrgID`);
  }
  return tenant;
}

export function bodyLimitBytes({ ingestionBodyBytesMax }: WriteLimits): number {
  return ingestionBodyBytesMax > 0 ? ingestionBodyBytesMax : Number.MAX_SAFE_INTEGER;
}

const IDEMPOTENCY_KEY_LENGTH_MAX = 255;

export function idempotencyKeyOf(request: ApiRequest): string | undefined {
  const key = request.headers["idempotency-key"];
  if (key === undefined || key === "") return undefined;
  if (key.length > IDEMPOTENCY_KEY_LENGTH_MAX) {
    throw invalidArgument("IDEMPOTENCY_KEY_TOO_LONG", `Idempotency-Key has ${key.length} characters: send at most ${IDEMPOTENCY_KEY_LENGTH_MAX}`);
  }
  return key;
}

/** A push ends when all of its profiles are encoded, or refused: a worker that reads one has a copy. */
export const PUSH_BODY_USE: BodyUse = { isFreedAtEnd: true };

/** Reads the body and decompresses it where it is compressed. */
async function readBody(request: ApiRequest, codec: Codec, bodyBytesMax: number, gate: PushGate): Promise<Uint8Array> {
  const sizeBytesMax = codec === "json" ? Math.min(bodyBytesMax, JSON_PUSH_BYTES_MAX) : bodyBytesMax;
  const coding = contentCodingOf(request);
  const body = await readAdmitted(request, sizeBytesMax, gate, PUSH_BODY_USE);
  if (coding === undefined || body.length === 0) return body;
  const advice = sizeBytesMax < bodyBytesMax ? "the most that JSON may be: send fewer profiles at once, or application/proto" : BODY_LIMIT_ADVICE;
  return inflateBody(body, { ...PUSH_BODY_USE, coding, sizeBytesMax, advice }, { memory: request.unpackMemory, caller: request.caller, compression: request.compression });
}

export const BODY_LIMIT_ADVICE = "limit ingestion_body_limit_mb: send fewer profiles at once, or raise the limit";

/** Bodies up to this size are parsed in one step, in less than a millisecond. */
const READ_AT_ONCE_BYTES_MAX = 64 * 2 ** 10;

// --- the reply --------------------------------------------------------------------------------------------------------

/** Refused profiles that the message names. Further ones are only counted. */
const REFUSALS_TOLD_MAX = 20;

/**
 * One error for all refused profiles, of the kind that matters most for a retry: first what this node could not do (stored profiles are
 * recognised by their identity), then a limit, and only then a fault of the caller.
 */
export function summary(refused: readonly unknown[], profileCount: number, waitSeconds = 0): CodedError {
  const first = refused[0];
  if (profileCount === 1 && first instanceof CodedError) return first;
  let worst = codedOf(first);
  for (const error of refused) if (severity(codedOf(error)) > severity(worst)) worst = codedOf(error);
  // One error may refuse many profiles; it is named once.
  const distinct = [...new Set(refused)];
  const told = distinct.slice(0, REFUSALS_TOLD_MAX).map(messageOf);
  if (distinct.length > told.length) told.push(`and ${distinct.length - told.length} more`);
  const stored = profileCount - refused.length;
  return new CodedError({
    code: distinct.length === 1 ? worst.code : "PUSH_REFUSED",
    kind: worst.kind,
    message: `${refused.length} of ${profileCount} profiles were refused (${stored === 0 ? "none" : `the other ${stored}`} stored): ${told.join("; ")}`,
    details: retryAfterOf(refused, waitSeconds),
    cause: worst,
  });
}

function severity(error: CodedError): number {
  switch (error.kind) {
    case "unavailable":
    case "deadline_exceeded":
      return 3;
    case "internal":
    case "data_loss":
      return 2;
    case "resource_exhausted":
      return 1;
    default:
      return 0;
  }
}

function codedOf(error: unknown): CodedError {
  return error instanceof CodedError ? error : new CodedError({ code: "INTERNAL", kind: "internal", message: messageOf(error), cause: error });
}

function retryAfterOf(refused: readonly unknown[], waitSeconds: number): Readonly<Record<string, number>> {
  let retryAfterSeconds = waitSeconds;
  for (const error of refused) {
    const seconds = error instanceof CodedError ? error.details["retryAfterSeconds"] : undefined;
    if (typeof seconds === "number") retryAfterSeconds = Math.max(retryAfterSeconds, seconds);
  }
  return retryAfterSeconds > 0 ? { retryAfterSeconds } : {};
}
