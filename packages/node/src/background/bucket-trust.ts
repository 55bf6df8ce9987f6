/**
 * Whether the bucket is the one that this data dir writes to, by the identity object in it. A fresh data dir adopts a bucket's identity, or makes one
 * (plan-adoption.ts has the rule).
 *
 * What must stay true: the data dir says which bucket it belongs to, synced, before anything is uploaded there. Once the bucket was found to be the wrong
 * one, it is trusted again only after its identity was read and is the right one.
 */
import { CodedError, messageOf, toHex, unavailable } from "@pyromesh/base";
import type { Clock, Logger, Random } from "@pyromesh/base";
import { addFirstFormatStores, isBucketError, makeIdentity, OBJECT_PREFIX, readIdentity } from "@pyromesh/block";
import type { Bucket, BucketIdentity, Catalog, OwnOrdinals } from "@pyromesh/block";
import { planAdoption } from "./plan-adoption.ts";
import type { AdoptionPlan, AdoptionView } from "./plan-adoption.ts";

/** What adopting a bucket needs of the head. */
export interface AdoptingHead {
  readonly storeId: Uint8Array;
  readonly bucketMark: { readonly bucketId: string; readonly clusterName: string } | undefined;
  readonly isFirstFormat: boolean;
  /** How many ordinals the store id in force has given, over all tenants and windows. */
  readonly givenOrdinalCount: number;
  adoptBucket(mark: { readonly bucketId: string; readonly clusterName: string }): Promise<void>;
  ordinals(): OwnOrdinals["stores"];
  sealed(): readonly { readonly key: string }[];
}

export interface BucketTrustOptions {
  readonly clusterName: string | undefined;
  /** `--bucket-init`. */
  readonly isInit: boolean;
  /** True for a folder: this node may make it where it is missing. */
  readonly isCreatable: boolean;
}

export interface BucketTrustModules {
  readonly bucket: Bucket;
  readonly catalog: Catalog;
  readonly head: AdoptingHead;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called each time the bucket is found to be the wrong one. */
  readonly onDistrusted: (reason: string) => void;
}

/** The bucket answers, and it is not the one that this data dir may use. */
export class NotOurs extends CodedError {
  constructor(code: string, because: string, cause?: unknown) {
    super({ code, kind: "unavailable", message: because, cause });
  }
}

export class BucketTrust {
  readonly #options: BucketTrustOptions;
  readonly #modules: BucketTrustModules;
  #waits: string | undefined;
  #identity: BucketIdentity | undefined;
  #identifiedMs = -Infinity;
  #wasIdentified = false;
  #ensuring: Promise<void> | undefined;

  constructor(options: BucketTrustOptions, modules: BucketTrustModules) {
    this.#options = options;
    this.#modules = modules;
    if (this.isFresh) this.#waits = "its data directory is fresh and the bucket was not asked yet";
  }

  /** The data dir belongs to no bucket yet. */
  get isFresh(): boolean {
    const { head } = this.#modules;
    return head.bucketMark === undefined && !head.isFirstFormat;
  }

  /** Why a fresh data dir has no bucket yet; undefined: it has one. */
  get waitsBecause(): string | undefined {
    return this.#waits;
  }

  /** As it was last read; undefined: not yet, or the bucket has none. */
  get identity(): BucketIdentity | undefined {
    return this.#identity;
  }

  /** Monotonic time at which the identity was last read and was the right one. -Infinity: not since the bucket was last found to be wrong. */
  get identifiedMs(): number {
    return this.#identifiedMs;
  }

  /** Who made the bucket's identity: this node's store, another one, or (before there were clusters) nobody that is named. Undefined: it was not read yet. */
  get founder(): "self" | "other" | "unnamed" | undefined {
    if (this.#identity === undefined) return undefined;
    const { founderStore } = this.#identity;
    return founderStore === undefined ? "unnamed" : this.ownStoreIds().has(founderStore) ? "self" : "other";
  }

  /** A fresh data dir asked the bucket and got no answer that it could use. */
  noteUnanswered(reason: string): void {
    this.#waits = `its data directory is fresh and waits for the bucket: ${reason}`;
  }

  /** Reads the identity; callers at the same time share one read. Resolves where it is the right one. Rejects `NotOurs`, or the reason why it could not be read. */
  ensure(signal: AbortSignal): Promise<void> {
    return (this.#ensuring ??= this.#readAndJudge(signal).finally(() => (this.#ensuring = undefined)));
  }

  async #readAndJudge(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#modules;
    const askedMs = clock.monotonicMs();
    const look = await this.#look(signal);
    const plan = planAdoption({ ...look.view, clusterName: this.#options.clusterName, isInit: this.#options.isInit && !this.#wasIdentified, isCreatable: this.#options.isCreatable });
    await this.#carryOut(plan, look.cause, signal);
    if (this.#identifiedMs === -Infinity) logger.info(this.#wasIdentified ? "the bucket is back" : "the bucket is the right one", { bucket: this.#modules.bucket.name, id: this.#identity?.bucketId ?? "" });
    this.#identifiedMs = askedMs;
    this.#wasIdentified = true;
    this.#waits = undefined;
  }

  async #look(signal: AbortSignal): Promise<{ readonly view: Pick<AdoptionView, "bucket" | "dataDir">; readonly cause?: unknown }> {
    const { bucket, catalog, head } = this.#modules;
    const dataDir = ((): AdoptionView["dataDir"] => {
      if (head.bucketMark !== undefined) return { kind: "marked", bucketId: head.bucketMark.bucketId };
      // A segment whose ordinal was given and which does not wait on this disk may have been uploaded.
      return head.isFirstFormat ? { kind: "first-format", mayHaveUploaded: head.givenOrdinalCount > head.sealed().length } : { kind: "fresh" };
    })();
    try {
      const identity = await readIdentity(bucket, signal);
      this.#identity = identity;
      if (identity !== undefined) return { view: { dataDir, bucket: { kind: "answers", identity } } };
      if (dataDir.kind === "first-format") await catalog.refresh(signal);
      const listsOwnSegments = dataDir.kind === "first-format" && this.#listedStores().has(toHex(head.storeId));
      let holdsObjects = false;
      for await (const page of bucket.list(OBJECT_PREFIX, { limit: 1 }, signal)) holdsObjects = page.length > 0;
      return { view: { dataDir, bucket: { kind: "answers", identity: undefined, holdsObjects, listsOwnSegments } } };
    } catch (error) {
      if (signal.aborted) throw error;
      if (isBucketError(error, "BUCKET_MISSING")) return { view: { dataDir, bucket: { kind: "missing", reason: error.message } }, cause: error };
      if (isBucketError(error, "BUCKET_FORBIDDEN")) return { view: { dataDir, bucket: { kind: "forbidden", reason: error.message } }, cause: error };
      if (error instanceof CodedError && error.code === "BUCKET_IDENTITY_UNREADABLE") throw this.#distrust(new NotOurs("BUCKET_IDENTITY_UNREADABLE", messageOf(error), error));
      return { view: { dataDir, bucket: { kind: "unreachable", reason: messageOf(error) } }, cause: error };
    }
  }

  async #carryOut(plan: AdoptionPlan, cause: unknown, signal: AbortSignal): Promise<void> {
    const { logger } = this.#modules;
    switch (plan.kind) {
      case "go-on":
        return;
      case "adopt":
        return this.#adopt(plan.identity, signal);
      case "make": {
        const identity = await this.#make(plan.bucketId, signal);
        const isOwn = identity.founderStore === toHex(this.#modules.head.storeId);
        logger.info(isOwn ? "an identity was made for the bucket" : "another node has made the bucket's identity at the same moment", { bucket: this.#modules.bucket.name, id: identity.bucketId });
        if (plan.bucketId === undefined) return this.#adopt(identity, signal);
        if (identity.bucketId !== plan.bucketId) throw this.#distrust(new NotOurs("BUCKET_IS_ANOTHER", `another node made it bucket ${identity.bucketId} at the same moment; this data directory wrote to bucket ${plan.bucketId}`));
        this.#identity = identity;
        return;
      }
      case "refuse":
        throw this.#distrust(new NotOurs(plan.code, plan.because, cause));
      case "wait":
        throw unavailable("BUCKET_UNREACHABLE", plan.because, cause);
      case "go-without":
        // While the folder is missing, no catalogued object can be read: queries are refused.
        if (isBucketError(cause, "BUCKET_MISSING")) throw this.#distrust(unavailable("BUCKET_MISSING", plan.because, cause));
        throw unavailable("BUCKET_UNREACHABLE", plan.because, cause);
    }
  }

  async #make(bucketId: string | undefined, signal: AbortSignal): Promise<BucketIdentity> {
    const { bucket, catalog, clock, head, random } = this.#modules;
    await bucket.create(signal);
    await catalog.refresh(signal); // for the store ids of the objects that lie there already
    const own = head.isFirstFormat ? new Set<string>() : this.ownStoreIds();
    const firstFormatStores = [...this.#listedStores()].filter((id) => !own.has(id));
    if (head.isFirstFormat && !firstFormatStores.includes(toHex(head.storeId))) firstFormatStores.push(toHex(head.storeId));
    return makeIdentity(
      bucket,
      { bucketId: bucketId ?? toHex(random.bytes(16)), clusterName: this.#options.clusterName ?? head.bucketMark?.clusterName ?? "", firstFormatStores, founderStore: toHex(head.storeId), createdAtMs: clock.nowMs() },
      signal,
    );
  }

  /** Writes to the data dir which bucket it belongs to, synced, before anything is uploaded there. */
  async #adopt(identity: BucketIdentity, signal: AbortSignal): Promise<void> {
    const { bucket, head } = this.#modules;
    this.#identity = head.isFirstFormat ? ((await addFirstFormatStores(bucket, [toHex(head.storeId)], signal)) ?? identity) : identity;
    await head.adoptBucket({ bucketId: identity.bucketId, clusterName: identity.clusterName });
  }

  /** The store id in force, and the former ones of this data dir that gave ordinals. */
  ownStoreIds(): Set<string> {
    const { head } = this.#modules;
    return new Set([toHex(head.storeId), ...head.ordinals().map(({ storeId }) => storeId)]);
  }

  #listedStores(): Set<string> {
    const stores = new Set<string>();
    for (const { meta, place } of this.#modules.catalog.entries()) if (meta.kind === "segment" && place === "bucket") stores.add(meta.storeId);
    return stores;
  }

  /** Notes that the bucket is the wrong one. Until the identity was read again and is the right one, no LIST is believed and nothing is uploaded. */
  #distrust<E extends Error>(error: E): E {
    this.#identifiedMs = -Infinity;
    if (this.isFresh) this.#waits = `its data directory is fresh and the bucket cannot be used: ${error.message}`;
    this.#modules.onDistrusted(error.message);
    return error;
  }
}
