/**
 * Decompresses bodies within bounds, by their Content-Encoding. The memory for the result is taken before decompression starts, so that
 * bodies that grow a thousandfold hold no more memory together than any others.
 *
 *   it says more than the bound            refused (413), nothing is decompressed: gzip says it in its trailer, zstd in its first frame's header
 *   it says that it fits                   waits for memory for all of it, then decompresses
 *   it says nothing: deflate               waits for memory for some pieces, is decompressed once to count, gives it back; then as one that says that it fits
 *   it says nothing: some zstd             waits for memory for a guess, then decompresses
 *   it decompresses to more than that      another member or frame follows, or it lies: takes more memory at once, or is refused (503)
 *
 * zlib runs on its thread pool, zstd on a thread of its own. A large zlib body is done in pieces and stops as soon as it is given up.
 */
import { areLargeBytes, claimedInflatedBytes, CodedError, freeBytes, invalidArgument, isGzip, LARGE_BYTES_MIN, largeBytes, messageOf } from "@pyromesh/base";
import { isTornStream } from "../ports/compression.ts";
import type { Compression } from "../ports/compression.ts";
import type { ContentCoding } from "../ports/content-coding.ts";
import type { BodyUse } from "../ports/http.ts";
import type { Caller } from "../ports/ports.ts";
import type { UnpackMemory } from "../ports/request-memory.ts";
import { zstdContentSize } from "../ports/zstd.ts";

interface InflateOptions extends BodyUse {
  /** Absent: gzip. */
  readonly coding?: ContentCoding | undefined;
  /** Beyond it BODY_TOO_LARGE (413). */
  readonly sizeBytesMax: number;
  /** The end of the refusal that begins "the body decompresses to more than N bytes": which limit it is, and what to do. */
  readonly advice: string;
}

interface InflateModules {
  readonly memory: UnpackMemory;
  readonly caller: Caller;
  readonly compression: Compression;
}

/**
 * Up to this a body is decompressed in one call, straight into its buffer. That takes some 10 ms of a thread of the pool that commits use
 * too.
 */
const AT_ONCE_BYTES_MAX = 4 * 2 ** 20;
/** Larger bodies are decompressed in pieces, so that other work gets the pool in between, and a refusal ends them early. */
const PIECE_BYTES = 256 * 2 ** 10;
/** For a body of this size or more, garbage is collected before its buffer is made and after it is whole: earlier bodies, and its own pieces, are in no budget. */
const COLLECTED_BYTES_MIN = 8 * 2 ** 20;

/** Rejects BODY_TOO_LARGE, CONTENT_ENCODING_TORN or BODIES_TOO_MANY. */
export async function inflateBody(bytes: Uint8Array, options: InflateOptions, modules: InflateModules): Promise<Uint8Array> {
  const coding = options.coding ?? "gzip";
  try {
    return await DECODERS[coding](bytes, options, modules);
  } catch (thrown) {
    throw isTornStream(thrown) ? torn(coding, thrown) : thrown;
  }
}

type Decoder = (bytes: Uint8Array, options: InflateOptions, modules: InflateModules) => Promise<Uint8Array>;

const DECODERS: Readonly<Record<ContentCoding, Decoder>> = {
  async gzip(bytes, options, modules) {
    if (!isGzip(bytes)) throw torn("gzip", new Error("it does not begin as one"));
    const { compression, memory } = modules;
    const bounded = boundsOf(options, memory.bytesMax);
    const claimedBytes = claimedInflatedBytes(bytes);
    if (claimedBytes > bounded.sizeBytesMax) throw tooLarge(bounded);
    await memory.take(heldBytes(claimedBytes, options, memory));
    // A body that may be freed is read in pieces: in one call zlib may still read it when the body was refused.
    const isAtOnce = claimedBytes <= AT_ONCE_BYTES_MAX && !areLargeBytes(bytes);
    const inflated = isAtOnce ? await compression.gunzip(bytes, claimedBytes) : undefined;
    return inflated ?? (await inflateInPieces((onPiece) => compression.gunzipInPieces(bytes, PIECE_BYTES, onPiece), claimedBytes, bounded, modules));
  },

  async deflate(bytes, options, modules) {
    const bounded = boundsOf(options, modules.memory.bytesMax);
    const run: InPieces = (onPiece) => modules.compression.inflateInPieces(bytes, PIECE_BYTES, onPiece);
    const countedBytes = await countInPieces(run, bounded, modules);
    await modules.memory.take(heldBytes(countedBytes, options, modules.memory));
    return inflateInPieces(run, countedBytes, bounded, modules);
  },

  /** In one call: a body that turns out larger is begun again with more room. Its thread holds the result once more, hence twice the memory. */
  async zstd(bytes, options, { compression, memory, caller }) {
    const bounded = boundsOf(options, Math.floor(memory.bytesMax / ZSTD_PARTS));
    const claimedBytes = zstdContentSize(bytes);
    if (claimedBytes !== undefined && claimedBytes > bounded.sizeBytesMax) throw tooLarge(bounded);
    let roomBytes = claimedBytes ?? guessOf(bytes, bounded);
    await memory.take(2 * roomBytes);
    for (;;) {
      const result = await compression.unzstd(bytes, roomBytes, { isFreedLater: options.isFreedAtEnd });
      if (result !== undefined) {
        if (areLargeBytes(result)) memory.freeAtEnd(result);
        return result;
      }
      if (roomBytes >= bounded.sizeBytesMax) throw tooLarge(bounded);
      caller.throwIfAborted();
      const largerBytes = Math.min(bounded.sizeBytesMax, Math.max(roomBytes * GROWTH, PIECE_BYTES));
      if (!memory.tryTake(2 * (largerBytes - roomBytes))) throw noMemoryLeft();
      roomBytes = largerBytes;
    }
  },
};

/** A body in zstd may have a quarter of what others may: the memory of its thread, and the copy that it makes, are freed later than a buffer of zlib's. */
const ZSTD_PARTS = 4;

/** Where a body does not say what it decompresses to: most profiles compress to a quarter or less. */
const GROWTH = 4;

function guessOf(bytes: Uint8Array, { sizeBytesMax }: InflateOptions): number {
  return Math.min(sizeBytesMax, Math.max(bytes.length * GROWTH, PIECE_BYTES));
}

/** The memory for one body may be smaller than the limit of the request. */
function boundsOf(options: InflateOptions, bytesMax: number): InflateOptions {
  if (options.sizeBytesMax <= bytesMax) return options;
  return { ...options, sizeBytesMax: bytesMax, advice: "which is what this node's memory allows of one body: send less at once, or give the node more memory" };
}

function heldBytes(sizeBytes: number, { copyCount = 1 }: InflateOptions, { bytesMax }: UnpackMemory): number {
  return Math.max(sizeBytes, Math.min(bytesMax, sizeBytes * copyCount));
}

type InPieces = (onPiece: (piece: Uint8Array) => void) => Promise<void>;

/**
 * How many bytes there are. A buffer that grew with them would leave the smaller ones behind as garbage, of which no budget knows. The memory for the
 * pieces bounds how many bodies are counted at once: a small one may decompress to all that a body may have, and a thousand of them would keep the
 * thread pool from other bodies.
 */
async function countInPieces(run: InPieces, options: InflateOptions, { memory, caller }: InflateModules): Promise<number> {
  const countingBytes = Math.min(COUNTING_BYTES, memory.bytesMax);
  await memory.take(countingBytes);
  let length = 0;
  try {
    await run((piece) => {
      caller.throwIfAborted();
      length += piece.length;
      if (length > options.sizeBytesMax) throw tooLarge(options);
    });
  } finally {
    memory.give(countingBytes);
  }
  return length;
}

/** The piece that zlib fills, the one that is counted, and two that the garbage collector has not taken yet. The default budget of 64 MB has room for 48 bodies. */
const COUNTING_BYTES = 4 * PIECE_BYTES;

async function inflateInPieces(run: InPieces, expectedBytes: number, options: InflateOptions, { memory, caller, compression }: InflateModules): Promise<Uint8Array> {
  const freeBeside = (sizeBytes: number): void => {
    if (sizeBytes >= COLLECTED_BYTES_MIN) compression.freeGarbage();
  };
  freeBeside(expectedBytes);
  let bytes = bytesFor(expectedBytes, options);
  let length = 0;
  try {
    await run((piece) => {
      caller.throwIfAborted();
      const neededBytes = length + piece.length;
      if (neededBytes > options.sizeBytesMax) throw tooLarge(options);
      if (neededBytes > bytes.length) {
        freeBeside(neededBytes);
        const larger = bytesFor(growthTo(neededBytes, bytes.length, options.sizeBytesMax, memory), options);
        larger.set(bytes.subarray(0, length));
        freeBytes(bytes);
        bytes = larger;
      }
      bytes.set(piece, length);
      length = neededBytes;
    });
  } catch (thrown) {
    freeBytes(bytes);
    throw thrown;
  }
  if (areLargeBytes(bytes)) memory.freeAtEnd(bytes);
  freeBeside(length);
  return bytes.subarray(0, length);
}

function bytesFor(sizeBytes: number, { isFreedAtEnd = false }: InflateOptions): Uint8Array {
  return isFreedAtEnd && sizeBytes >= LARGE_BYTES_MIN ? largeBytes(sizeBytes) : new Uint8Array(sizeBytes);
}

/** The size of the next buffer. The old one stays counted until the request ends, since it is collected later. */
function growthTo(neededBytes: number, haveBytes: number, sizeBytesMax: number, memory: UnpackMemory): number {
  const sizeBytes = Math.min(sizeBytesMax, Math.max(neededBytes, haveBytes * 2, PIECE_BYTES));
  if (memory.tryTake(sizeBytes)) return sizeBytes;
  throw noMemoryLeft();
}

function noMemoryLeft(): CodedError {
  return new CodedError({
    code: "BODIES_TOO_MANY",
    kind: "unavailable",
    message: "the body decompresses to more than it says, and this node has no memory left for it: try again in a second, or send it as one gzip member",
  });
}

function tooLarge({ sizeBytesMax, advice }: InflateOptions): CodedError {
  return new CodedError({ code: "BODY_TOO_LARGE", kind: "invalid_argument", message: `the body decompresses to more than ${sizeBytesMax} bytes, ${advice}`, details: { sizeBytesMax } });
}

function torn(coding: ContentCoding, cause: unknown): CodedError {
  return invalidArgument("CONTENT_ENCODING_TORN", `the body is not a complete ${coding} stream, which the request says it is (${messageOf(cause)}): send all of it, or name the encoding that it has`, cause);
}
