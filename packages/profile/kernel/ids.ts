/** A 32-bit number for each 64-bit id of one push. Ids below 2^31 are their own numbers; JavaScript numbers the others, which are rare, in order of appearance. */

@external("host", "bigId")
declare function bigId(id: u64): u32;

@inline
export function idNumber(id: u64): u32 {
  return id < 0x8000_0000 ? <u32>id : bigId(id);
}
