/** 64-bit ids of one push, told apart by 32-bit numbers: small ones by themselves, big ones, which are rare, by JavaScript in order of appearance. */

@external("host", "bigId")
declare function bigId(id: u64): u32;

@inline
export function idNumber(id: u64): u32 {
  return id < 0x8000_0000 ? <u32>id : bigId(id);
}
