/**
 * Keeps files of profiles for tenants, and draws them: what AdHocProfileService does beside HTTP.
 *
 *   upload   is there room (LIST) ─► a worker reads and draws it ─► put ─► answer       a file that cannot be read is not kept
 *   get      object ─► checked ─► a worker draws it ─► answer
 *   diff     the same of two
 *
 * A file is kept as it came, and read anew each time, so that a later version may read it better. Nothing of it is kept in memory.
 *
 * Bounds: how many are worked on at once (adhoc-queue.ts), the size of a file (16 MiB, and the tenant's `max_profile_size_bytes`), and what a tenant may
 * keep (`max_adhoc_profiles`, `max_adhoc_profiles_bytes`). Uploads at the same moment may each find room for the last one, so that a few more are
 * kept than may be. Old ones are deleted by expiry.ts.
 */
import type { AdHocAnswer, AdHocDiffQuery, AdHocDrawing, AdHocEntry, AdHocProfiles, AdHocQuery, AdHocUpload } from "@pyromesh/api";
import { assert, CodedError, invalidArgument } from "@pyromesh/base";
import type { Clock, Random, TenantId } from "@pyromesh/base";
import { isBucketError } from "@pyromesh/block";
import type { Bucket } from "@pyromesh/block";
import type { ProfileLimits } from "@pyromesh/profile";
import type { Compute, DrawnFile, DrawTask } from "../compute/compute.ts";
import type { QueryTurns } from "../read/query-turns.ts";
import { adHocKey, adHocNotFound, checkId, makeId, parseAdHocKey, safeName, tenantAdHocPrefix } from "./adhoc-id.ts";
import type { AdHocId } from "./adhoc-id.ts";
import { adHocDamaged, ADHOC_OBJECT_BYTES_MAX, decodeAdHocObject, encodeAdHocObject, FILE_BYTES_MAX } from "./adhoc-object.ts";
import { adHocQueue } from "./adhoc-queue.ts";

/** Of one tenant. 0: no bound of the tenant's own. */
export interface AdHocLimits extends ProfileLimits {
  readonly adHocCountMax: number;
  /** As stored. */
  readonly adHocBytesMax: number;
}

export interface AdHocModules {
  /** Reads. */
  readonly bucket: Bucket;
  /** Refuses a put where it is not the right bucket. */
  readonly guarded: Bucket;
  /** Rejects where it is not known to be the right bucket. */
  readonly ensureOurs: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly compute: Pick<Compute, "draw">;
  readonly limitsOf: (tenant: TenantId) => AdHocLimits;
  readonly random: Random;
}

/** Whatever the limits say: a LIST of more would take too long. */
const COUNT_MAX = 10_000;

export class KeptAdHocProfiles implements AdHocProfiles {
  readonly #modules: AdHocModules;
  readonly #queue: QueryTurns;

  constructor(modules: AdHocModules) {
    this.#modules = modules;
    this.#queue = adHocQueue(modules);
  }

  async upload(tenant: TenantId, { name, file, ...drawing }: AdHocUpload, signal: AbortSignal): Promise<AdHocAnswer> {
    const { clock, guarded, limitsOf, random } = this.#modules;
    const id = makeId(safeName(name), clock.nowMs(), random.bytes(10));
    const limits = limitsOf(tenant);
    checkSize(file.length, limits);
    return this.#queue.run(tenant, "scan", signal, async () => {
      await this.#checkRoom(tenant, file.length, limits, signal);
      const answer = await this.#draw([{ name: id.name, bytes: file }], { ...drawing, profileType: undefined }, limits, id, signal);
      // Where the key is taken it is by an earlier try of this very put, whose answer was lost: 80 bits of it are random.
      await guarded.put(adHocKey(tenant, id), encodeAdHocObject(file), { ifAbsent: true }, signal);
      return answer;
    });
  }

  async get(tenant: TenantId, { id, ...query }: AdHocQuery, signal: AbortSignal): Promise<AdHocAnswer> {
    const checked = checkId(id);
    return this.#queue.run(tenant, "scan", signal, async () => {
      await this.#modules.ensureOurs(signal);
      const file = await this.#read(tenant, checked, signal);
      return this.#draw([file], query, this.#modules.limitsOf(tenant), checked, signal);
    });
  }

  async diff(tenant: TenantId, { leftId, rightId, ...query }: AdHocDiffQuery, signal: AbortSignal): Promise<AdHocAnswer> {
    const [left, right] = [inSide("left", () => checkId(leftId)), inSide("right", () => checkId(rightId))];
    return this.#queue.run(tenant, "scan", signal, async () => {
      await this.#modules.ensureOurs(signal);
      // One after the other: of two reads at once the slower would go on, with a file in memory, after the other had failed and given the place away.
      const files = [await this.#read(tenant, left, signal).catch((error: unknown) => failSide("left", error)), await this.#read(tenant, right, signal).catch((error: unknown) => failSide("right", error))];
      const named = files.map(({ name, bytes }, side) => ({ name: `${side === 0 ? "left" : "right"} profile ${name}`, bytes }));
      return this.#draw(named, query, this.#modules.limitsOf(tenant), undefined, signal);
    });
  }

  async list(tenant: TenantId, signal: AbortSignal): Promise<readonly AdHocEntry[]> {
    return this.#queue.run(tenant, "listing", signal, async () => {
      await this.#modules.ensureOurs(signal);
      const entries: AdHocEntry[] = [];
      for await (const page of this.#modules.bucket.list(tenantAdHocPrefix(tenant), {}, signal)) {
        for (const { key } of page) {
          const parsed = parseAdHocKey(key);
          if (parsed !== undefined) entries.push({ id: parsed.id, name: parsed.name, uploadedAtMs: parsed.uploadedAtMs });
        }
        // More are there only where somebody else put them: the newest are shown.
        if (entries.length > COUNT_MAX) entries.splice(0, entries.length - COUNT_MAX);
      }
      return entries.reverse();
    });
  }

  /** Throws ADHOC_TOO_MANY. */
  async #checkRoom(tenant: TenantId, fileBytes: number, { adHocCountMax, adHocBytesMax }: AdHocLimits, signal: AbortSignal): Promise<void> {
    const countMax = adHocCountMax > 0 ? Math.min(adHocCountMax, COUNT_MAX) : COUNT_MAX;
    await this.#modules.ensureOurs(signal);
    let [count, sizeBytes] = [0, 0];
    for await (const page of this.#modules.bucket.list(tenantAdHocPrefix(tenant), { limit: countMax }, signal)) {
      count += page.length;
      for (const object of page) sizeBytes += object.sizeBytes;
    }
    if (count >= countMax) throw tooMany(`${tenant} keeps ${count} ad hoc profiles and may keep ${countMax} (limit max_adhoc_profiles)`);
    if (adHocBytesMax > 0 && sizeBytes + fileBytes > adHocBytesMax) throw tooMany(`the ad hoc profiles of ${tenant} take ${sizeBytes} bytes, this one takes ${fileBytes}, and together they may take ${adHocBytesMax} (limit max_adhoc_profiles_bytes)`);
  }

  async #read(tenant: TenantId, id: AdHocId, signal: AbortSignal): Promise<DrawnFile> {
    const { bucket } = this.#modules;
    const key = adHocKey(tenant, id);
    try {
      const { sizeBytes } = await bucket.head(key, signal);
      if (sizeBytes > ADHOC_OBJECT_BYTES_MAX) throw adHocDamaged(key, `at most ${ADHOC_OBJECT_BYTES_MAX} bytes`, `${sizeBytes}`);
      // No more than was found, whatever is there by now.
      return { name: id.name, bytes: decodeAdHocObject(await bucket.getRange(key, 0, sizeBytes, signal), key) };
    } catch (error) {
      if (isBucketError(error, "BUCKET_NOT_FOUND")) throw adHocNotFound(id.id);
      throw error;
    }
  }

  /** `id` undefined: a diff. */
  async #draw(files: readonly DrawnFile[], { form, maxNodes, profileType }: AdHocDrawing & Pick<DrawTask, "profileType">, limits: ProfileLimits, id: AdHocId | undefined, signal: AbortSignal): Promise<AdHocAnswer> {
    const reply = id === undefined ? undefined : { id: id.id, name: id.name, uploadedAt: id.uploadedAtMs };
    const drawn = await this.#modules.compute.draw({ files, profileType, maxNodes, limits: profileLimits(limits), reply, form }, signal);
    assert(drawn.kind === "reply", "a drawing is a reply");
    return { bytes: drawn.bytes, isSaturated: drawn.isSaturated };
  }
}

/** Throws PROFILE_TOO_LARGE. What is gzipped may be large and hold little: a worker would read it, and its object would be larger than any that is read back. */
function checkSize(sizeBytes: number, { profileSizeBytesMax }: ProfileLimits): void {
  const sizeBytesMax = profileSizeBytesMax > 0 ? Math.min(profileSizeBytesMax, FILE_BYTES_MAX) : FILE_BYTES_MAX;
  if (sizeBytes <= sizeBytesMax) return;
  const advice = sizeBytesMax < FILE_BYTES_MAX ? "send a smaller one or raise limits.max_profile_size_bytes" : "send a smaller one";
  throw invalidArgument("PROFILE_TOO_LARGE", `the file has ${sizeBytes} bytes as it was sent, and may have ${sizeBytesMax}: ${advice}`);
}

/** Those alone: a tenant's limits hold many more, and travel to a worker. */
function profileLimits({ profileSizeBytesMax, sampleCountMax, sampleLabelCountMax, stacktraceDepthMax, symbolLengthBytesMax, labelCountMax, labelNameLengthBytesMax, labelValueLengthBytesMax, repairsGoStacktraces }: ProfileLimits): ProfileLimits {
  return { profileSizeBytesMax, sampleCountMax, sampleLabelCountMax, stacktraceDepthMax, symbolLengthBytesMax, labelCountMax, labelNameLengthBytesMax, labelValueLengthBytesMax, repairsGoStacktraces };
}

function tooMany(because: string): CodedError {
  // 400: waiting a second, as 429 asks for, does not help.
  return new CodedError({ code: "ADHOC_TOO_MANY", kind: "failed_precondition", message: `${because}: the oldest are deleted for their age (limit max_adhoc_profile_age); raise the limit to keep more` });
}

type Side = "left" | "right";

function inSide<T>(side: Side, check: () => T): T {
  try {
    return check();
  } catch (error) {
    return failSide(side, error);
  }
}

function failSide(side: Side, error: unknown): never {
  if (!(error instanceof CodedError)) throw error;
  throw new CodedError({ code: error.code, kind: error.kind, message: `${side} ${error.message}`, details: error.details, cause: error });
}
