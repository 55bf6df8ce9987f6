/**
 * Reads datasets of segments, from local disk or the bucket, as parts of a scan. A damaged dataset is left out of the parts and named; the others
 * of its object are read all the same.
 */
import { CodedError, messageOf } from "@pyromesh/base";
import type { CatalogEntry, DatasetEntry, ObjectReader, SegmentFooter } from "@pyromesh/block";
import type { SegmentPart } from "../compute/compute.ts";
import type { JobContext } from "./read-ahead.ts";
import { isDamage } from "./unreadable-objects.ts";
import type { Damage, UnreadableObjects } from "./unreadable-objects.ts";

export interface SegmentSourceModules {
  readonly objects: ObjectReader;
  readonly unreadable: UnreadableObjects;
}

export interface ObjectParts {
  readonly parts: readonly SegmentPart[];
  readonly damages: readonly Damage[];
}

/** Memory that a part takes besides its bytes, on its way to a worker: it counts against the read-ahead budget. */
const PART_BASE_BYTES = 1024;

export class SegmentSource {
  readonly #modules: SegmentSourceModules;

  constructor(modules: SegmentSourceModules) {
    this.#modules = modules;
  }

  /** The object's footer, or how it is damaged. Rejects where it cannot be read for another reason: the bucket does not answer, or the object is gone. */
  async footer(entry: CatalogEntry, { signal, request }: Pick<JobContext, "signal" | "request">): Promise<SegmentFooter | Damage> {
    const { objects, unreadable } = this.#modules;
    const { key } = entry;
    return unreadable.find(key) ?? this.#reporting({ key, service: undefined }, () => request(() => objects.footer(entry, signal)));
  }

  /** The datasets of an object for which `wants` is true. */
  async parts(entry: CatalogEntry, wants: (dataset: DatasetEntry) => boolean, context: JobContext): Promise<ObjectParts> {
    const footer = await this.footer(entry, context);
    if (isDamaged(footer)) return { parts: [], damages: [footer] };
    const wanted = footer.datasets.filter(wants);
    await context.reserve(wanted.reduce((sum, { length }) => sum + length + PART_BASE_BYTES, 0));
    const damages: Damage[] = [];
    const parts: SegmentPart[] = [];
    for (const part of await Promise.all(wanted.map((dataset) => this.#part(entry, dataset, context)))) {
      if (isDamaged(part)) damages.push(part);
      else parts.push(part);
    }
    return { parts, damages };
  }

  async #part(entry: CatalogEntry, dataset: DatasetEntry, { signal, request }: JobContext): Promise<SegmentPart | Damage> {
    const { objects, unreadable } = this.#modules;
    const { key, meta } = entry;
    const { service } = dataset;
    const bytes = unreadable.find(key, service) ?? (await this.#reporting({ key, service }, () => request(() => objects.range(entry, dataset, signal))));
    return isDamaged(bytes) ? bytes : { tenant: meta.tenant, windowStartMs: meta.windowStartMs, service, object: key, bytes, entry: dataset };
  }

  async #reporting<T>(of: Pick<Damage, "key" | "service">, read: () => Promise<T>): Promise<T | Damage> {
    try {
      return await read();
    } catch (error) {
      if (!isDamage(error)) throw error;
      const damage = { ...of, reason: namedReason(of.key, error) };
      this.#modules.unreadable.report(damage);
      return damage;
    }
  }
}

/** Whether an object is no longer where the plan says: it was compacted, expired or uploaded meanwhile, and the query plans again. */
export function isVanished(error: unknown): boolean {
  return error instanceof CodedError && (error.code === "BUCKET_NOT_FOUND" || error.code === "SEALED_NOT_HERE");
}

/** The error's message, with the object's key before it where the error does not name it. */
export function namedReason(key: string, error: unknown): string {
  const { object, key: bucketKey } = error instanceof CodedError ? error.details : {};
  return object === key || bucketKey === key ? messageOf(error) : `${key}: ${messageOf(error)}`;
}

export function isDamaged<T extends object>(found: T | Damage): found is Damage {
  return "reason" in found;
}
