/**
 * A gzip body opened within bounds: what it will be is asked for before anything is opened, so that bodies that open to a thousand times
 * their size take no more memory together than one that does not.
 *
 *   trailer says more than the bound   refused (413), nothing is opened
 *   trailer says it fits               memory for all of it is waited for, then it is opened
 *   it opens to more than that         another member follows, or the trailer lies: more memory at once, or refused (503)
 *
 * Opened off the main thread, a large one piece by piece: given up half way, it stops there.
 */
import { claimedInflatedBytes, CodedError, invalidArgument, messageOf } from "@pyromesh/base";
import type { Compression } from "../ports/compression.ts";
import type { Caller } from "../ports/ports.ts";
import type { UnpackMemory } from "../ports/request-memory.ts";

export interface InflateOptions {
  /** Past it BODY_TOO_LARGE (413). */
  readonly sizeBytesMax: number;
  /** How the refusal goes on after "the body inflates to more than N bytes": which limit, what to do. */
  readonly advice: string;
}

export interface InflateModules {
  readonly memory: UnpackMemory;
  readonly caller: Caller;
  readonly compression: Compression;
}

/** Up to this in one go, straight into its place: some 10 ms of a thread of zlib's pool, which commits use too. */
const AT_ONCE_BYTES_MAX = 4 * 2 ** 20;
/** Larger ones in pieces, so that others get at the pool in between, and a refusal ends them early. */
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

/** What the node's memory allows of one body may be less than its own limit. */
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

/** How large the next buffer is. The former one counts on until the request ends: it is garbage, and not collected at once. */
function growthTo(neededBytes: number, haveBytes: number, sizeBytesMax: number, memory: UnpackMemory): number {
  const sizeBytes = Math.min(sizeBytesMax, Math.max(neededBytes, haveBytes * 2, PIECE_BYTES));
  if (memory.tryTake(sizeBytes)) return sizeBytes;
  throw new CodedError({
    code: "BODIES_TOO_MANY",
    kind: "unavailable",
    message: "the body opens to more than its gzip trailer says, and this node has no memory left for that: try again in a second, or send it as one gzip member",
  });
}

function tooLarge({ sizeBytesMax, advice }: InflateOptions): CodedError {
  return new CodedError({ code: "BODY_TOO_LARGE", kind: "invalid_argument", message: `the body inflates to more than ${sizeBytesMax} bytes, ${advice}`, details: { sizeBytesMax } });
}

/** Its errors have a number beside their code. */
function isOfZlib(thrown: unknown): boolean {
  return thrown instanceof Error && typeof (thrown as NodeJS.ErrnoException).errno === "number" && String((thrown as NodeJS.ErrnoException).code).startsWith("Z_");
}

function torn(cause: unknown): CodedError {
  return invalidArgument("CONTENT_ENCODING_TORN", `the body is no whole gzip stream, as its Content-Encoding says: ${messageOf(cause)}`, cause);
}
