/**
 * Notes of the objects that this store's records went into. A query is told of these objects, and finds there what the head does not have any more.
 *
 * What must stay true: the note is put in the batch in which records leave for its object, so a store that is opened again has either the records or the note. While a
 * segment waits for its upload its own entry (`s/`) stands for the note.
 *
 * Bound: the caller's. What it does not need any more it names with the next note, so that nothing is written for that alone.
 */
import { wrap } from "../entries/checksum-envelope.ts";
import { noteKey } from "../entries/keys.ts";
import type { StoreOp } from "../entries/store.ts";

export interface LeavingNote {
  /** The key of the object. */
  readonly key: string;
  /** The caller's own, opaque to the head. */
  readonly bytes: Uint8Array;
  /** Keys of notes that are needed no more. */
  readonly forgotten: readonly string[];
}

/** What a store had at its start. */
export interface FoundNotes {
  /** By the key of the object. */
  readonly entries: ReadonlyMap<string, Uint8Array>;
  /** Nothing has left the store since then without a note, by the wall clock, but for what was named as needed no more; 0: ever. Undefined: it cannot be said. */
  readonly sinceMs: number | undefined;
}

/** From when on a store keeps notes. */
export interface BegunNotes {
  /** As of `FoundNotes`, of what follows together with what the store has already. */
  readonly sinceMs: number;
  /** Of what left the store since then, where it has none yet. */
  readonly notes: readonly LeavingNote[];
}

export function* noteOps({ key, bytes, forgotten }: LeavingNote): Generator<StoreOp, void> {
  for (const old of forgotten) yield { kind: "delete", key: noteKey(old) };
  yield { kind: "put", key: noteKey(key), value: wrap(noteKey(key), bytes) };
}
