/**
 * Decompresses zstd (RFC 8878) with the reference implementation, compiled to WebAssembly: Node.js 20 has none of its own. Synchronous, so
 * it is for a thread of its own (zstd-thread.ts).
 *
 * The library allocates what the first frame says of its size, or what its caller says where the frame says nothing. So each body gets an
 * empty frame in front that says nothing: then the bound is always ours, whatever a body claims, and all frames are decompressed in one call.
 */
import { decompress, init } from "@bokuweb/zstd-wasm";

/** Undefined: the result is larger than `sizeBytesMax`. Throws ZstdTorn. */
export type Unzstd = (bytes: Uint8Array, sizeBytesMax: number) => Uint8Array | undefined;

/** The bytes are not a complete zstd stream. */
export class ZstdTorn extends Error {}

/** Its memory grows to the largest body and its result together, and never shrinks: end the thread to free it. */
export async function loadZstd(): Promise<Unzstd> {
  await init();
  return (bytes, sizeBytesMax) => {
    const framed = new Uint8Array(EMPTY_FRAME.length + bytes.length);
    framed.set(EMPTY_FRAME);
    framed.set(bytes, EMPTY_FRAME.length);
    try {
      return decompress(framed, { defaultHeapSize: Math.max(1, sizeBytesMax) });
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined) throw error;
      if (code === DESTINATION_TOO_SMALL) return undefined;
      throw new ZstdTorn(`zstd error ${-code}`, { cause: error });
    }
  };
}

/** Magic number, a header without a content size (window of 1 KiB), and one block: the last, raw, of no bytes. */
const EMPTY_FRAME: Uint8Array = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 0x01, 0x00, 0x00);

/** ZSTD_error_dstSize_tooSmall of zstd_errors.h, whose numbers do not change. */
const DESTINATION_TOO_SMALL = -70;

/** The library gives zstd's error number in the text of its error alone. */
function codeOf(error: unknown): number | undefined {
  const found = error instanceof Error ? /code (-\d+)$/.exec(error.message) : null;
  return found === null ? undefined : Number(found[1]);
}

/** What the first frame says its content has. Undefined: it says nothing, or is no frame. */
export function zstdContentSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < FRAME_HEADER_BYTES_MAX + 3) return undefined; // a body so small needs no claim
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) return undefined;
  const descriptor = view.getUint8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const at = 5 + (isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]!;
  switch (descriptor >> 6) {
    case 0:
      return isSingleSegment ? view.getUint8(at) : undefined;
    case 1:
      return view.getUint16(at, true) + 256;
    case 2:
      return view.getUint32(at, true);
    default:
      return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  }
}

const MAGIC = 0xfd2fb528;
const FRAME_HEADER_BYTES_MAX = 18;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
