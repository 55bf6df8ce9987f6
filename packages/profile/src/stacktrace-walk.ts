/**
 * Builds the prefix tree of one push from the packed location ids of its samples.
 *
 *   packed ids, leaf first:   [leaf ... root]      read backwards, a varint at a time: the root comes first, so the
 *                                    <------       walk needs no copy, and a depth limit is where it stops
 *
 * Nodes are numbered as they are first walked, so a parent is below its children. Locations are the push's own ids;
 * `normalize.ts` turns them into indexes once per node, not once per frame.
 * A location id from 2^31 on is interned (`bigIds`), so that a node's location always fits 32 bits.
 */
import { malformed } from "./refusal.ts";
import type { VarintLanes } from "./protobuf-wire.ts";
import { readVarint } from "./protobuf-wire.ts";
import { grown } from "./scratch.ts";

/** 64-bit ids of one push, told apart by 32-bit numbers: small ones by themselves, big ones by order of appearance. */
export class IdInterner {
  readonly #bigIds = new Map<bigint, number>();

  clear(): void {
    if (this.#bigIds.size > 0) this.#bigIds.clear();
  }

  /** An id never seen costs the push at least five bytes, so the map is bounded by it. */
  numberOf(lanes: VarintLanes): number {
    const low = lanes[0]!;
    const high = lanes[1]!;
    if (high === 0 && low < 0x8000_0000) return low;
    const id = (BigInt(high) << 32n) | BigInt(low);
    let number = this.#bigIds.get(id);
    if (number === undefined) this.#bigIds.set(id, (number = 0x8000_0000 + this.#bigIds.size));
    return number;
  }
}

const SLOTS_MIN = 1 << 11;

export class StacktraceWalk {
  /** Node 0 is the root. */
  nodeCount = 1;
  nodeParent: Uint32Array = new Uint32Array(1 << 12);
  nodeLocation: Uint32Array = new Uint32Array(1 << 12);
  /** The child a walk took last from each node: the next walk mostly takes it again. 0: none yet. */
  #nodeChild = new Uint32Array(1 << 12);
  #slots = new Uint32Array(SLOTS_MIN);
  /** The part of #slots in use for this push: a power of two. */
  #slotCount = SLOTS_MIN;
  /** Unknown to the sender, so that nobody can choose location ids that all fall into one slot. */
  #seed = 0;

  /** Starts over. `sizeBytes` of the push sizes the hash table, so that clearing it costs no more than the push. */
  clear(sizeBytes: number, seed: number): void {
    this.#seed = seed;
    this.nodeCount = 1;
    this.#nodeChild[0] = 0;
    let slotCount = SLOTS_MIN;
    while (slotCount * 16 < sizeBytes) slotCount *= 2;
    if (slotCount > this.#slots.length) this.#slots = new Uint32Array(slotCount);
    else this.#slots.fill(0, 0, slotCount);
    this.#slotCount = slotCount;
  }

  /** The node of the stacktrace packed in bytes[from, to). Throws for id 0 and for a torn varint. */
  leafOf(bytes: Uint8Array, from: number, to: number, depthMax: number, ids: IdInterner, lanes: VarintLanes): number {
    if (to > from && bytes[to - 1]! >= 0x80) throw malformed("the profile ends inside a location id: send all of its bytes");
    const nodeChild = this.#nodeChild;
    const nodeLocation = this.nodeLocation;
    let parent = 0;
    let pos = to;
    let depth = 0;
    while (pos > from) {
      if (depth++ === depthMax) {
        checkIds(bytes, from, pos, lanes);
        break;
      }
      // The byte before pos ends a varint; those of it before that have their high bit set.
      let location = bytes[--pos]!;
      if (pos > from && bytes[pos - 1]! >= 0x80) {
        const second = bytes[--pos]! & 0x7f;
        if (pos === from || bytes[pos - 1]! < 0x80) location = (location << 7) | second;
        else {
          while (pos > from && bytes[pos - 1]! >= 0x80) pos--;
          readVarint(bytes, pos, to, lanes);
          location = ids.numberOf(lanes);
        }
      }
      if (location === 0) throw malformed("a sample refers to location id 0: number locations from 1");
      const child = nodeChild[parent]!; // 0 is the root, whose location, 0, equals none
      if (nodeLocation[child] === location) parent = child;
      else {
        parent = this.#child(parent, location);
        if (this.nodeLocation !== nodeLocation) return this.#rest(bytes, from, pos, depth, depthMax, parent, ids, lanes);
      }
    }
    return parent;
  }

  /** The arrays grew on the way: goes on with the new ones. */
  #rest(
    bytes: Uint8Array,
    from: number,
    to: number,
    depth: number,
    depthMax: number,
    node: number,
    ids: IdInterner,
    lanes: VarintLanes,
  ): number {
    let parent = node;
    let pos = to;
    let level = depth;
    while (pos > from) {
      if (level++ === depthMax) {
        checkIds(bytes, from, pos, lanes);
        break;
      }
      pos--;
      while (pos > from && bytes[pos - 1]! >= 0x80) pos--;
      readVarint(bytes, pos, to, lanes);
      const location = ids.numberOf(lanes);
      if (location === 0) throw malformed("a sample refers to location id 0: number locations from 1");
      parent = this.#child(parent, location);
    }
    return parent;
  }

  /** The child at a location (the push's own id), made where there is none. Not after `normalize` has turned ids into indexes. */
  childAt(parent: number, location: number): number {
    return this.#child(parent, location);
  }

  /** As `childAt`, but 0 where there is none. */
  findChild(parent: number, location: number): number {
    const mask = this.#slotCount - 1;
    let slot = hash(parent, location ^ this.#seed) & mask;
    for (;;) {
      const id = this.#slots[slot]!;
      if (id === 0 || (this.nodeParent[id] === parent && this.nodeLocation[id] === location)) return id;
      slot = (slot + 1) & mask;
    }
  }

  #child(parent: number, location: number): number {
    const nodeParent = this.nodeParent;
    const nodeLocation = this.nodeLocation;
    const slots = this.#slots;
    const mask = this.#slotCount - 1;
    let slot = hash(parent, location ^ this.#seed) & mask;
    for (;;) {
      const id = slots[slot]!;
      if (id === 0) break;
      if (nodeParent[id] === parent && nodeLocation[id] === location) {
        this.#nodeChild[parent] = id;
        return id;
      }
      slot = (slot + 1) & mask;
    }
    const id = this.nodeCount++;
    if (id === nodeParent.length) {
      this.nodeParent = grown(nodeParent, id + 1);
      this.nodeLocation = grown(nodeLocation, id + 1);
      this.#nodeChild = grown(this.#nodeChild, id + 1);
    }
    this.nodeParent[id] = parent;
    this.nodeLocation[id] = location;
    this.#nodeChild[id] = 0;
    this.#nodeChild[parent] = id;
    slots[slot] = id;
    if (id * 2 > mask) this.#rehash();
    return id;
  }

  #rehash(): void {
    const slotCount = this.#slotCount * 2;
    if (slotCount > this.#slots.length) this.#slots = new Uint32Array(slotCount);
    else this.#slots.fill(0, 0, slotCount);
    this.#slotCount = slotCount;
    const slots = this.#slots;
    const mask = slotCount - 1;
    for (let id = 1; id < this.nodeCount; id++) {
      let slot = hash(this.nodeParent[id]!, this.nodeLocation[id]! ^ this.#seed) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
  }
}

/** What is not walked (frames beyond the depth limit, samples that are dropped) must be well formed all the same. */
export function checkIds(bytes: Uint8Array, from: number, to: number, lanes: VarintLanes): void {
  let pos = from;
  while (pos < to) {
    pos = readVarint(bytes, pos, to, lanes);
    if (lanes[0] === 0 && lanes[1] === 0) throw malformed("a sample refers to location id 0: number locations from 1");
  }
}

function hash(parent: number, location: number): number {
  const mixed = Math.imul(parent, 0x9e37_79b1) ^ Math.imul(location, 0x85eb_ca6b);
  return mixed ^ (mixed >>> 15);
}
