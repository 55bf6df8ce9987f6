/** How much memory this process may use: its cgroup's limit where there is one, else the machine's memory. */
import { totalmem } from "node:os";

export function memoryLimitBytes(): number {
  // libuv reads the limit of cgroups of version 1 and 2. Where there is none it says 0, or more than any machine has.
  return limitOf(process.constrainedMemory(), totalmem());
}

export function limitOf(cgroupBytes: number | undefined, machineBytes: number): number {
  return cgroupBytes !== undefined && cgroupBytes > 0 && cgroupBytes < machineBytes ? cgroupBytes : machineBytes;
}
