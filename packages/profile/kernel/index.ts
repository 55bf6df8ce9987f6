/** What JavaScript calls (src/pprof/pprof-kernel.ts). Compiled to WebAssembly by AssemblyScript: scripts/build.mjs. */
export { decodeProfile } from "./decode";
export { open } from "./memory";
export { encodeColumns } from "./record";
export { addUp, hasValue, mergeByAll, mergeByNode } from "./split";
export { childAt, findChild, nodeCount } from "./walk";
