/** How late the main thread's event loop is: the first cause of false failure detection in a cluster. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Metrics } from "@pyromesh/base";

/** Starts measuring; quantiles of all since the start of the process are shown at each scrape. */
export function watchEventLoopLag(metrics: Metrics): { stop(): void } {
  const resolutionMs = 10;
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  metrics.gauge("pyromesh_event_loop_lag_seconds", "How late the main thread's event loop ran, by quantile.", ["quantile"], (gauge) => {
    // The histogram holds the timer's own period too.
    const lag = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000);
    for (const quantile of ["0.5", "0.99", "0.999"]) gauge.set({ quantile }, lag(histogram.percentile(Number(quantile) * 100)));
    gauge.set({ quantile: "1" }, lag(histogram.max));
  });
  return { stop: () => histogram.disable() };
}
