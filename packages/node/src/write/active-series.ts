/**
 * The series each tenant is pushing: one is active from its first push until ten minutes after its last, as in Pyroscope.
 *
 * What must stay true: a series that is active is never refused, whatever the limit has become; a refusal changes nothing.
 * A push costs one map look-up for each of its series. Deciding stands in series-limit.ts.
 *
 *   tenant --> series (a number of record-series.ts) --> second of its last push
 *
 * Once a minute the whole map is walked and the idle ones leave, so many at a time that no push waits long. At `seriesCountMax` of all tenants together a new series is
 * let through and not counted: limits and figures are loose then, memory is not.
 */
import { CorruptionError } from "@pyromesh/base";
import type { Clock, Counter, Metrics, TenantId } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { recordSeries } from "@pyromesh/profile";
import type { SeriesLimits } from "./series-limit.ts";
import { isAdmitted, seriesCountMax, seriesLimited } from "./series-limit.ts";

/** Pyroscope's own. */
const IDLE_SECONDS = 600;
const SWEEP_SECONDS = 60;
/** Walking 500,000 takes 20 ms, and taking them all out 240 ms (Node 20, 2 cores): at the bound the rest leave a second later. */
const SWEEP_COUNT_MAX = 50_000;
/** Some 60 bytes each: 30 MB. */
const SERIES_COUNT_MAX = 500_000;
/** Tenants with a line of their own on the metrics page, those with the most series; the others are added up. */
const TENANT_LINES_MAX = 1_000;
const OTHER_TENANTS = "(other)";

export interface ActiveSeriesOptions {
  readonly seriesCountMax?: number;
  readonly tenantLinesMax?: number;
  readonly sweepCountMax?: number;
}

export interface Admitted {
  readonly records: readonly EncodedRecord[];
  /** Undefined when all of them were. */
  readonly refusal: ReturnType<typeof seriesLimited> | undefined;
}

export class ActiveSeries {
  readonly #clock: Clock;
  readonly #created: Counter;
  readonly #removed: Counter;
  readonly #seriesCountMax: number;
  readonly #sweepCountMax: number;
  readonly #tenants = new Map<string, Map<number, number>>();
  #count = 0;
  #sweptAtSeconds = 0;

  constructor(options: ActiveSeriesOptions, modules: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#clock = modules.clock;
    this.#seriesCountMax = options.seriesCountMax ?? SERIES_COUNT_MAX;
    this.#sweepCountMax = options.sweepCountMax ?? SWEEP_COUNT_MAX;
    const tenantLinesMax = options.tenantLinesMax ?? TENANT_LINES_MAX;
    const { metrics } = modules;
    let shown = new Map<string, number>();
    metrics.gauge("pyromesh_head_series", "Series with a push in the last ten minutes.", ["tenant"], (gauge) => {
      this.#sweepWhenDue(this.#nowSeconds());
      const lines = this.#linesByTenant(tenantLinesMax);
      for (const tenant of shown.keys()) if (!lines.has(tenant)) gauge.remove({ tenant });
      for (const [tenant, count] of lines) gauge.set({ tenant }, count);
      shown = lines;
    });
    this.#created = metrics.counter("pyromesh_head_series_created_total", "Series that became active.");
    this.#removed = metrics.counter("pyromesh_head_series_removed_total", "Series that are no longer active, by reason.", ["reason"]);
    this.#created.add({}, 0);
    this.#removed.add({ reason: "idle" }, 0);
  }

  count(tenant: TenantId): number {
    return this.#tenants.get(tenant)?.size ?? 0;
  }

  /**
   * Of one profile's records those whose series are active or may become so. A record is kept with all its types or not at
   * all. A series counts from here on, also when the head then refuses the record: it is mostly sent again.
   */
  admit(tenant: TenantId, records: readonly EncodedRecord[], limits: SeriesLimits): Admitted {
    const nowSeconds = this.#nowSeconds();
    this.#sweepWhenDue(nowSeconds);
    const countMax = seriesCountMax(limits);
    const active = this.#of(tenant);
    const kept: EncodedRecord[] = [];
    for (const record of records) {
      const series = recordSeries(record.bytes);
      if (!isAdmitted({ newCount: countNew(series, active), activeCount: active.size, countMax })) continue;
      this.#touch(active, series, nowSeconds);
      kept.push(record);
    }
    if (kept.length === records.length) return { records, refusal: undefined };
    return { records: kept, refusal: seriesLimited({ limits, activeCount: active.size, refusedCount: records.length - kept.length, recordCount: records.length }) };
  }

  /** What the head held at start: active, whatever the limit. A record that cannot be read is for the lanes to say. */
  resume(tenant: string, bytes: Uint8Array): void {
    let series: readonly number[];
    try {
      series = recordSeries(bytes);
    } catch (thrown) {
      if (thrown instanceof CorruptionError) return;
      throw thrown;
    }
    this.#touch(this.#of(tenant), series, this.#nowSeconds());
  }

  #of(tenant: string): Map<number, number> {
    let active = this.#tenants.get(tenant);
    if (active === undefined) this.#tenants.set(tenant, (active = new Map()));
    return active;
  }

  #touch(active: Map<number, number>, series: readonly number[], nowSeconds: number): void {
    for (const one of series) {
      if (!active.has(one)) {
        if (this.#count >= this.#seriesCountMax) continue;
        this.#count++;
        this.#created.add({});
      }
      active.set(one, nowSeconds);
    }
  }

  #sweepWhenDue(nowSeconds: number): void {
    if (nowSeconds - this.#sweptAtSeconds < SWEEP_SECONDS) return;
    this.#sweptAtSeconds = nowSeconds;
    let removedCount = 0;
    for (const [tenant, active] of this.#tenants) {
      for (const [series, lastSeconds] of active) {
        if (removedCount >= this.#sweepCountMax) break;
        if (nowSeconds - lastSeconds <= IDLE_SECONDS) continue;
        active.delete(series);
        removedCount++;
      }
      if (active.size === 0) this.#tenants.delete(tenant);
    }
    if (removedCount >= this.#sweepCountMax) this.#sweptAtSeconds = nowSeconds - SWEEP_SECONDS + 1;
    if (removedCount === 0) return;
    this.#count -= removedCount;
    this.#removed.add({ reason: "idle" }, removedCount);
  }

  #linesByTenant(linesMax: number): Map<string, number> {
    const counts = [...this.#tenants].map(([tenant, { size }]): [string, number] => [tenant, size]);
    if (counts.length <= linesMax) return new Map(counts);
    counts.sort(([, a], [, b]) => b - a);
    const others = counts.slice(linesMax).reduce((sum, [, count]) => sum + count, 0);
    return new Map([...counts.slice(0, linesMax), [OTHER_TENANTS, others]]);
  }

  /** A small integer, which a map keeps in place. */
  #nowSeconds(): number {
    return Math.floor(this.#clock.monotonicMs() / 1000);
  }
}

function countNew(series: readonly number[], active: ReadonlyMap<number, number>): number {
  let count = 0;
  for (const one of series) if (!active.has(one)) count++;
  return count;
}
