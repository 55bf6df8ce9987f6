/** For who runs a node in a world of their own: the simulator. `serve` is reached by the command line (main.ts). */
export { composeNode, STOP_TIMEOUT_MS } from "./compose-node.ts";
export type { ComposedNode } from "./compose-node.ts";
export type { WorkerThreads } from "./compute/worker-threads.ts";
export type { Config } from "./config/config.ts";
export { loadConfig } from "./config/load-config.ts";
export type { DiskSpace } from "./process/data-disk.ts";
export type { NodeDisk } from "./process/node-disk.ts";
export type { ConfigFile, Listener, Machine, Network, World } from "./world.ts";
