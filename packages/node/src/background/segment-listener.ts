/** What the flush tells of this store's segments, each in the turn in which it changes. None may throw. */
import type { HeardObject } from "@pyromesh/block";
import type { LeavingNote } from "@pyromesh/head";

export interface SegmentListener {
  /** The head has forgotten its records; the segment waits on this node's disk for its upload. Also for those that a start finds. */
  sealed(segment: HeardObject): void;
  /** It is in the bucket, and was read back. */
  uploaded(segment: HeardObject): void;
  /** What the head keeps of it when it forgets that it waits; undefined: nothing. */
  noteOf(segment: HeardObject): LeavingNote | undefined;
  /** It has another store id and ordinal from now on. */
  renamed(fromKey: string, segment: HeardObject): void;
  /** Its file is corrupt and it was not in the bucket: a mark takes its place. */
  lost(segment: HeardObject): void;
  /** The identities (16 characters of latin1 each) that were read in its file, before it is sealed, or, where it is uploaded, in the bucket. */
  read(segment: HeardObject, identities: readonly string[]): void;
  /** It was read, and its seal failed: it never was a segment. Its ordinal is free for another. */
  abandoned(segment: HeardObject): void;
}

/** For a node that nobody asks for its segments. */
export const NO_LISTENER: SegmentListener = { sealed: () => {}, uploaded: () => {}, noteOf: () => undefined, renamed: () => {}, lost: () => {}, read: () => {}, abandoned: () => {} };
