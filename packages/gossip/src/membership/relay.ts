/**
 * The relay of heartbeats in a large cluster: what this node has heard of whom, and what it tells each mate in its row and its column of the grid
 * (relay-grid.ts). Every message is complete in itself: one that is lost is made good by the next.
 */
import { isLaterHeartbeat, isOfIncarnation, NO_HEARTBEAT } from "./heartbeats.ts";
import { RelayGrid } from "./relay-grid.ts";

/** Lists of the same length each. */
export interface RelayMessage {
  /** The sender's own heartbeat. */
  readonly own: number;
  /** To a column mate, of each member of the sender's row: the heartbeat that was heard of it, and its word about the receiver. 0: none. */
  readonly rowIds: Uint32Array;
  readonly rowBeats: Uint32Array;
  readonly rowWords: Uint32Array;
  /** To a row mate: the sender's word about each member of the receiver's column. */
  readonly ids: Uint32Array;
  readonly words: Uint32Array;
}

export interface RelayMember {
  readonly id: number;
  readonly name: string;
  readonly storeId: string;
  /** The incarnation at which this node vouches for it: its entry is on disk, it is full and not fenced. -1: this node does not. */
  readonly vouchedIncarnation: number;
  /** It has a place in the grid. One that is suspected has none, so that it is no hole; its heartbeats are heard all the same. */
  readonly isInGrid: boolean;
}

/** What was heard longer ago is not passed on: it could no longer count (the lease is 5 s). */
const AGE_MAX_MS = 5000;

interface Slot {
  readonly id: number;
  readonly name: string;
  readonly storeId: string;
  vouchedIncarnation: number;
  /** The last heartbeat that was heard of it, from itself or by others, and when. */
  beat: number;
  beatMs: number;
  /** Of a row mate: its words about this node's column, and when they came. */
  words: { readonly ids: Uint32Array; readonly words: Uint32Array } | undefined;
  wordsMs: number;
  /** When this node sent the last of its heartbeats that the member is known to have heard. */
  heardSentMs: number;
}

export interface WordTaker {
  /** When this node sent its heartbeat; undefined: it is too old. */
  sentMs(heartbeat: number): number | undefined;
  /** The store has heard a heartbeat that this node sent then: later than any before. */
  onWord(name: string, storeId: string, sentMs: number): void;
}

export class Relay {
  /** As many as take part. */
  #slots = new Map<number, Slot>();
  #self = 0;
  #gridSize = 0;
  #rowMates: readonly Slot[] = [];
  #columnMates: readonly Slot[] = [];
  /** By row mate, in their order: the members that it relays to. */
  #relayedTo: readonly (readonly Slot[])[] = [];

  /** Who takes part, in the order of their distinct ids, this node among them and in the grid. */
  setRoster(members: readonly RelayMember[], self: number): void {
    const slots = new Map<number, Slot>();
    for (const { id, name, storeId, vouchedIncarnation } of members) {
      const known = this.#slots.get(id);
      if (known?.name === name && known.storeId === storeId) {
        known.vouchedIncarnation = vouchedIncarnation;
        slots.set(id, known);
      } else slots.set(id, { id, name, storeId, vouchedIncarnation, beat: NO_HEARTBEAT, beatMs: -Infinity, words: undefined, wordsMs: -Infinity, heardSentMs: -Infinity });
    }
    const slotsOf = (ids: readonly number[]): Slot[] => ids.map((id) => slots.get(id)!);
    const grid = new RelayGrid(
      members.filter(({ isInGrid }) => isInGrid).map(({ id }) => id),
      self,
    );
    this.#gridSize = grid.size;
    this.#slots = slots;
    this.#self = self;
    this.#rowMates = slotsOf(grid.rowMates);
    this.#columnMates = slotsOf(grid.columnMates);
    this.#relayedTo = grid.rowMates.map((mate) => slotsOf(grid.relayedBy.get(mate)!.filter((id) => id !== self)));
  }

  /** A heartbeat of `id`, from itself. */
  hear(id: number, heartbeat: number, nowMs: number): void {
    const slot = this.#slots.get(id);
    if (slot !== undefined) hearBeat(slot, heartbeat, nowMs);
  }

  /** When the last new heartbeat of the member was heard; -Infinity: never. */
  heardMs(id: number): number {
    return this.#slots.get(id)?.beatMs ?? -Infinity;
  }

  /** The messages of now. */
  compose(own: number, nowMs: number, send: (to: string, message: RelayMessage) => void): void {
    const sinceMs = nowMs - AGE_MAX_MS;
    for (let i = 0; i < this.#rowMates.length; i++) {
      const members = this.#relayedTo[i]!;
      const ids = new Uint32Array(members.length);
      const words = new Uint32Array(members.length);
      let count = 0;
      for (const member of members) {
        const word = wordAbout(member, sinceMs);
        if (word === NO_HEARTBEAT) continue;
        ids[count] = member.id;
        words[count++] = word;
      }
      send(this.#rowMates[i]!.name, { own, rowIds: NO_NUMBERS, rowBeats: NO_NUMBERS, rowWords: NO_NUMBERS, ids: ids.subarray(0, count), words: words.subarray(0, count) });
    }
    for (const mate of this.#columnMates) {
      const lengthMax = this.#rowMates.length + 1;
      const rowIds = new Uint32Array(lengthMax);
      const rowBeats = new Uint32Array(lengthMax);
      const rowWords = new Uint32Array(lengthMax);
      rowIds[0] = this.#self;
      rowBeats[0] = own;
      rowWords[0] = wordAbout(mate, sinceMs);
      let count = 1;
      for (const of of this.#rowMates) {
        const beat = of.beatMs < sinceMs ? NO_HEARTBEAT : of.beat;
        const word = of.wordsMs < sinceMs ? NO_HEARTBEAT : relayedWord(of, mate.id);
        if (beat === NO_HEARTBEAT && word === NO_HEARTBEAT) continue;
        rowIds[count] = of.id;
        rowBeats[count] = beat;
        rowWords[count++] = word;
      }
      send(mate.name, { own, rowIds: rowIds.subarray(0, count), rowBeats: rowBeats.subarray(0, count), rowWords: rowWords.subarray(0, count), ids: NO_NUMBERS, words: NO_NUMBERS });
    }
  }

  /** The members that are not known to have heard a heartbeat which this node sent after `sinceMs`. */
  deaf(sinceMs: number): string[] {
    const names: string[] = [];
    for (const { id, name, heardSentMs } of this.#slots.values()) if (heardSentMs < sinceMs && id !== this.#self) names.push(name);
    return names;
  }

  /** Members in the grid, this node included. */
  get gridSize(): number {
    return this.#gridSize;
  }

  /** The member answered a probe of this node. */
  noteWord(id: number, sentMs: number): void {
    const slot = this.#slots.get(id);
    if (slot !== undefined && sentMs > slot.heardSentMs) slot.heardSentMs = sentMs;
  }

  take(from: number, message: RelayMessage, nowMs: number, taker: WordTaker): void {
    const sender = this.#slots.get(from);
    if (sender === undefined) return;
    hearBeat(sender, message.own, nowMs);
    const { rowIds, rowBeats, rowWords, ids, words } = message;
    for (let i = 0; i < rowIds.length; i++) {
      const slot = rowIds[i] === from ? sender : this.#slots.get(rowIds[i]!);
      if (slot === undefined || slot.id === this.#self) continue;
      if (rowBeats[i] !== NO_HEARTBEAT) hearBeat(slot, rowBeats[i]!, nowMs);
      if (rowWords[i] !== NO_HEARTBEAT) takeWord(slot, rowWords[i]!, taker);
    }
    if (ids.length === 0) return;
    const at = ids.indexOf(this.#self);
    if (at >= 0) takeWord(sender, words[at]!, taker);
    sender.words = message;
    sender.wordsMs = nowMs;
  }
}

function hearBeat(slot: Slot, heartbeat: number, nowMs: number): void {
  if (!isLaterHeartbeat(heartbeat, slot.beat)) return;
  slot.beat = heartbeat;
  slot.beatMs = nowMs;
}

function takeWord(of: Slot, heartbeat: number, taker: WordTaker): void {
  const sentMs = taker.sentMs(heartbeat);
  if (sentMs === undefined || sentMs <= of.heardSentMs) return;
  of.heardSentMs = sentMs;
  taker.onWord(of.name, of.storeId, sentMs);
}

/** This node's word: 0 where it does not vouch for the member at the incarnation under which the heartbeat was sent. */
function wordAbout({ beat, beatMs, vouchedIncarnation }: Slot, sinceMs: number): number {
  return beatMs >= sinceMs && vouchedIncarnation >= 0 && isOfIncarnation(beat, vouchedIncarnation) ? beat : NO_HEARTBEAT;
}

function relayedWord({ words }: Slot, about: number): number {
  if (words === undefined) return NO_HEARTBEAT;
  const at = words.ids.indexOf(about);
  return at < 0 ? NO_HEARTBEAT : words.words[at]!;
}

const NO_NUMBERS = new Uint32Array(0);
