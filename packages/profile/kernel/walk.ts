/**
 * Builds the prefix tree of one push from the packed location ids of its samples.
 *
 *   packed ids, leaf first:   [leaf ... root]      read backwards, a varint at a time: the root comes first, so the
 *                                    <------       walk needs no copy, and a depth limit is where it stops
 *
 * Nodes are numbered as they are first walked, so a parent is below its children. Node 0 is the root, whose location is 0.
 * Locations are the push's own ids; `normalize.ts` turns them into indexes once per node, not once per frame.
 */
import { ENDS_IN_LOCATION_ID, LOCATION_ID_ZERO, nodeChildAt, nodeLocationAt, nodeParentAt, slotsAt } from "./gen/layout";
import { idNumber } from "./ids";
import { refuse } from "./refusal";
import { next, varint } from "./wire";

export let nodeCount: u32 = 1;
let nodeCountMax: u32 = 0;

const SLOTS_MIN: u32 = 1 << 11;
/** How many slots are in use, a power of two, less one. */
let slotMask: u32 = 0;
/** Unknown to the sender, so that nobody can choose location ids, or samples (split.ts), that all fall into one slot. */
export let hashSeed: u32 = 0;

/** The root's location while samples are walked. No id has this number (ids.ts), so no frame is taken for the root. */
const NO_LOCATION: u32 = 0xffff_ffff;

/** Starts an empty tree. The hash table's size follows `sizeBytes`, the push's, so that clearing it takes no longer than the push. */
export function clearTree(sizeBytes: u32, nodesMax: u32, seed: u32): void {
  hashSeed = seed;
  nodeCountMax = nodesMax;
  nodeCount = 1;
  store<u32>(nodeParentAt, 0);
  store<u32>(nodeLocationAt, NO_LOCATION);
  store<u32>(nodeChildAt, 0);
  let slotCount = SLOTS_MIN;
  while (slotCount * 16 < sizeBytes) slotCount *= 2;
  slotMask = slotCount - 1;
  memory.fill(slotsAt, 0, <usize>slotCount * 4);
}

/** Called when all samples were walked. */
export function closeTree(): void {
  store<u32>(nodeLocationAt, 0);
}

/** The leaf node of the stacktrace whose ids are packed in [from, to). */
export function leafOf(from: usize, to: usize, depthMax: u32): u32 {
  // A frame takes at least one byte.
  if (to - from > depthMax || (to > from && load<u8>(to - 1) >= 0x80)) return walkCarefully(from, to, 0, depthMax);
  const locations = nodeLocationAt;
  const children = nodeChildAt;
  let parent: u32 = 0;
  let pos = to;
  while (pos > from) {
    let location: u32 = 0;
    // Goes on as long as each frame is the child that a walk took last. This loop calls nothing: around a call all variables would be kept in memory.
    for (;;) {
      const end = pos;
      // The byte before pos ends a varint; those of it before that have their high bit set.
      location = <u32>load<u8>(--pos);
      if (pos > from && load<u8>(pos - 1) >= 0x80) {
        location = (location << 7) | (load<u8>(--pos) & 0x7f);
        if (pos > from && load<u8>(pos - 1) >= 0x80) return walkCarefully(from, end, parent, depthMax);
      }
      const child = load<u32>(children + (<usize>parent << 2));
      if (load<u32>(locations + (<usize>child << 2)) !== location) break;
      parent = child;
      if (pos === from) return parent;
    }
    if (location === 0) refuse(LOCATION_ID_ZERO);
    parent = childAt(parent, location);
  }
  return parent;
}

/** Walks the rest of a stacktrace, with ids of any length, up to `depthMax` frames. */
function walkCarefully(from: usize, to: usize, below: u32, depthMax: u32): u32 {
  if (to > from && load<u8>(to - 1) >= 0x80) refuse(ENDS_IN_LOCATION_ID);
  let parent = below;
  let pos = to;
  let depth: u32 = 0;
  while (pos > from) {
    if (depth++ === depthMax) {
      checkIds(from, pos);
      break;
    }
    pos--;
    while (pos > from && load<u8>(pos - 1) >= 0x80) pos--;
    const location = idNumber(varint(pos, to));
    if (location === 0) refuse(LOCATION_ID_ZERO);
    parent = childAt(parent, location);
  }
  return parent;
}

/** Checks the ids that are not walked, of frames beyond the depth limit and of samples that are dropped. */
export function checkIds(from: usize, to: usize): void {
  let pos = from;
  while (pos < to) {
    if (varint(pos, to) === 0) refuse(LOCATION_ID_ZERO);
    pos = next;
  }
}

@inline
function hash(parent: u32, location: u32): u32 {
  const mixed = (parent * 0x9e37_79b1) ^ (location * 0x85eb_ca6b);
  return mixed ^ (mixed >> 15);
}

/** Address of the slot of the child at a location, or of the empty slot where it would be. */
@inline
function slotOf(parent: u32, location: u32): usize {
  const parents = nodeParentAt;
  const locations = nodeLocationAt;
  const mask = slotMask;
  let slot = hash(parent, location ^ hashSeed) & mask;
  let at = slotsAt + (<usize>slot << 2);
  let id = <usize>load<u32>(at);
  while (id !== 0 && (load<u32>(parents + (id << 2)) !== parent || load<u32>(locations + (id << 2)) !== location)) {
    slot = (slot + 1) & mask;
    at = slotsAt + (<usize>slot << 2);
    id = load<u32>(at);
  }
  return at;
}

/** The child at a location, or 0. */
export function findChild(parent: u32, location: u32): u32 {
  return load<u32>(slotOf(parent, location));
}

/**
 * The child at a location, made where there is none; 0 where there is no room for it. There is always room for the push's own frames, each
 * of which takes a byte; only nodes that src/record/fix-go-truncated.ts adds may find none.
 */
export function childAt(parent: u32, location: u32): u32 {
  const at = slotOf(parent, location);
  let id = load<u32>(at);
  if (id === 0) {
    if (nodeCount >= nodeCountMax) return 0;
    id = nodeCount++;
    const offset = <usize>id << 2;
    store<u32>(nodeParentAt + offset, parent);
    store<u32>(nodeLocationAt + offset, location);
    store<u32>(nodeChildAt + offset, 0);
    store<u32>(at, id);
    if (id * 2 > slotMask) growSlots();
  }
  store<u32>(nodeChildAt + (<usize>parent << 2), id);
  return id;
}

function growSlots(): void {
  const slotCount = (slotMask + 1) * 2;
  slotMask = slotCount - 1;
  memory.fill(slotsAt, 0, <usize>slotCount * 4);
  for (let id: u32 = 1; id < nodeCount; id++) {
    let slot = hash(load<u32>(nodeParentAt + (<usize>id << 2)), load<u32>(nodeLocationAt + (<usize>id << 2)) ^ hashSeed) & slotMask;
    while (load<u32>(slotsAt + (<usize>slot << 2)) !== 0) slot = (slot + 1) & slotMask;
    store<u32>(slotsAt + (<usize>slot << 2), id);
  }
}
