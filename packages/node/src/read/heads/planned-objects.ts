/**
 * Which segments a plan reads, in the form in which holders are told: by tenant and window, ordinals of stores as ranges, which are a few bytes for an
 * hour of segments. A block stands for the segments that went into it, and is named as well. Pure.
 */
import type { TenantId, Turns } from "@pyromesh/base";
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

  /** In slices: a month of segments are more than a hundred thousand. */
  static async of(entries: readonly CatalogEntry[], turns: Turns): Promise<PlannedObjects> {
    const windows = new Map<string, Told>();
    let last: Told | undefined;
    for (const [index, { meta, sources }] of entries.entries()) {
      if ((index & 1023) === 0 && turns.areDue) await turns.give();
      const { tenant, windowStartMs } = meta;
      // The plan has the objects of a window next to each other.
      if (last === undefined || last.windowStartMs !== windowStartMs || last.tenant !== tenant) {
        const id = idOf(tenant, windowStartMs);
        last = windows.get(id) ?? { tenant, windowStartMs, ordinals: new Map(), inBlocks: [] };
        windows.set(id, last);
      }
      if (meta.kind === "block") {
        last.inBlocks.push(...(sources?.ranges() ?? []));
        continue;
      }
      const ordinals = last.ordinals.get(meta.storeId);
      if (ordinals === undefined) last.ordinals.set(meta.storeId, [meta.ordinal]);
      else ordinals.push(meta.ordinal);
    }
    const told: PlannedWindow[] = [];
    for (const { tenant, windowStartMs, ordinals, inBlocks } of windows.values()) {
      if (turns.areDue) await turns.give();
      told.push({ tenant, windowStartMs, segments: new SourceSet(rangesOf(ordinals)), inBlocks: new SourceSet(inBlocks) });
    }
    return new PlannedObjects(told);
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

interface Told {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
  /** Of segments, by store. */
  readonly ordinals: Map<string, number[]>;
  readonly inBlocks: SourceRange[];
}

function* rangesOf(ordinals: ReadonlyMap<string, readonly number[]>): Generator<SourceRange> {
  for (const [storeId, unsorted] of ordinals) {
    const sorted = Float64Array.from(unsorted).sort();
    let first = 0;
    for (let index = 1; index <= sorted.length; index++) {
      if (index < sorted.length && sorted[index]! <= sorted[index - 1]! + 1) continue;
      yield { storeId, firstOrdinal: sorted[first]!, lastOrdinal: sorted[index - 1]! };
      first = index;
    }
  }
}

function idOf(tenant: string, windowStartMs: number): string {
  return `${windowStartMs}/${tenant}`;
}
