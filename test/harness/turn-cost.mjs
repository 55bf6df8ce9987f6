/**
 * What the turns of a node's main thread cost. Loaded into the node with `--import`, it looks each millisecond at how much the thread has
 * worked, and says what the dearest turn was when it gets SIGUSR2, as a line of the log; then it begins anew. Two turns may
 * fall into one look: the figure is an upper bound.
 *
 * Counted is the thread's own time (Linux tells it): how long others keep it from running, on a machine that is shared, says nothing of us.
 * Elsewhere it is the time that passes.
 */
import { openSync, readSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

const MARK = "dearest turn: ";

/** For `startNode`. */
export const TURN_COST_ENV = { NODE_OPTIONS: `--import ${fileURLToPath(import.meta.url)}` };

/** Resolves to the milliseconds of the dearest turn since the node was asked last, or began. */
export async function dearestTurnMs(node) {
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
  let dearestMs = 0;
  setInterval(() => {
    const nowMs = workedMs();
    dearestMs = Math.max(dearestMs, nowMs - lastMs);
    lastMs = nowMs;
  }, 1).unref();
  process.on("SIGUSR2", () => {
    process.stderr.write(`${MARK}${dearestMs.toFixed(1)}\n`);
    dearestMs = 0;
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
