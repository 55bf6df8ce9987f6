/**
 * What this store remembers of the segments that its records went into: their names (`ReleasedInto`, for queries), and the identities in them (`KnownIdentities`, for matching and for
 * what other members ask).
 */
import type { Clock } from "@pyromesh/base";
import type { HeardObject } from "@pyromesh/block";
import { KnownIdentities } from "./known-identities.ts";
import { ObjectIdentities } from "./object-identities.ts";
import { ReleasedInto } from "./released-into.ts";
import type { SegmentListener } from "./segment-listener.ts";

export interface SegmentMemoryOptions {
  /** 0: identities are not kept, as on a node that is alone and is asked for none. */
  readonly identityBytesMax: number;
}

export class SegmentMemory implements SegmentListener {
  readonly releasedInto: ReleasedInto;
  readonly known: KnownIdentities;
  readonly #keepsIdentities: boolean;
  readonly #listeners: ((segment: HeardObject) => void)[] = [];

  constructor({ identityBytesMax }: SegmentMemoryOptions, modules: { readonly clock: Clock }) {
    this.releasedInto = new ReleasedInto({}, modules);
    this.known = new KnownIdentities({ bytesMax: identityBytesMax });
    this.#keepsIdentities = identityBytesMax > 0;
  }

  /** The listener is called with each segment that was sealed, uploaded or renamed, in the turn of that. */
  onSegment(listener: (segment: HeardObject) => void): void {
    this.#listeners.push(listener);
  }

  sealed(segment: HeardObject): void {
    this.#note(segment);
  }

  uploaded(segment: HeardObject): void {
    this.#note(segment);
  }

  renamed(fromKey: string, segment: HeardObject): void {
    this.releasedInto.forget(fromKey);
    const identities = this.known.of(fromKey);
    this.known.forget(fromKey);
    if (identities !== undefined) this.known.add(new ObjectIdentities(segment, identities.bytes));
    this.#note(segment);
  }

  lost(key: string): void {
    this.releasedInto.forget(key);
    this.known.forget(key);
  }

  read(segment: HeardObject, identities: readonly string[]): void {
    if (this.#keepsIdentities) this.known.add(new ObjectIdentities(segment, Buffer.from(identities.join(""), "latin1")));
  }

  #note(segment: HeardObject): void {
    this.releasedInto.note(segment);
    for (const listener of this.#listeners) listener(segment);
  }
}
