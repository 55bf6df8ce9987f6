/**
 * What this node has read of objects lately, by tenant and window: `WindowMatches` of each.
 *
 * Bound: `bytesMax`. At the bound the window that was used longest ago is forgotten; its objects are read again where someone asks for them.
 */
import type { HeardObject } from "@pyromesh/block";
import { WindowMatches } from "./window-matches.ts";
import type { MatchedObject } from "./window-matches.ts";

export interface MatchMemoryOptions {
  readonly bytesMax: number;
}

export class MatchMemory {
  readonly #bytesMax: number;
  /** The one used longest ago first. */
  readonly #windows = new Map<string, WindowMatches>();
  #bytes = 0;

  constructor({ bytesMax }: MatchMemoryOptions) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts as a use. Undefined where nothing of it is known (any more). */
  find(tenant: string, windowStartMs: number): WindowMatches | undefined {
    const id = idOf(tenant, windowStartMs);
    const window = this.#windows.get(id);
    if (window === undefined) return undefined;
    this.#windows.delete(id);
    this.#windows.set(id, window);
    return window;
  }

  /** The window of an object, made where it is not known. */
  windowOf({ tenant, windowStartMs }: Pick<HeardObject["meta"], "tenant" | "windowStartMs">): WindowMatches {
    const id = idOf(tenant, windowStartMs);
    const known = this.find(tenant, windowStartMs);
    if (known !== undefined && !known.isFull) return known;
    if (known !== undefined) this.#forget(id, known);
    const window = new WindowMatches();
    this.#windows.set(id, window);
    this.#bytes += window.sizeBytes;
    return window;
  }

  add(object: HeardObject, identities: Uint8Array): MatchedObject {
    const window = this.windowOf(object.meta);
    this.#bytes -= window.sizeBytes;
    const added = window.add(object, identities);
    this.#bytes += window.sizeBytes;
    for (const [id, oldest] of this.#windows) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#forget(id, oldest);
    }
    return added;
  }

  of({ key, meta: { tenant, windowStartMs } }: { readonly key: string; readonly meta: { readonly tenant: string; readonly windowStartMs: number } }): MatchedObject | undefined {
    return this.#windows.get(idOf(tenant, windowStartMs))?.of(key);
  }

  #forget(id: string, window: WindowMatches): void {
    this.#windows.delete(id);
    this.#bytes -= window.sizeBytes;
  }
}

function idOf(tenant: string, windowStartMs: number): string {
  return `${windowStartMs}/${tenant}`;
}
