/**
 * Which segments a plan reads, in the form in which holders are told: by tenant and window, ordinals of stores as ranges, which are a few bytes for an
 * hour of segments. A block stands for the segments that went into it, and is named as well. Pure.
 */
import type { TenantId } from "@pyromesh/base";
import { SourceSet } from "@pyromesh/block";
import type { CatalogEntry, SourceRange } from "@pyromesh/block";

export interface PlannedWindow {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
  /** Segments that the plan reads as they are. */
  readonly segments: SourceSet;
  /** Segments that it reads as part of a block. */
  readonly inBlocks: SourceSet;
}

export class PlannedObjects {
  readonly windows: readonly PlannedWindow[];
  readonly #byId: ReadonlyMap<string, PlannedWindow>;

  constructor(windows: readonly PlannedWindow[]) {
    this.windows = windows;
    this.#byId = new Map(windows.map((window) => [idOf(window.tenant, window.windowStartMs), window]));
  }

  static of(entries: Iterable<CatalogEntry>): PlannedObjects {
    const windows = new Map<string, { readonly tenant: TenantId; readonly windowStartMs: number; readonly segments: SourceRange[]; readonly inBlocks: SourceRange[] }>();
    for (const { meta, sources } of entries) {
      const { tenant, windowStartMs } = meta;
      const id = idOf(tenant, windowStartMs);
      let window = windows.get(id);
      if (window === undefined) windows.set(id, (window = { tenant, windowStartMs, segments: [], inBlocks: [] }));
      if (meta.kind === "segment") window.segments.push({ storeId: meta.storeId, firstOrdinal: meta.ordinal, lastOrdinal: meta.ordinal });
      else window.inBlocks.push(...(sources?.ranges() ?? []));
    }
    return new PlannedObjects(Array.from(windows.values(), ({ segments, inBlocks, ...window }) => ({ ...window, segments: new SourceSet(segments), inBlocks: new SourceSet(inBlocks) })));
  }

  windowOf(tenant: string, windowStartMs: number): PlannedWindow | undefined {
    return this.#byId.get(idOf(tenant, windowStartMs));
  }

  /** The plan reads this segment, as it is or as part of a block. */
  covers({ tenant, windowStartMs, storeId, ordinal }: { readonly tenant: string; readonly windowStartMs: number; readonly storeId: string; readonly ordinal: number }): boolean {
    const window = this.windowOf(tenant, windowStartMs);
    return window !== undefined && (window.segments.has(storeId, ordinal) || window.inBlocks.has(storeId, ordinal));
  }
}

function idOf(tenant: string, windowStartMs: number): string {
  return `${windowStartMs}/${tenant}`;
}
