/**
 * All that a node needs of the world around it. `serve` makes it of the real things (real-world.ts), the simulator of its own; what is
 * put together over it is the same for both (compose-node.ts).
 *
 * What must stay true: on the way of a record or a query a node waits for nothing but these. So whoever orders their completions orders
 * all that the node does.
 */
import type { ApiServerModules, ApiServerOptions, Compression, DebugProfiler, Pages } from "@pyromesh/api";
import type { Clock, Logger, Metrics, Random } from "@pyromesh/base";
import type { Bucket } from "@pyromesh/block";
import type { WorkerThreads } from "./compute/worker-threads.ts";
import type { Config } from "./config/config.ts";
import type { BuildInfo } from "./process/build-info.ts";
import type { MemoryPlan } from "./process/memory-plan.ts";
import type { NodeDisk } from "./process/node-disk.ts";

export interface World {
  readonly clock: Clock;
  /** For LISTs, the age of the bucket's identity and the pauses between tries of an upload. Absent: `clock`. Tests of processes give a faster one. */
  readonly bucketClock?: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly network: Network;
  readonly disk: NodeDisk;
  /** `setting`: `--bucket`. Opens nothing that would have to be closed before the node stops. */
  readonly openBucket: (setting: string) => Promise<Bucket>;
  /** Where workers' threads come from. Called once, before the first of them starts. What looks after them lies above it, so that a thread can be killed. */
  readonly openThreads: (plan: MemoryPlan) => WorkerThreads;
  /** Of requests and replies, beside the main thread. */
  readonly compression: Compression;
  readonly machine: Machine;
  readonly buildInfo: BuildInfo;
  /** The configuration file, read again while the node runs. Absent: its limits stay what they are. */
  readonly configFile?: ConfigFile;
  /** Absent: no web page. */
  readonly pages?: Pages;
  /** Absent: no profiles of the process itself. */
  readonly profiler?: DebugProfiler;
  /** Ends the process, and with it the node: its workers cannot be kept alive. */
  readonly endProcess: (error: Error) => void;
}

/** Who listens for HTTP: node:http on a port, or a network in memory. */
export interface Network {
  /** Rejects LISTEN_FAILED. */
  listen(options: ApiServerOptions, modules: ApiServerModules): Promise<Listener>;
}

export interface Listener {
  readonly port: number;
  /** Takes nothing new, and ends what is in flight. */
  stop(): Promise<void>;
}

/** What the process may use of it. */
export interface Machine {
  readonly coreCount: number;
  readonly memoryBytes: number;
  /** Undefined: no limit, or none that is known. */
  readonly openFilesMax: number | undefined;
}

export interface ConfigFile {
  readonly readFile: (path: string) => Promise<string>;
  /** All settings as they are with `text` in the file. Throws what is wrong with it. */
  readonly load: (text: string) => Config;
}
