/** The thread of zstd-thread.ts: one body after another. */
import { parentPort } from "node:worker_threads";
import { messageOf } from "@pyromesh/base";
import { loadZstd, ZstdTorn } from "./zstd.ts";
import type { ZstdReply, ZstdTask } from "./zstd-thread.ts";

const port = parentPort!; // this file runs as a thread only
const unzstd = await loadZstd();
port.on("message", (task: ZstdTask) => {
  const reply = run(task);
  port.postMessage(reply, reply.kind === "bytes" ? [reply.bytes.buffer as ArrayBuffer] : []); // a copy that the library made
});

function run({ bytes, sizeBytesMax }: ZstdTask): ZstdReply {
  try {
    const result = unzstd(bytes, sizeBytesMax);
    return result === undefined ? { kind: "too_large" } : { kind: "bytes", bytes: result };
  } catch (error) {
    return { kind: error instanceof ZstdTorn ? "torn" : "failed", message: messageOf(error) };
  }
}
