/** A lane's own thread: takes batches of calls in order, answers each batch at once. */
import { parentPort } from "node:worker_threads";
import { assert, unreachable } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { ComputeEngine } from "./compute-engine.ts";
import type { LaneCall, LaneOutcome, LaneRequest } from "./lane-protocol.ts";
import { toPlainError } from "./lane-protocol.ts";

const port = parentPort;
assert(port !== null, "a lane runs in a worker thread");
const engine = new ComputeEngine();

port.on("message", (requests: readonly LaneRequest[]) => {
  const outcomes: LaneOutcome[] = [];
  const transfer: ArrayBuffer[] = [];
  for (const { id, call } of requests) {
    try {
      outcomes.push({ id, value: run(call, transfer) });
    } catch (thrown) {
      outcomes.push({ id, error: toPlainError(thrown) });
    }
  }
  port.postMessage(outcomes, transfer);
});

function run(call: LaneCall, transfer: ArrayBuffer[]): unknown {
  switch (call.method) {
    case "encode": {
      const records = engine.encode(call.task);
      for (const { bytes } of records) giveAway(bytes, transfer);
      return records satisfies readonly EncodedRecord[];
    }
    case "insert":
      return engine.insert(call.generation, call.entries);
    case "build":
      return engine.build(call.generation, call.tenant, call.windowStartMs);
    case "drop":
      return engine.drop(call.generation);
    case "scan":
      return engine.scan(call.task);
    case "finish":
      return engine.finish(call.spec, call.partials);
    default:
      return unreachable(call);
  }
}

/** Transfers a buffer that holds nothing else. */
function giveAway(bytes: Uint8Array, transfer: ArrayBuffer[]): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength && !transfer.includes(buffer)) transfer.push(buffer);
}
