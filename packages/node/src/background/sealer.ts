/**
 * Seals a cut: its rows become segment files on local disk, and the head drops its records for them in one batch.
 *
 * What must stay true: a file that the head names is never deleted here. A seal that the store refused may be in the store all the same. So
 * the files of a failed try are removed only at the next try, when the head knows the outcome, and only those that are not sealed.
 */
import type { Logger, TenantId } from "@pyromesh/base";
import { CodedError, toHex, unavailable } from "@pyromesh/base";
import type { HeardObject, LocalFiles, SegmentMeta } from "@pyromesh/block";
import { buildSegment, bytesSource, readIdentities, segmentKey } from "@pyromesh/block";
import type { Cut, Head, LivePage, NewSegment, OrdinalName } from "@pyromesh/head";
import { WINDOW_MS } from "@pyromesh/profile";
import type { WrittenVersions } from "../cluster/version-gate.ts";
import type { Compute, Generation } from "../compute/compute.ts";
import { crashPoint } from "../process/crash-point.ts";
import type { Generations } from "./generations.ts";
import type { OrdinalLock } from "./ordinal-lock.ts";
import { encodeSealedEntry, corruptionOf, sealedEntryOf } from "./sealed-entry.ts";
import type { SegmentListener } from "./segment-listener.ts";
import { toldSegment } from "./told-segment.ts";

/** What is read of a takeover's records at once. */
const TAKEOVER_PAGE_BYTES = 256 << 10;

export interface SealerModules {
  readonly head: Head;
  readonly compute: Compute;
  readonly local: LocalFiles;
  readonly generations: Generations;
  readonly versions: WrittenVersions;
  readonly ordinalLock: OrdinalLock;
  readonly listener: SegmentListener;
  readonly logger: Logger;
}

export class Sealer {
  readonly #modules: SealerModules;
  readonly #signal: AbortSignal;
  /** Segments whose files a failed try wrote, by cut. */
  readonly #leftovers = new Map<number, readonly HeardObject[]>();

  constructor(modules: SealerModules, signal: AbortSignal) {
    this.#modules = modules;
    this.#signal = signal;
  }

  /** May be called again after it rejected. The head's `onSealed` says that the cut is sealed, also after a seal that the store refused and kept. */
  seal(cut: Cut): Promise<void> {
    return this.#modules.ordinalLock.run(() => this.#seal(cut));
  }

  /** Call it when the head has sealed the cut: its files belong to the head now and must not be removed as leftovers. */
  forget(cutId: number): void {
    this.#leftovers.delete(cutId);
  }

  async #seal(cut: Cut): Promise<void> {
    const { generations, head } = this.#modules;
    // 1. The ordinals. Before the head names them it settles the outcome of every earlier seal.
    const ordinals = await head.nextOrdinals(cut.cutId);
    if (ordinals === undefined) return;
    await this.#removeLeftovers(cut.cutId);
    // A takeover's cut has none: its records were not interned when they came.
    const generation = generations.of(cut.cutId);
    if (generation === undefined) await this.#sealTakeover(cut, ordinals);
    else await this.#sealRows(cut, ordinals, generation);
  }

  /** Reads the cut's records from the head into a generation of this try alone. */
  async #sealTakeover(cut: Cut, ordinals: readonly OrdinalName[]): Promise<void> {
    const { compute, generations } = this.#modules;
    const generation = generations.aside();
    try {
      await this.#intern(cut, generation);
      await this.#sealRows(cut, ordinals, generation);
    } finally {
      compute.drop(generation);
    }
  }

  async #intern({ cutId, firstSeq, lastSeq }: Cut, generation: Generation): Promise<void> {
    const { compute, head } = this.#modules;
    for (let fromSeq: number | undefined = firstSeq; fromSeq !== undefined; ) {
      this.#signal.throwIfAborted();
      let unreadable: LivePage["unreadable"] = [];
      const untilSeq = lastSeq + 1;
      fromSeq = await head.readLive({ fromSeq, untilSeq }, TAKEOVER_PAGE_BYTES, ({ records, unreadable: found }) => {
        unreadable = found;
        compute.insert(generation, records.flatMap((one) => (one.cutId === cutId ? [one.record] : [])));
      });
      for (const { seq, reason } of unreadable) await head.setAside(seq, `record ${seq}, read to be flushed for another store, is corrupt: ${reason}`);
      // No faster than the workers intern.
      await compute.settle();
    }
  }

  async #sealRows(cut: Cut, ordinals: readonly OrdinalName[], generation: Generation): Promise<void> {
    const { head, logger } = this.#modules;
    // 2. The files.
    const written: HeardObject[] = [];
    this.#leftovers.set(cut.cutId, written);
    const segments: NewSegment[] = [];
    const found = new Set<string>();
    for (const ordinal of ordinals) {
      const segment = await this.#write(generation, ordinal, written, found);
      if (segment !== undefined) segments.push(segment);
    }
    for (const identity of head.cutIdentities(cut.cutId)) {
      if (!found.has(identity)) {
        throw new CodedError({ code: "CUT_INCOMPLETE", kind: "internal", message: `record ${toHex(Buffer.from(identity, "latin1"))} of cut ${cut.cutId} is in no segment of it`, details: { cutId: cut.cutId } });
      }
    }

    // 3. The seal.
    await head.seal(cut.cutId, segments);
    crashPoint("flush-after-seal");
    logger.info("sealed", { cut: cut.cutId, segments: segments.length });
  }

  /** Builds and writes one segment. Undefined where no row of the tenant and window is left: then it takes no ordinal. */
  async #write(generation: Generation, name: OrdinalName, written: HeardObject[], found: Set<string>): Promise<NewSegment | undefined> {
    const { compute, local } = this.#modules;
    const { storeId, tenant, windowStartMs, ordinal } = name;
    const datasets = await compute.build(generation, tenant, windowStartMs);
    crashPoint("flush-after-build");
    if (datasets.length === 0) return undefined;
    const meta: SegmentMeta & { readonly level: 0 } = {
      tenant: tenant as TenantId, // the API parsed it before the head took the record
      windowStartMs,
      windowMs: WINDOW_MS,
      level: 0,
      storeId,
      ordinal,
      minTimeMs: datasets.reduce((least, { minTimeMs }) => Math.min(least, minTimeMs), Infinity),
      maxTimeMs: datasets.reduce((most, { maxTimeMs }) => Math.max(most, maxTimeMs), -Infinity),
      recordCount: datasets.reduce((sum, { recordCount }) => sum + recordCount, 0),
      sources: [{ storeId, firstOrdinal: ordinal, lastOrdinal: ordinal }],
    };
    const version = this.#modules.versions.versionOf("segment");
    await this.#modules.head.holdVersions({ segment: version });
    const bytes = buildSegment(meta, datasets, version);
    const key = segmentKey(meta);
    const told = toldSegment(meta, { sizeBytes: bytes.length, isUploaded: false });
    written.push(told);
    const read = await writeAndRead(local, key, bytes, this.#signal);
    const identities = await readIdentities(bytesSource(read), key, this.#signal);
    for (const identity of identities) found.add(identity);
    this.#modules.listener.read(told, identities);
    crashPoint("flush-after-local-file");
    return { ...name, key, bytes: encodeSealedEntry(sealedEntryOf(bytes)) };
  }

  /** Call it only while the outcome of every earlier seal is known: then what is not sealed now never will be. */
  async #removeLeftovers(cutId: number): Promise<void> {
    const { head, listener, local } = this.#modules;
    for (const segment of this.#leftovers.get(cutId) ?? []) {
      if (head.isSealed(segment.key)) continue;
      // Before the next try reads its own: whoever asks for these records must not be told of a segment that never was.
      listener.abandoned(segment);
      await local.delete(segment.key);
    }
    this.#leftovers.delete(cutId);
  }
}

/** Writes a local file and reads it back. Rejects `LOCAL_FILE_DIFFERS` where the disk returns other bytes. */
export async function writeAndRead(local: LocalFiles, key: string, bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  await local.write(key, bytes);
  const file = await local.source(key);
  const read = await file.read(0, file.sizeBytes, signal);
  const corruption = corruptionOf(sealedEntryOf(read), sealedEntryOf(bytes));
  if (corruption !== undefined) throw unavailable("LOCAL_FILE_DIFFERS", `${local.pathOf(key)}, just written, ${corruption}: check this node's disk`);
  return read;
}
