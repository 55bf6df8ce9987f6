/**
 * A worker's own thread: takes batches of calls in the order in which they arrive, and answers each when it is done. While a query is at
 * work it takes what arrives between two of its slices (sliced-work.ts).
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { assert, sharedBytes, systemRandom, unreachable, WORD_BYTES } from "@pyromesh/base";
import { Interrupt, pushMemoryBytes } from "@pyromesh/profile";
import { ComputeEngine } from "./compute-engine.ts";
import { mergeAnswer } from "./finish-query.ts";
import type { BuiltDataset, EncodeSettings, Finished } from "./compute.ts";
import { mergePartials } from "./merge-partials.ts";
import { workerOf } from "./worker-of.ts";
import { cancelCell, firstRowOf, isPush, packRecords, queryCanceled, recordsTooLarge, toPlainError, unpackPush } from "./worker-protocol.ts";
import type { WorkerBatch, WorkerCall, WorkerOutcome, WorkerReply, WorkerStart, PackedPush, PackedRecords } from "./worker-protocol.ts";
import { SLOT_BYTES, slotOf } from "./buffer-pool.ts";
import { HeldHeap, MemoryGuard, threadHeap } from "./memory-guard.ts";
import { packPartial, unpackPartials } from "./packed-partial.ts";
import { sharedCopy } from "./shared-copy.ts";
import { SlicedWork } from "./sliced-work.ts";
import { workerCrashPoint } from "./worker-crash-point.ts";

const port = parentPort;
assert(port !== null, "a worker runs in a worker thread");
const { worker, workerCount, epoch, openBytesMax, shared, canceled, begun, outsideBytesMax, recordBytesMax } = workerData as WorkerStart; // worker-thread.ts starts us
const heap = new HeldHeap(threadHeap());
const engine = new ComputeEngine({ openBytesMax }, { random: systemRandom, isMine: (record) => workerOf(record, workerCount) === worker, firstRow: firstRowOf(epoch) });
const settings = new Map<number, EncodeSettings>();

const slices = new SlicedWork<WorkerBatch>({
  receive: () => receiveMessageOnPort(port)?.message as WorkerBatch | undefined, // as the worker sends it
  run: answer,
});
/** Of the query at the bottom of the stack. A listing that is done between two of its slices counts as its own. */
let guard: MemoryGuard | undefined;

port.on("message", answer);

function answer([number, ...calls]: WorkerBatch): void {
  Atomics.store(begun, 0, BigInt(number));
  const reply: [number, ...WorkerOutcome[]] = [number];
  for (const call of calls) reply.push(outcomeOf(number, call));
  port!.postMessage(reply satisfies WorkerReply);
}

function outcomeOf(batch: number, call: WorkerCall): WorkerOutcome {
  workerCrashPoint(call, epoch);
  try {
    if (isPush(call)) return encode(call);
    const value = run(batch, call);
    return value === undefined ? undefined : { value };
  } catch (thrown) {
    return { error: toPlainError(thrown) };
  }
}

function run(batch: number, call: Exclude<WorkerCall, PackedPush>): unknown {
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
      return withInterrupt(batch, call, (interrupt) => packPartial(engine.scan(call.task, interrupt)));
    case "merge":
      return withInterrupt(batch, call, (interrupt) => packPartial(mergePartials(call.spec, unpackPartials(call.partials, interrupt), interrupt)));
    case "finish":
      // No name for the unpacked parts here: this frame would keep them while the answer is printed.
      return withInterrupt(batch, call, (interrupt) => finishedShared(mergeAnswer(call.spec, unpackPartials(call.partials, interrupt), interrupt)()));
    default:
      return unreachable(call);
  }
}

/** Between two slices the call ends where nobody waits for it any more or it needs too much memory, and gives way to what has arrived. */
function withInterrupt<T>(batch: number, call: WorkerCall, work: (interrupt: Interrupt) => T): T {
  const [own, cell] = [BigInt(batch), cancelCell(call)];
  const outer = guard;
  const memory = outer ?? new MemoryGuard({ outsideBytesMax }, { heap, rowBytes: () => engine.rowBytes + pushMemoryBytes() });
  guard = memory;
  try {
    return work(
      new Interrupt(() => {
        if (Atomics.load(canceled, cell) === own) throw queryCanceled();
        memory.check();
        slices.giveWay();
      }),
    );
  } finally {
    guard = outer;
  }
}

/** An answer of megabytes travels in shared memory: the main thread would copy bytes that lie in the message itself. */
function finishedShared(finished: Finished): Finished {
  return "bytes" in finished ? { ...finished, bytes: sharedCopy(finished.bytes) } : finished;
}

/** Sections are views of writers' larger buffers: what travels is no more than they hold. */
function build({ generation, tenant, windowStartMs }: Extract<WorkerCall, { method: "build" }>): BuiltDataset[] | undefined {
  guard?.noteCompany();
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
  let recordBytes = 0;
  const room = (lengthBytes: number): Uint8Array => {
    recordBytes += lengthBytes;
    if (recordBytes > recordBytesMax) throw recordsTooLarge(recordBytesMax);
    if (next + lengthBytes > end) return sharedBytes(lengthBytes);
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
