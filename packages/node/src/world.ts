/**
 * Everything that a node needs from outside. `serve` gives it the real things (real-world.ts), the simulator its own; compose-node.ts composes
 * the same node over both.
 *
 * What must stay true: while it handles a record or a query, a node waits for nothing but these. So the order of their completions decides
 * everything that the node does.
 */
import type { ApiServerModules, ApiServerOptions, Compression, DebugProfiler, Pages } from "@pyromesh/api";
import type { Clock, Logger, Metrics, Random } from "@pyromesh/base";
import type { Bucket } from "@pyromesh/block";
import type { PeerNetwork } from "@pyromesh/gossip";
import type { TargetModules } from "@pyromesh/scrape";
import type { BuildFormats } from "./process/build-formats.ts";
import type { WorkerThreads } from "./compute/worker-threads.ts";
import type { Config } from "./config/config.ts";
import type { BuildInfo } from "./process/build-info.ts";
import type { MemoryPlan } from "./process/memory-plan.ts";
import type { NodeDisk } from "./process/node-disk.ts";

export interface World {
  readonly clock: Clock;
  /** For LISTs, the age of the bucket's identity and the pauses between tries of an upload. Absent: `clock`. Tests of processes give a faster one. */
  readonly bucketClock?: Clock;
  /** For how often old ad hoc profiles are looked for. Absent: `clock`. The simulator gives a faster one. */
  readonly expiryClock?: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly network: Network;
  /** The network between members; asked for where the settings make this node one. Absent: there is none. */
  readonly openPeerNetwork?: () => Promise<PeerNetwork>;
  /** A file that a setting names: the cluster's secret, a list of members. Absent: there are no files. */
  readonly readTextFile?: (path: string) => Promise<string>;
  readonly disk: NodeDisk;
  /** `setting`: `--bucket`. Opens nothing that would have to be closed before the node stops. */
  readonly openBucket: (setting: string) => Promise<Bucket>;
  /** The source of worker threads. Called once, before the first thread starts. The node supervises the threads, so a test can kill one. */
  readonly openThreads: (plan: MemoryPlan) => WorkerThreads;
  /** Compresses and decompresses bodies and replies without occupying the main thread. */
  readonly compression: Compression;
  readonly machine: Machine;
  readonly buildInfo: BuildInfo;
  /** Which versions of formats it writes and reads. Absent: those of this build. Tests of upgrades give those of an earlier one. */
  readonly formats?: BuildFormats;
  /** The configuration file, read again while the node runs. Absent: the limits do not change. */
  readonly configFile?: ConfigFile;
  /** Absent: no web page. */
  readonly pages?: Pages;
  /** Absent: no profiles of the process itself. */
  readonly profiler?: DebugProfiler;
  /** The programs that this node may ask for their profiles. Absent: it asks none, and grants no other member a target. */
  readonly programs?: Pick<TargetModules, "fetch" | "files" | "resolver">;
  /** Ends the process, and with it the node: its workers cannot be kept alive. */
  readonly endProcess: (error: Error) => void;
  /** The node has left its cluster, by an operator's word. Absent: it goes on, and answers that it has left. */
  readonly onLeft?: () => void;
}

/** Listens for HTTP: node:http on a port, or a network in memory. */
export interface Network {
  /** Rejects LISTEN_FAILED. */
  listen(options: ApiServerOptions, modules: ApiServerModules): Promise<Listener>;
}

export interface Listener {
  readonly port: number;
  /** Accepts no new request, and resolves when those in flight have ended. */
  stop(): Promise<void>;
}

/** What the process may use of its machine. */
export interface Machine {
  readonly coreCount: number;
  readonly memoryBytes: number;
  /** Undefined: no limit, or none that is known. */
  readonly openFilesMax: number | undefined;
  /** The first address that is neither loopback nor of its own link only: what others are told where a node listens on every interface. */
  readonly firstAddress?: string | undefined;
}

export interface ConfigFile {
  readonly readFile: (path: string) => Promise<string>;
  /** All settings with `text` as the content of the file. Throws CONFIG_INVALID, which says what is wrong with it. */
  readonly load: (text: string) => Config;
}
