export { openLocalCompute } from "./local-compute.ts";
export { graphTotal, readJson } from "./read-reply.ts";
export { pass, passUntil, settle } from "./settle.ts";
