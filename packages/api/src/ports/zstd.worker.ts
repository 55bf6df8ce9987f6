/** The thread of zstd-thread.ts: one body after another. */
import { parentPort } from "node:worker_threads";
import { LARGE_BYTES_MIN, largeBytes, messageOf } from "@pyromesh/base";
import { loadZstd, ZstdTorn } from "./zstd.ts";
import type { ZstdReply, ZstdTask } from "./zstd-thread.ts";

const port = parentPort!; // this file runs as a thread only
const unzstd = await loadZstd();
port.on("message", (task: ZstdTask) => {
  const reply = run(task);
  port.postMessage(reply, reply.kind === "bytes" ? [reply.bytes.buffer as ArrayBuffer] : []); // a copy of ours, or of the library
});

function run({ bytes, sizeBytesMax, isFreedLater }: ZstdTask): ZstdReply {
  try {
    const result = unzstd(bytes, sizeBytesMax);
    if (result === undefined) return { kind: "too_large" };
    if (!isFreedLater || result.length < LARGE_BYTES_MIN) return { kind: "bytes", bytes: result };
    // The library's copy is garbage of this thread, which ends after a large body.
    const own = largeBytes(result.length);
    own.set(result);
    return { kind: "bytes", bytes: own };
  } catch (error) {
    return { kind: error instanceof ZstdTorn ? "torn" : "failed", message: messageOf(error) };
  }
}
