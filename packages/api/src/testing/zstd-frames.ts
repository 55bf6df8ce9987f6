/** zstd frames by hand (RFC 8878), without compression: blocks as they are, and blocks of one byte repeated. */

/** The largest block. */
const BLOCK_BYTES_MAX = 128 * 2 ** 10;

/** A frame that does not say how large its content is, as a stream that is compressed on the way does not. */
export function zstdFrame(blocks: readonly (Uint8Array | { readonly byte: number; readonly count: number })[]): Uint8Array {
  // A window of 128 KiB: exponent 7 above 2^10.
  return Buffer.concat([MAGIC, Buffer.of(0x00, 7 << 3), ...blocks.map((block, i) => blockOf(block, i === blocks.length - 1))]);
}

/** The same with the size of its content in the header, whatever its blocks hold. */
export function zstdFrameOfSize(contentBytes: number, block: Uint8Array): Uint8Array {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(contentBytes));
  return Buffer.concat([MAGIC, Buffer.of(0xe0), size, blockOf(block, true)]); // a single segment, eight bytes of size
}

function blockOf(block: Uint8Array | { readonly byte: number; readonly count: number }, isLast: boolean): Uint8Array {
  const isRaw = block instanceof Uint8Array;
  const size = isRaw ? block.length : block.count;
  if (size > BLOCK_BYTES_MAX) throw new Error(`a block has ${BLOCK_BYTES_MAX} bytes at most`);
  const header = Buffer.alloc(3);
  header.writeUIntLE((size << 3) | (isRaw ? 0 : 2) | (isLast ? 1 : 0), 0, 3);
  return Buffer.concat([header, isRaw ? block : Buffer.of(block.byte)]);
}

const MAGIC: Uint8Array = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
