/**
 * Decompresses a gzip body within bounds. The memory for the result is taken before decompression starts, so that bodies that grow a
 * thousandfold hold no more memory together than any others.
 *
 *   trailer says more than the bound      refused (413), nothing is decompressed
 *   trailer says it fits                  waits for memory for all of it, then decompresses
 *   it decompresses to more than that     another member follows, or the trailer lies: takes more memory at once, or is refused (503)
 *
 * Decompression runs on zlib's thread pool. A large body is done in pieces and stops as soon as it is given up.
 */
import { claimedInflatedBytes, CodedError, invalidArgument, messageOf } from "@pyromesh/base";
import type { Compression } from "../ports/compression.ts";
import type { Caller } from "../ports/ports.ts";
import type { UnpackMemory } from "../ports/request-memory.ts";

interface InflateOptions {
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

/** Rejects BODY_TOO_LARGE, CONTENT_ENCODING_TORN or BODIES_TOO_MANY. */
export async function inflateBody(gzip: Uint8Array, options: InflateOptions, modules: InflateModules): Promise<Uint8Array> {
  const { compression, memory } = modules;
  const bounded = boundsOf(options, memory);
  const claimedBytes = claimedInflatedBytes(gzip);
  if (claimedBytes > bounded.sizeBytesMax) throw tooLarge(bounded);
  await memory.take(claimedBytes);
  try {
    const inflated = claimedBytes <= AT_ONCE_BYTES_MAX ? await compression.gunzip(gzip, claimedBytes) : undefined;
    return inflated ?? (await inflateInPieces(gzip, claimedBytes, bounded, modules));
  } catch (thrown) {
    throw isOfZlib(thrown) ? torn(thrown) : thrown;
  }
}

/** The memory for one body may be smaller than the limit of the request. */
function boundsOf(options: InflateOptions, { bytesMax }: UnpackMemory): InflateOptions {
  if (options.sizeBytesMax <= bytesMax) return options;
  return { sizeBytesMax: bytesMax, advice: "which is what this node's memory allows of one body: send less at once, or give the node more memory" };
}

async function inflateInPieces(gzip: Uint8Array, claimedBytes: number, options: InflateOptions, { memory, caller, compression }: InflateModules): Promise<Uint8Array> {
  let bytes = new Uint8Array(claimedBytes);
  let length = 0;
  await compression.gunzipInPieces(gzip, PIECE_BYTES, (piece) => {
    caller.throwIfAborted();
    const neededBytes = length + piece.length;
    if (neededBytes > options.sizeBytesMax) throw tooLarge(options);
    if (neededBytes > bytes.length) {
      const larger = new Uint8Array(growthTo(neededBytes, bytes.length, options.sizeBytesMax, memory));
      larger.set(bytes.subarray(0, length));
      bytes = larger;
    }
    bytes.set(piece, length);
    length = neededBytes;
  });
  return bytes.subarray(0, length);
}

/** The size of the next buffer. The old one stays counted until the request ends, since it is collected later. */
function growthTo(neededBytes: number, haveBytes: number, sizeBytesMax: number, memory: UnpackMemory): number {
  const sizeBytes = Math.min(sizeBytesMax, Math.max(neededBytes, haveBytes * 2, PIECE_BYTES));
  if (memory.tryTake(sizeBytes)) return sizeBytes;
  throw new CodedError({
    code: "BODIES_TOO_MANY",
    kind: "unavailable",
    message: "the body decompresses to more than its gzip trailer says, and this node has no memory left for it: try again in a second, or send it as one gzip member",
  });
}

function tooLarge({ sizeBytesMax, advice }: InflateOptions): CodedError {
  return new CodedError({ code: "BODY_TOO_LARGE", kind: "invalid_argument", message: `the body decompresses to more than ${sizeBytesMax} bytes, ${advice}`, details: { sizeBytesMax } });
}

/** True for an error of zlib: these have a numeric `errno` and a code that begins with `Z_`. */
function isOfZlib(thrown: unknown): boolean {
  return thrown instanceof Error && typeof (thrown as NodeJS.ErrnoException).errno === "number" && String((thrown as NodeJS.ErrnoException).code).startsWith("Z_");
}

function torn(cause: unknown): CodedError {
  return invalidArgument("CONTENT_ENCODING_TORN", `the body is not a complete gzip stream, which its Content-Encoding says it is: ${messageOf(cause)}`, cause);
}
