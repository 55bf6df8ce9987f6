export { MemoryDisk } from "./memory-store.ts";
export { MemoryFile, MemoryWitness } from "./memory-files.ts";
export { describeStore } from "./store-suite.ts";
