/**
 * The identities of objects that this node has read or sealed lately, so that a record which comes late is matched without reading the object again, and
 * other members are told into which segment this store sealed a record.
 *
 * Bound: `bytesMax`. At the bound the object that was used longest ago is forgotten; who needs it reads it again.
 */
import type { ObjectIdentities } from "./object-identities.ts";

export interface KnownIdentitiesOptions {
  readonly bytesMax: number;
}

export class KnownIdentities {
  readonly #bytesMax: number;
  /** By key, the one used longest ago first. */
  readonly #objects = new Map<string, ObjectIdentities>();
  #bytes = 0;

  constructor({ bytesMax }: KnownIdentitiesOptions) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(identities: ObjectIdentities): void {
    const { key } = identities.object;
    this.forget(key);
    this.#objects.set(key, identities);
    this.#bytes += identities.sizeBytes;
    for (const oldest of this.#objects.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.forget(oldest);
    }
  }

  /** Counts as a use. Undefined where it is not known (any more). */
  of(key: string): ObjectIdentities | undefined {
    const identities = this.#objects.get(key);
    if (identities === undefined) return undefined;
    this.#objects.delete(key);
    this.#objects.set(key, identities);
    return identities;
  }

  forget(key: string): void {
    const identities = this.#objects.get(key);
    if (identities === undefined) return;
    this.#objects.delete(key);
    this.#bytes -= identities.sizeBytes;
  }
}
