/**
 * Which objects of one tenant and window hold which identities, as far as this node has read them: a record that comes late is looked up here, and needs no read
 * of the objects. A table of fingerprints, 11 to 21 bytes an identity.
 *
 * A fingerprint is 48 bits of an identity, so with a million of them one lookup in 10^8 finds what is not there. What is found is read in the object before anything
 * depends on it.
 */
import type { HeardObject } from "@pyromesh/block";

export interface MatchedObject {
  /** `isUploaded`: its identities were read in the bucket. */
  object: HeardObject;
  /** Where it is not in the bucket: identities (16 characters of latin1 each) of records that the head held and that it has as well. */
  readonly kept: Set<string>;
  /** Records of the head with a smaller seq were compared with it. */
  comparedSeq: number;
}

/** An object's index takes two bytes. At the bound the window must be begun anew. */
export const WINDOW_OBJECTS_MAX: number = 2 ** 16 - 1;

export class WindowMatches {
  /** The first is unused: 0 marks a free slot. */
  readonly #objects: (MatchedObject | undefined)[] = [undefined];
  /** By key. */
  readonly #indexes = new Map<string, number>();
  /** Fingerprints, in 32 bits, which choose the slot, and 16. */
  #firsts = new Uint32Array(SLOTS_MIN);
  #seconds = new Uint16Array(SLOTS_MIN);
  /** The index of the object that each fingerprint is of. At most 3/4 of the slots are in use. */
  #owners = new Uint16Array(SLOTS_MIN);
  #count = 0;

  get sizeBytes(): number {
    return this.#owners.length * SLOT_BYTES + this.#objects.length * OBJECT_BYTES;
  }

  get isFull(): boolean {
    return this.#objects.length > WINDOW_OBJECTS_MAX;
  }

  of(key: string): MatchedObject | undefined {
    const index = this.#indexes.get(key);
    return index === undefined ? undefined : this.#objects[index];
  }

  /** Its identities, 16 bytes each, were read; again, where it was uploaded meanwhile. */
  add(object: HeardObject, identities: Uint8Array): MatchedObject {
    let index = this.#indexes.get(object.key);
    const known = index === undefined ? undefined : this.#objects[index];
    if (known === undefined) {
      index = this.#objects.length;
      this.#objects.push({ object, kept: new Set(), comparedSeq: 0 });
      this.#indexes.set(object.key, index);
    } else {
      known.object = object;
      if (object.isUploaded && known.kept.size > 0) {
        // Records that came again while it waited were compared with it, and held on. Now they are to be released: they are compared anew.
        known.kept.clear();
        known.comparedSeq = 0;
      }
    }
    for (let at = 0; at < identities.length; at += IDENTITY_BYTES) this.#insert(firstOf(identities, at), secondOf(identities, at), index!); // given above
    return this.#objects[index!]!; // just put, or known
  }

  rename(fromKey: string, object: HeardObject): void {
    const index = this.#indexes.get(fromKey);
    const known = index === undefined ? undefined : this.#objects[index];
    if (index === undefined || known === undefined) return;
    this.#indexes.delete(fromKey);
    this.#indexes.set(object.key, index);
    known.object = object;
  }

  forget(key: string): void {
    const index = this.#indexes.get(key);
    if (index === undefined) return;
    this.#indexes.delete(key);
    this.#objects[index] = undefined;
  }

  /** The objects that hold the identity at `offset`, as far as its fingerprint says; those in the bucket first. */
  objectsWith(identities: Uint8Array, offset = 0): readonly MatchedObject[] {
    const [first, second] = [firstOf(identities, offset), secondOf(identities, offset)];
    const mask = this.#owners.length - 1;
    let found: MatchedObject[] | undefined;
    for (let slot = first & mask; this.#owners[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#firsts[slot] !== first || this.#seconds[slot] !== second) continue;
      const owner = this.#objects[this.#owners[slot]!];
      if (owner === undefined) continue;
      if (found === undefined) found = [owner];
      else if (owner.object.isUploaded) found.unshift(owner);
      else found.push(owner);
    }
    return found ?? NONE;
  }

  #insert(first: number, second: number, index: number): void {
    if ((this.#count + 1) * 4 > this.#owners.length * 3) this.#grow();
    if (this.#put(first, second, index)) this.#count++;
  }

  /** False where it is there. A record of several objects has a slot for each. */
  #put(first: number, second: number, index: number): boolean {
    const mask = this.#owners.length - 1;
    let slot = first & mask;
    for (; this.#owners[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#owners[slot] === index && this.#firsts[slot] === first && this.#seconds[slot] === second) return false;
    }
    this.#firsts[slot] = first;
    this.#seconds[slot] = second;
    this.#owners[slot] = index;
    return true;
  }

  #grow(): void {
    const [firsts, seconds, owners] = [this.#firsts, this.#seconds, this.#owners];
    const size = owners.length * 2;
    this.#firsts = new Uint32Array(size);
    this.#seconds = new Uint16Array(size);
    this.#owners = new Uint16Array(size);
    for (let slot = 0; slot < owners.length; slot++) if (owners[slot] !== 0) this.#put(firsts[slot]!, seconds[slot]!, owners[slot]!);
  }
}

const NONE: readonly MatchedObject[] = [];
const IDENTITY_BYTES = 16;
/** A power of two. */
const SLOTS_MIN = 64;
const SLOT_BYTES = 8;
/** About what an object's name takes. */
const OBJECT_BYTES = 800;

/** An identity is part of a SHA-256, so any bits of it are a good hash. */
function firstOf(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function secondOf(bytes: Uint8Array, at: number): number {
  return bytes[at + 4]! | (bytes[at + 5]! << 8);
}
