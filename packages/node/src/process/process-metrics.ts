/**
 * What the process uses of its machine, under the usual names, so that existing dashboards work: `process_*` as in every Prometheus client, `nodejs_*`
 * as in prom-client. prom-client's own collection is not used: some of its names break the rules that promtool checks
 * (`nodejs_active_handles_total` is a gauge), and it walks every socket and observes every garbage collection.
 *
 * All are read at each scrape. Heap figures are the main thread's; the workers' heaps count in the resident memory.
 */
import { readdir, readFile } from "node:fs/promises";
import type { Clock, Metrics } from "@pyromesh/base";

export interface ProcessMetricsModules {
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** The limit on open files; undefined where it is not known, or where there is none. */
  readonly openFilesMax: number | undefined;
}

export function addProcessMetrics({ clock, metrics, openFilesMax }: ProcessMetricsModules): void {
  const startedAtSeconds = clock.nowMs() / 1000 - process.uptime();
  const alone = (value: number): readonly [{ readonly labels: object & Record<string, never>; readonly value: number }] => [{ labels: {}, value }];
  metrics.readCounter("process_cpu_user_seconds_total", "CPU time of this process in user mode, all threads together.", () => alone(process.cpuUsage().user / 1e6));
  metrics.readCounter("process_cpu_system_seconds_total", "CPU time of this process in the kernel, all threads together.", () => alone(process.cpuUsage().system / 1e6));
  metrics.readCounter("process_cpu_seconds_total", "CPU time of this process, all threads together.", () => {
    const { system, user } = process.cpuUsage();
    return alone((system + user) / 1e6);
  });
  metrics.gauge("process_start_time_seconds", "When this process was started, since 1970.", [], (gauge) => gauge.set({}, startedAtSeconds));
  metrics.gauge("process_resident_memory_bytes", "Memory that this process has in the machine's memory.", [], (gauge) => gauge.set({}, process.memoryUsage.rss()));
  metrics.gauge("process_virtual_memory_bytes", "Address space of this process.", [], async (gauge) => {
    const bytes = await virtualBytes();
    if (bytes !== undefined) gauge.set({}, bytes);
  });
  metrics.gauge("process_open_fds", "Files and sockets that this process has open.", [], async (gauge) => {
    const count = await openFileCount();
    if (count !== undefined) gauge.set({}, count);
  });
  metrics.gauge("process_max_fds", "Files and sockets that this process may have open.", [], (gauge) => {
    if (openFilesMax !== undefined) gauge.set({}, openFilesMax);
  });
  const heap = (of: (usage: NodeJS.MemoryUsage) => number) => (gauge: { set(labels: Record<string, never>, value: number): void }): void => gauge.set({}, of(process.memoryUsage()));
  metrics.gauge("nodejs_heap_size_total_bytes", "Heap of the main thread, used or not.", [], heap(({ heapTotal }) => heapTotal));
  metrics.gauge("nodejs_heap_size_used_bytes", "Heap of the main thread that is used.", [], heap(({ heapUsed }) => heapUsed));
  metrics.gauge("nodejs_external_memory_bytes", "Memory outside of the heap that objects of the main thread hold, buffers among them.", [], heap(({ external }) => external));
  metrics.gauge("nodejs_version_info", "The version of Node; always 1.", ["version", "major", "minor", "patch"], (gauge) => {
    const [major = "", minor = "", patch = ""] = process.version.slice(1).split(".");
    gauge.set({ version: process.version, major, minor, patch }, 1);
  });
}

/** Undefined where there is no /proc. */
async function virtualBytes(): Promise<number | undefined> {
  const text = await readFile("/proc/self/status", "latin1").catch(() => "");
  const found = /^VmSize:\s+(\d+) kB/m.exec(text);
  return found === null ? undefined : Number(found[1]) * 1024;
}

/** Undefined where there is no /proc. The open folder of this reading counts too. */
async function openFileCount(): Promise<number | undefined> {
  return readdir("/proc/self/fd").then((names) => names.length - 1, () => undefined);
}
