/** A lane's own thread: takes batches of calls in order, answers each batch at once. */
import { parentPort, workerData } from "node:worker_threads";
import { assert, systemRandom, unreachable, WORD_BYTES } from "@pyromesh/base";
import { Interrupt } from "@pyromesh/profile";
import { ComputeEngine } from "./compute-engine.ts";
import { mergeAnswer } from "./finish-query.ts";
import type { BuiltDataset, EncodeSettings, Finished } from "./compute.ts";
import { mergePartials } from "./merge-partials.ts";
import { laneOf } from "./lane-of.ts";
import { firstRowOf, isPush, packRecords, queryCanceled, toPlainError, unpackPush } from "./lane-protocol.ts";
import type { LaneBatch, LaneCall, LaneOutcome, LaneStart, PackedPush, PackedRecords } from "./lane-protocol.ts";
import { SLOT_BYTES, slotOf } from "./lent-memory.ts";
import { HeldHeap, MemoryGuard, threadHeap } from "./memory-guard.ts";
import { packPartial, unpackPartials } from "./packed-partial.ts";
import { sharedCopy } from "./shared-copy.ts";
import { workerCrashPoint } from "./worker-crash-point.ts";

const port = parentPort;
assert(port !== null, "a lane runs in a worker thread");
const { lane, laneCount, epoch, openBytesMax, shared, canceled, outsideBytesMax } = workerData as LaneStart; // worker-thread.ts starts us
const heap = new HeldHeap(threadHeap());
const engine = new ComputeEngine({ openBytesMax }, { random: systemRandom, isMine: (record) => laneOf(record, laneCount) === lane, firstRow: firstRowOf(epoch) });
const settings = new Map<number, EncodeSettings>();

port.on("message", ([number, ...calls]: LaneBatch) => {
  port.postMessage(calls.map((call) => outcomeOf(number, call)));
});

function outcomeOf(batch: number, call: LaneCall): LaneOutcome {
  workerCrashPoint(call, epoch);
  try {
    if (isPush(call)) return encode(call);
    const value = run(batch, call);
    return value === undefined ? undefined : { value };
  } catch (thrown) {
    return { error: toPlainError(thrown) };
  }
}

function run(batch: number, call: Exclude<LaneCall, PackedPush>): unknown {
  switch (call.method) {
    case "settings":
      if (call.isFirst) settings.clear();
      settings.set(call.number, call.settings);
      return undefined;
    case "insert":
      return engine.insert(call.generation, call.records);
    case "rows":
      return engine.insertRows(call.generation, call.rows);
    case "release":
      return engine.releaseRows(call.rows);
    case "build":
      return build(call);
    case "drop":
      return engine.drop(call.generation);
    case "scan":
      return packPartial(engine.scan(call.task, interruptOf(batch)));
    case "merge": {
      const interrupt = interruptOf(batch);
      return packPartial(mergePartials(call.spec, unpackPartials(call.partials, interrupt), interrupt));
    }
    case "finish": {
      const interrupt = interruptOf(batch);
      // No name for the unpacked parts here: this frame would keep them while the answer is printed.
      const print = mergeAnswer(call.spec, unpackPartials(call.partials, interrupt), interrupt);
      return finishedShared(print());
    }
    default:
      return unreachable(call);
  }
}

/** Ends a call that was cancelled while it is at work here, the only one of its batch, or that needs too much memory. */
function interruptOf(batch: number): Interrupt {
  const own = BigInt(batch);
  const guard = new MemoryGuard({ outsideBytesMax }, { heap });
  return new Interrupt(() => {
    if (Atomics.load(canceled, 0) === own) throw queryCanceled();
    guard.check();
  });
}

/** An answer of megabytes travels in shared memory: the main thread would copy bytes that lie in the message itself. */
function finishedShared(finished: Finished): Finished {
  return "bytes" in finished ? { ...finished, bytes: sharedCopy(finished.bytes) } : finished;
}

/** Sections are views of writers' larger buffers: what travels is no more than they hold. */
function build({ generation, tenant, windowStartMs }: Extract<LaneCall, { method: "build" }>): BuiltDataset[] | undefined {
  return engine.build(generation, tenant, windowStartMs)?.map((dataset) => ({
    ...dataset,
    sections: dataset.sections.map((section) => ({ ...section, raw: sharedCopy(section.raw) })),
  }));
}

/** The records lie where the pprof lay, as far as they fit. */
function encode(push: PackedPush): PackedRecords {
  const [place] = push;
  const task = unpackPush(push, (at, lengthBytes) => new Uint8Array(shared, at, lengthBytes), settingsOf);
  let next = typeof place === "number" ? slotOf(place) : 0;
  const end = typeof place === "number" ? next + SLOT_BYTES : 0;
  const room = (lengthBytes: number): Uint8Array => {
    if (next + lengthBytes > end) return new Uint8Array(new SharedArrayBuffer(lengthBytes));
    const at = next;
    next += Math.ceil(lengthBytes / WORD_BYTES) * WORD_BYTES; // each begins with a word
    return new Uint8Array(shared, at, lengthBytes);
  };
  return packRecords(engine.encode(task, room), (bytes) => (bytes.buffer === shared ? bytes.byteOffset : bytes));
}

function settingsOf(number: number): EncodeSettings {
  const found = settings.get(number);
  assert(found !== undefined, "settings are sent before the first push that names them");
  return found;
}
