export { META_NOTES } from "../entries/keys.ts";
export { listeningLogger, StillClock } from "./fixtures.ts";
export { copyOf, MemoryDisk, pagesOf } from "./memory-store.ts";
export { MemoryFile, MemoryCheckpoint } from "./memory-files.ts";
export { mountSmallDisk } from "./small-disk.ts";
export type { SmallDisk } from "./small-disk.ts";
export { describeStore } from "./store-suite.ts";
