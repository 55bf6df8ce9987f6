/** How much memory this process may have: its cgroup's limit where there is one, else what the machine has. */
import { totalmem } from "node:os";

export function memoryLimitBytes(): number {
  // libuv reads the cgroup's limit, of version 1 and 2, and says 0, or more than any machine has, where there is none.
  return limitOf(process.constrainedMemory(), totalmem());
}

export function limitOf(cgroupBytes: number | undefined, machineBytes: number): number {
  return cgroupBytes !== undefined && cgroupBytes > 0 && cgroupBytes < machineBytes ? cgroupBytes : machineBytes;
}
