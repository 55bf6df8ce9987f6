/** Says whether an identity is one of many: a hash table over them as they lie in an object. */

export class IdentityLookup {
  /** 16 bytes each. */
  readonly #bytes: Uint8Array;
  /** Indexes of identities, plus one; 0: free. At most half full. */
  readonly #slots: Uint32Array;

  /** `bytes` must not change afterwards. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    const count = bytes.length / IDENTITY_BYTES;
    let size = 16;
    while (size < count * 2) size *= 2;
    this.#slots = new Uint32Array(size);
    for (let index = 0; index < count; index++) {
      const slot = this.#slotOf(bytes, index * IDENTITY_BYTES);
      if (this.#slots[slot] === 0) this.#slots[slot] = index + 1;
    }
  }

  has(identity: Uint8Array, offset = 0): boolean {
    return this.#slots[this.#slotOf(identity, offset)] !== 0;
  }

  /** Where the identity is, or the free slot where it belongs. */
  #slotOf(identity: Uint8Array, offset: number): number {
    const mask = this.#slots.length - 1;
    // An identity is part of a SHA-256, so any 32 bits of it are a good hash.
    let slot = (identity[offset]! | (identity[offset + 1]! << 8) | (identity[offset + 2]! << 16) | (identity[offset + 3]! << 24)) & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) if (isSame(this.#bytes, (this.#slots[slot]! - 1) * IDENTITY_BYTES, identity, offset)) break;
    return slot;
  }
}

const IDENTITY_BYTES = 16;

function isSame(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  for (let at = 0; at < IDENTITY_BYTES; at++) if (a[aOffset + at] !== b[bOffset + at]) return false;
  return true;
}
