/**
 * A cluster on this machine: each node a process of its own, with its ports and its data directory, and one folder as the bucket of all.
 *
 *   node i    HTTP httpPort + i, cluster clusterPort + i, data in DIR/i + 1       bucket  DIR/bucket
 *
 * Each profiles itself, so that the first page has a flame graph on it. Any node is a seed of any other, so they start at the same moment. One that ends by
 * itself, or is killed, does not end the others: that is what the cluster is for. One that ends before all were ready does: the start has failed.
 */
import type { Clock } from "@pyromesh/base";
import { devLine } from "./dev-log.ts";
import type { Terminal } from "./terminal.ts";

export interface DevClusterOptions {
  readonly nodeCount: number;
  readonly dir: string;
  readonly httpPort: number;
  readonly clusterPort: number;
  /** More flags of `serve`, for each node. */
  readonly flags: readonly string[];
}

export interface DevClusterModules {
  readonly clock: Clock;
  readonly fetch: typeof globalThis.fetch;
  readonly terminal: Pick<Terminal, "out" | "note" | "isNoteTty">;
  readonly startProcess: (args: readonly string[], onLine: (line: string) => void) => DevProcess;
}

export interface DevProcess {
  /** Undefined: it could not be started. */
  readonly pid: number | undefined;
  /** Resolves to words for how it ended: "exit code 1", "SIGKILL". Never rejects. */
  readonly ended: Promise<string>;
  stop(): void;
}

const POLL_INTERVAL_MS = 200;
/** A node that is not ready by then says in its log why; waiting goes on. */
const SLOW_AFTER_MS = 30_000;

/** Resolves to the exit code, when all nodes have ended. `signal`: stop them. */
export async function runDevCluster(options: DevClusterOptions, modules: DevClusterModules, signal: AbortSignal): Promise<number> {
  const { terminal, startProcess } = modules;
  const nodes = Array.from({ length: options.nodeCount }, (_, index) => ({ index, name: nodeName(index), process: startProcess(devNodeArgs(options, index), (line) => terminal.note(devLine({ name: nodeName(index), index }, line, terminal.isNoteTty))) }));
  // With its process, so that one can be killed to see what happens.
  for (const { index, name, process } of nodes) terminal.note(devLine({ name, index }, `started: http://127.0.0.1:${options.httpPort + index}, process ${process.pid}`, terminal.isNoteTty));
  let hasFailed = false;
  let isReady = false;
  const giveUp = new AbortController();
  const stopAll = (): void => {
    giveUp.abort();
    for (const { process } of nodes) process.stop();
  };
  signal.addEventListener("abort", stopAll, { once: true });
  const allEnded = Promise.all(
    nodes.map(async ({ index, name, process }) => {
      const how = await process.ended;
      // Of one that was killed to see what happens: how it comes back, in another terminal.
      const again = isReady && !signal.aborted ? `; in this folder it is started again by: pyromesh ${devNodeArgs(options, index).join(" ")}` : "";
      terminal.note(devLine({ name, index }, `ended: ${how}${again}`, terminal.isNoteTty));
      if (isReady || giveUp.signal.aborted) return;
      hasFailed = true;
      stopAll();
    }),
  );
  isReady = await allReady(options, modules, giveUp.signal);
  if (isReady) {
    const url = `http://127.0.0.1:${options.httpPort}`;
    terminal.out(`${options.nodeCount} nodes are ready: ${url}  (the ring: ${url}/ring)\nCtrl-C stops them; their data stays in ${options.dir}\n`);
  }
  await allEnded;
  signal.removeEventListener("abort", stopAll);
  return hasFailed ? 1 : 0;
}

export function devNodeArgs({ nodeCount, dir, httpPort, clusterPort, flags }: DevClusterOptions, index: number): string[] {
  const joins = Array.from({ length: nodeCount }, (_, other) => ["--join", `127.0.0.1:${clusterPort + other}`]).flat();
  return [
    "serve",
    ...["--node-name", nodeName(index)],
    ...["--data-dir", `${dir}/${index + 1}`],
    ...["--http-addr", `127.0.0.1:${httpPort + index}`],
    ...["--cluster-name", "dev"],
    ...["--cluster-addr", `127.0.0.1:${clusterPort + index}`],
    ...["--bucket", `file://${dir}/bucket`],
    ...joins,
    "--self-profile",
    ...flags,
  ];
}

function nodeName(index: number): string {
  return `node-${index + 1}`;
}

/** False: given up before. */
async function allReady({ nodeCount, httpPort }: DevClusterOptions, { clock, fetch, terminal }: DevClusterModules, signal: AbortSignal): Promise<boolean> {
  const startedMs = clock.monotonicMs();
  let isSlow = false;
  for (let ready = 0; ready < nodeCount && !signal.aborted; ) {
    if (await isReadyAt(`http://127.0.0.1:${httpPort + ready}/ready`, fetch, signal)) {
      ready++;
      continue;
    }
    if (!isSlow && clock.monotonicMs() - startedMs > SLOW_AFTER_MS) {
      isSlow = true;
      terminal.note(`${nodeName(ready)} is not ready after ${SLOW_AFTER_MS / 1000} s: http://127.0.0.1:${httpPort + ready}/ready says why\n`);
    }
    await clock.sleep(POLL_INTERVAL_MS, signal).catch(() => {});
  }
  return !signal.aborted;
}

async function isReadyAt(url: string, fetch: typeof globalThis.fetch, signal: AbortSignal): Promise<boolean> {
  try {
    const reply = await fetch(url, { signal });
    await reply.arrayBuffer();
    return reply.status === 200;
  } catch {
    return false; // it does not listen yet
  }
}
