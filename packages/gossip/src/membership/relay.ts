/**
 * The relay of heartbeats in a large cluster: what this node has heard from whom, and what it tells each mate in its row and its column of the grid.
 * Every message is complete in itself: one that is lost is made good by the next.
 */
import { HeardHeartbeats, NO_HEARTBEAT } from "./heartbeats.ts";
import { RelayGrid } from "./relay-grid.ts";

/** Lists of the same length each; ids ascend as in the grid. */
export interface RelayMessage {
  /** The sender's own heartbeat. */
  readonly own: number;
  /** To a column mate: the sender's row: a heartbeat that was heard of each member, and that member's word about the receiver. 0: none. */
  readonly rowIds: Uint32Array;
  readonly rowBeats: Uint32Array;
  readonly rowWords: Uint32Array;
  /** To a row mate: the sender's word about each member of the receiver's column. */
  readonly ids: Uint32Array;
  readonly words: Uint32Array;
}

/** What was heard longer ago is not passed on: it could no longer count (the lease is 5 s). */
const AGE_MAX_MS = 5000;

interface WordsOf {
  atMs: number;
  ids: Uint32Array;
  words: Uint32Array;
}

export class Relay {
  readonly #heard = new HeardHeartbeats();
  /** By row mate: its words about this node's column. As many as row mates. */
  readonly #wordsOf = new Map<number, WordsOf>();
  #grid = new RelayGrid([0], 0);
  #self = 0;

  /** Who takes part: `ids` sorted and distinct, `self` among them. */
  setRoster(ids: readonly number[], self: number): void {
    this.#self = self;
    this.#grid = new RelayGrid(ids, self);
    for (const id of this.#wordsOf.keys()) if (!this.#grid.relayedBy.has(id)) this.#wordsOf.delete(id);
  }

  forget(id: number): void {
    this.#heard.forget(id);
    this.#wordsOf.delete(id);
  }

  /** A heartbeat of `id`, from itself or by others. True: it is news. */
  hear(id: number, heartbeat: number, nowMs: number): boolean {
    return this.#heard.hear(id, heartbeat, nowMs);
  }

  /** The messages of now. `wordAbout`: the heartbeat if this node vouches for its sender, else 0. */
  compose(own: number, nowMs: number, wordAbout: (id: number, heartbeat: number) => number, send: (to: number, message: RelayMessage) => void): void {
    const sinceMs = nowMs - AGE_MAX_MS;
    const { rowMates, columnMates, relayedBy } = this.#grid;
    for (const mate of rowMates) {
      const members = relayedBy.get(mate)!;
      const ids = new Uint32Array(members.length);
      const words = new Uint32Array(members.length);
      let count = 0;
      for (const id of members) {
        if (id === this.#self) continue;
        const heartbeat = this.#heard.recent(id, sinceMs);
        const word = heartbeat === NO_HEARTBEAT ? NO_HEARTBEAT : wordAbout(id, heartbeat);
        if (word === NO_HEARTBEAT) continue;
        ids[count] = id;
        words[count++] = word;
      }
      send(mate, { own, rowIds: EMPTY, rowBeats: EMPTY, rowWords: EMPTY, ids: ids.subarray(0, count), words: words.subarray(0, count) });
    }
    for (const mate of columnMates) {
      const rowIds = new Uint32Array(rowMates.length + 1);
      const rowBeats = new Uint32Array(rowMates.length + 1);
      const rowWords = new Uint32Array(rowMates.length + 1);
      let count = 0;
      const ownWord = this.#heard.recent(mate, sinceMs);
      rowIds[count] = this.#self;
      rowBeats[count] = own;
      rowWords[count++] = ownWord === NO_HEARTBEAT ? NO_HEARTBEAT : wordAbout(mate, ownWord);
      for (const id of rowMates) {
        const heartbeat = this.#heard.recent(id, sinceMs);
        const word = this.#wordOf(id, mate, sinceMs);
        if (heartbeat === NO_HEARTBEAT && word === NO_HEARTBEAT) continue;
        rowIds[count] = id;
        rowBeats[count] = heartbeat;
        rowWords[count++] = word;
      }
      send(mate, { own, rowIds: rowIds.subarray(0, count), rowBeats: rowBeats.subarray(0, count), rowWords: rowWords.subarray(0, count), ids: EMPTY, words: EMPTY });
    }
  }

  /** `onBeat` is called for each heartbeat that is news; `onWord` for each word about this node. */
  take(from: number, message: RelayMessage, nowMs: number, onBeat: (id: number) => void, onWord: (of: number, heartbeat: number) => void): void {
    if (this.#heard.hear(from, message.own, nowMs)) onBeat(from);
    const { rowIds, rowBeats, rowWords, ids, words } = message;
    for (let i = 0; i < rowIds.length; i++) {
      const id = rowIds[i]!;
      if (id === this.#self) continue;
      if (rowBeats[i] !== NO_HEARTBEAT && this.#heard.hear(id, rowBeats[i]!, nowMs)) onBeat(id);
      if (rowWords[i] !== NO_HEARTBEAT) onWord(id, rowWords[i]!);
    }
    if (ids.length === 0) return;
    const at = ids.indexOf(this.#self);
    if (at >= 0) onWord(from, words[at]!);
    if (!this.#grid.relayedBy.has(from)) return; // its grid differs from this node's: it is not in the row
    const known = this.#wordsOf.get(from);
    if (known === undefined) this.#wordsOf.set(from, { atMs: nowMs, ids, words });
    else Object.assign(known, { atMs: nowMs, ids, words });
  }

  #wordOf(of: number, about: number, sinceMs: number): number {
    const known = this.#wordsOf.get(of);
    if (known === undefined || known.atMs < sinceMs) return NO_HEARTBEAT;
    const at = known.ids.indexOf(about);
    return at < 0 ? NO_HEARTBEAT : known.words[at]!;
  }
}

const EMPTY = new Uint32Array(0);
