/**
 * What this store remembers of the segments that its records went into: their names (`ReleasedInto`, for queries), and which records are in them (`MatchMemory`, for matching
 * and for what other members ask).
 */
import type { Clock } from "@pyromesh/base";
import type { HeardObject } from "@pyromesh/block";
import type { FoundNotes, LeavingNote } from "@pyromesh/head";
import { MatchMemory } from "./match-memory.ts";
import { ReleasedInto } from "./released-into.ts";
import type { SegmentListener } from "../background/segment-listener.ts";

export interface SegmentMemoryOptions {
  /** Of the memory of identities. 0: none are kept, as on a node that is alone and is asked for none. */
  readonly identityBytesMax: number;
  /** What the disk remembers of earlier processes. Absent: nothing is known of what left before. */
  readonly found?: FoundNotes;
}

export class SegmentMemory implements SegmentListener {
  readonly releasedInto: ReleasedInto;
  readonly matches: MatchMemory;
  readonly #keepsIdentities: boolean;
  readonly #listeners: ((segment: HeardObject) => void)[] = [];

  constructor({ identityBytesMax, ...options }: SegmentMemoryOptions, modules: { readonly clock: Clock }) {
    this.releasedInto = new ReleasedInto(options, modules);
    this.matches = new MatchMemory({ bytesMax: identityBytesMax });
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

  noteOf(segment: HeardObject): LeavingNote | undefined {
    return this.releasedInto.noteOf(segment);
  }

  renamed(fromKey: string, segment: HeardObject): void {
    this.releasedInto.forget(fromKey);
    this.matches.find(segment.meta.tenant, segment.meta.windowStartMs)?.rename(fromKey, segment);
    this.#note(segment);
  }

  lost({ key, meta }: HeardObject): void {
    this.releasedInto.forget(key);
    this.matches.find(meta.tenant, meta.windowStartMs)?.forget(key);
  }

  read(segment: HeardObject, identities: readonly string[]): void {
    if (this.#keepsIdentities) this.matches.add(segment, Buffer.from(identities.join(""), "latin1"));
  }

  /** What is asked for its records is no more answered with its name. */
  abandoned({ key, meta }: HeardObject): void {
    this.matches.find(meta.tenant, meta.windowStartMs)?.forget(key);
  }

  #note(segment: HeardObject): void {
    this.releasedInto.note(segment);
    for (const listener of this.#listeners) listener(segment);
  }
}
