/**
 * The header of a chunk. A recording is one or more chunks; each stands for itself, with its types, constants and events.
 *
 *   0  "FLR\0"   4 major u16   6 minor u16   8 size u64   16 offset of the last checkpoint u64   24 offset of the metadata u64
 *   32 start, ns since 1970 u64   40 duration, ns u64   48 start, ticks u64   56 ticks a second u64   64 state and flags u32
 *
 * All big-endian; offsets count from the start of the chunk. Of the flags the lowest bit says that integers are compressed.
 */
import { malformed } from "../labels/refusal.ts";
import { unreadable } from "./jfr-cursor.ts";

export interface ChunkHeader {
  /** Where the chunk, its events, its checkpoints and its metadata begin in the recording, and where the chunk ends. */
  readonly at: number;
  readonly eventsAt: number;
  readonly lastCheckpointAt: number;
  readonly metadataAt: number;
  readonly end: number;
  readonly startNs: bigint;
  readonly durationNs: bigint;
  /** When the chunk began, by the clock of its events. */
  readonly startTicks: number;
  /** How long that clock takes for a tick. async-profiler and the JDK count nanoseconds, or cycles of the processor. */
  readonly nsPerTick: number;
}

const NS_PER_S = 1e9;

const HEADER_BYTES = 68;
const MAGIC = 0x464c5200;
const FLAG_COMPRESSED = 1;
/** JDK 9 and later write 2.0 and 2.1. */
const MAJOR_READ = 2;

/** Throws a refusal for a chunk that is not whole. */
export function readChunkHeader(recording: Uint8Array, at: number): ChunkHeader {
  const rest = recording.length - at;
  const view = new DataView(recording.buffer, recording.byteOffset + at, rest);
  if (rest < 4 || view.getUint32(0) !== MAGIC) {
    if (at === 0) throw malformed("the body is no JFR recording, which begins with the bytes 46 4c 52 00: send the file that the recorder wrote, or another format");
    throw unreadable(at, "another chunk should begin here");
  }
  if (rest < HEADER_BYTES) throw unreadable(at, `the chunk is cut short within its header, after ${rest} of ${HEADER_BYTES} bytes`);
  const major = view.getUint16(4);
  if (major !== MAJOR_READ) throw malformed(`the JFR recording has version ${major}.${view.getUint16(6)} and version ${MAJOR_READ} is read: record with JDK 9 or later, or with async-profiler`);
  const sizeBytes = view.getBigUint64(8);
  if (sizeBytes > BigInt(rest)) throw unreadable(at, `the chunk is cut short, after ${rest} of ${sizeBytes} bytes`);
  if (sizeBytes < BigInt(HEADER_BYTES)) throw unreadable(at, `the chunk says that it has ${sizeBytes} bytes, as while it is still being written`);
  if ((view.getUint8(67) & FLAG_COMPRESSED) === 0) throw malformed("the JFR recording has integers that are not compressed, which no known recorder writes: record with compressed integers");
  const end = at + Number(sizeBytes);
  const ticksPerS = Number(view.getBigUint64(56));
  if (ticksPerS === 0) throw unreadable(at, "the chunk says that its clock ticks 0 times a second");
  const place = (offset: bigint, what: string): number => {
    if (offset < BigInt(HEADER_BYTES) || offset >= sizeBytes) throw unreadable(at, `the chunk of ${sizeBytes} bytes has its ${what} at ${offset}`);
    return at + Number(offset);
  };
  return {
    at,
    eventsAt: at + HEADER_BYTES,
    lastCheckpointAt: place(view.getBigUint64(16), "constants"),
    metadataAt: place(view.getBigUint64(24), "metadata"),
    end,
    startNs: view.getBigUint64(32),
    durationNs: view.getBigUint64(40),
    startTicks: Number(view.getBigUint64(48)),
    nsPerTick: NS_PER_S / ticksPerS,
  };
}
