/** For programs that run a node over a world of their own, as the simulator does. The command line (main.ts) runs `serve`. */
export { composeNode, STOP_TIMEOUT_MS } from "./compose-node.ts";
export type { ComposedNode } from "./compose-node.ts";
export { BUILD_FORMATS } from "./process/build-formats.ts";
export type { BuildFormats } from "./process/build-formats.ts";
export type { WorkerThreads } from "./compute/worker-threads.ts";
export type { Config } from "./config/config.ts";
export { loadConfig } from "./config/load-config.ts";
export type { DiskSpace } from "./process/data-disk.ts";
export type { NodeDisk } from "./process/node-disk.ts";
export type { ConfigFile, Listener, Machine, Network, World } from "./world.ts";
