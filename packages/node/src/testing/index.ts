export { openLocalCompute } from "./local-compute.ts";
