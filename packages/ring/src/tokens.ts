/**
 * The tokens of a member: the points of the ring that it owns. They follow from its name, its zone and its number of tokens, so nobody sends them.
 *
 *   seed      SHA-256("ring/v1" | 0x00 | name | 0x00 | zone)          texts in UTF-8
 *   block j   SHA-256(seed | u32be j), j = 0, 1, 2, ...               eight tokens, u32be each
 *   token i   word i mod 8 of block i div 8
 *
 * What must stay true: the derivation never changes within "ring/v1", or nodes of two builds would place the same service on different members
 * (which costs copies, not answers). The test holds golden values. The seed is a full hash: with one of 32 bits, two names among 10,000 would share
 * nearly all of their tokens.
 */
import { hash } from "node:crypto";

/** Tokens of a member that asks for no other number. With 128, the largest share of the ring among 100 members is some 1.2 times the mean. */
export const TOKEN_COUNT_DEFAULT = 128;
export const TOKEN_COUNT_MAX = 4096;

const TOKENS_A_BLOCK = 8;
const SEED_BYTES = 32;

/** In the order of derivation, so that a member with more tokens has those of one with fewer. A token may occur twice. */
export function tokensOf(name: string, zone: string, count: number): Uint32Array {
  const block = Buffer.alloc(SEED_BYTES + 4);
  hash("sha256", Buffer.from(`ring/v1\0${name}\0${zone}`), "buffer").copy(block);
  const tokens = new Uint32Array(count);
  let digest = block;
  for (let at = 0; at < count; at++) {
    const word = at % TOKENS_A_BLOCK;
    if (word === 0) {
      block.writeUInt32BE(at / TOKENS_A_BLOCK, SEED_BYTES);
      digest = hash("sha256", block, "buffer");
    }
    tokens[at] = digest.readUInt32BE(word * 4);
  }
  return tokens;
}

/** The point of the ring at which the members of a dataset begin. A tenant id holds no zero byte, so two datasets never share their bytes. */
export function datasetToken(tenant: string, service: string): number {
  return hash("sha256", Buffer.from(`dataset/v1\0${tenant}\0${service}`), "buffer").readUInt32BE(0);
}

/** The point at which pick `index` of a tenant's shard in a zone begins. */
export function shardToken(tenant: string, zone: string, index: number): number {
  return hash("sha256", Buffer.from(`shard/v1\0${tenant}\0${zone}\0${index}`), "buffer").readUInt32BE(0);
}
