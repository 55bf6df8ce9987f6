/**
 * Measures the longest turn of the node's event loop. The node loads it with `--import`. Every millisecond it reads how much the main
 * thread has worked; on SIGUSR2 it logs the longest turn and begins again. Two turns may be read as one, so the figure is an upper bound.
 *
 * On Linux only the thread's own CPU time counts: how long other processes keep it from running says nothing about us. Elsewhere it is
 * elapsed time.
 */
import { openSync, readSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

const MARK = "longest turn: ";

/** The environment of a node started with `startNode`. */
export const TURN_COST_ENV = { NODE_OPTIONS: `--import ${fileURLToPath(import.meta.url)}` };

/** Resolves with the milliseconds of the longest turn since the last call, or since the start. */
export async function longestTurnMs(node) {
  const before = node.log.filter((line) => line.startsWith(MARK)).length;
  process.kill(node.pid, "SIGUSR2");
  for (;;) {
    const lines = node.log.filter((line) => line.startsWith(MARK));
    if (lines.length > before) return Number(lines.at(-1).slice(MARK.length));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

if (isMainThread && process.argv.includes("serve")) {
  const workedMs = workedSoFar();
  let lastMs = workedMs();
  let longestMs = 0;
  setInterval(() => {
    const nowMs = workedMs();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  }, 1).unref();
  process.on("SIGUSR2", () => {
    process.stderr.write(`${MARK}${longestMs.toFixed(1)}\n`);
    longestMs = 0;
  });
}

function workedSoFar() {
  try {
    const file = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
    const buffer = Buffer.alloc(64);
    const read = () => Number(buffer.latin1Slice(0, readSync(file, buffer, 0, buffer.length, 0)).split(" ")[0]) / 1e6;
    if (read() > 0) return read;
  } catch {
    // Not Linux, or one that does not count.
  }
  return () => performance.now();
}
