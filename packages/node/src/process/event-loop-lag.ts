/** Measures how late the main thread's event loop is. In a cluster a late loop is the first cause of false failure detection. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Metrics } from "@pyromesh/base";

/** Each look is a wake-up, so it costs an idle node: every 10 ms some 0.3 % of a core, every 50 ms a fifth of that. A stall of less than this may be missed. */
const RESOLUTION_MS = 50;

/** Starts measuring. Each scrape shows the quantiles since the start of the process. */
export function watchEventLoopLag(metrics: Metrics): { stop(): void } {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // What the histogram holds is the time between two timer ticks: the timer's period and the lag.
  const lag = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000);
  metrics.summary("pyromesh_event_loop_lag_seconds", `How late the main thread's event loop ran, measured every ${RESOLUTION_MS} ms since the start.`, () => {
    const { count } = histogram;
    const quantiles = new Map([0.5, 0.99, 0.999].map((quantile) => [quantile, lag(histogram.percentile(quantile * 100))]));
    quantiles.set(1, lag(histogram.max));
    return { quantiles, sum: count === 0 ? 0 : lag(histogram.mean) * count, count };
  });
  return { stop: () => histogram.disable() };
}
