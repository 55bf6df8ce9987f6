/** Measures how late the main thread's event loop is. In a cluster a late loop is the first cause of false failure detection. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Metrics } from "@pyromesh/base";

/** Starts measuring. Each scrape shows the quantiles since the start of the process. */
export function watchEventLoopLag(metrics: Metrics): { stop(): void } {
  const resolutionMs = 10;
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  // What the histogram holds is the time between two timer ticks: the timer's period and the lag.
  const lag = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000);
  metrics.summary("pyromesh_event_loop_lag_seconds", "How late the main thread's event loop ran, measured every 10 ms since the start.", () => {
    const { count } = histogram;
    const quantiles = new Map([0.5, 0.99, 0.999].map((quantile) => [quantile, lag(histogram.percentile(quantile * 100))]));
    quantiles.set(1, lag(histogram.max));
    return { quantiles, sum: count === 0 ? 0 : lag(histogram.mean) * count, count };
  });
  return { stop: () => histogram.disable() };
}
