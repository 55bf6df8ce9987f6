/**
 * The series each tenant is pushing: one is active from its first push until ten minutes after its last, as in Pyroscope.
 *
 * What must stay true: a series that is active is never refused, whatever the limit has become; a refusal changes nothing.
 * A push costs one map look-up for each of its series. Deciding stands in series-limit.ts.
 *
 *   tenant --> series (a number of record-series.ts) --> second of its last push
 *          --> label set (a number of label-set-key.ts) --> second of the last push that began or continued a series
 *
 * A push is counted twice. Before it is decoded only its label sets are known: the new ones are announced, each as one series at least, and
 * where there is no room for all of them none is worked on. What is decoded is then counted exactly (`admit`). Announced label sets
 * hold their room until then, so two pushes at once do not fill the same.
 *
 * A series is attributed once a push with a known label set had it. Those of the head at start are not: they may belong to any label set.
 *
 * Once a minute the whole map is walked and the idle ones leave, so many at a time that no push waits long. At `seriesCountMax` of all tenants together a new series is
 * let through and not counted: limits and figures are loose then, memory is not.
 */
import { OTHER_TENANTS } from "@pyromesh/api";
import { CorruptionError } from "@pyromesh/base";
import type { Clock, Counter, Metrics, TenantId } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { recordSeries } from "@pyromesh/profile";
import type { SeriesLimits } from "./series-limit.ts";
import { hasRoom, isAdmitted, labelSetsLimited, seriesCountMax, seriesLimited } from "./series-limit.ts";

/** Pyroscope's own. */
const IDLE_SECONDS = 600;
const SWEEP_SECONDS = 60;
/** Walking 500,000 takes 20 ms, and taking them all out 240 ms (Node 20, 2 cores): at the bound the rest leave a second later. */
const SWEEP_COUNT_MAX = 50_000;
/** Some 60 bytes each: 30 MB, and as much for label sets. */
const SERIES_COUNT_MAX = 500_000;
/** Tenants with a line of their own on the metrics page, those with the most series; the others are added up. */
const TENANT_LINES_MAX = 1_000;

export interface ActiveSeriesOptions {
  readonly seriesCountMax?: number;
  readonly tenantLinesMax?: number;
  readonly sweepCountMax?: number;
}

/** What one push announced. */
export interface Announced {
  /** Of label sets that are new and are not to be worked on; undefined: all may be. */
  readonly refusal: ReturnType<typeof labelSetsLimited> | undefined;
  /** True while a label set of the push is new: no push with it was admitted yet. */
  readonly isNew: (labelSet: number) => boolean;
  /** Gives back the room of those that did not become known. Call it when the push ends, however it ends. */
  readonly end: () => void;
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
  readonly #tenants = new Map<string, TenantSeries>();
  #count = 0;
  #labelSetCount = 0;
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
    return this.#tenants.get(tenant)?.active.size ?? 0;
  }

  /** The label sets of one push, before it is decoded. A tenant without a limit announces nothing. */
  announce(tenant: TenantId, labelSets: readonly number[], limits: SeriesLimits): Announced {
    const countMax = seriesCountMax(limits);
    const known = this.#tenants.get(tenant)?.labelSets;
    let fresh: Set<number> | undefined;
    if (countMax !== undefined) for (const one of labelSets) if (known?.has(one) !== true) (fresh ??= new Set()).add(one);
    if (countMax === undefined || fresh === undefined) return NOTHING_NEW;
    this.#sweepWhenDue(this.#nowSeconds());
    const own = this.#of(tenant);
    const { active, arriving, unattributedCount } = own;
    const announced = fresh;
    const isNew = (labelSet: number): boolean => announced.has(labelSet) && !own.labelSets.has(labelSet);
    let newCount = 0;
    for (const one of fresh) if (!arriving.has(one)) newCount++;
    if (!hasRoom({ newCount, arrivingCount: arriving.size, activeCount: active.size, unattributedCount, countMax })) {
      const refusal = labelSetsLimited({ limits, activeCount: active.size, newCount: fresh.size, labelSetCount: new Set(labelSets).size });
      return { refusal, isNew, end: () => {} };
    }
    for (const one of fresh) arriving.set(one, (arriving.get(one) ?? 0) + 1);
    return {
      refusal: undefined,
      isNew,
      end: () => {
        for (const one of announced) {
          const pushCount = arriving.get(one);
          if (pushCount === undefined) continue; // it became known
          if (pushCount === 1) arriving.delete(one);
          else arriving.set(one, pushCount - 1);
        }
      },
    };
  }

  /**
   * Of one profile's records those whose series are active or may become so. A record is kept with all its types or not at
   * all. A series counts from here on, also when the head then refuses the record: it is mostly sent again.
   */
  admit(tenant: TenantId, records: readonly EncodedRecord[], limits: SeriesLimits, labelSet?: number): Admitted {
    const nowSeconds = this.#nowSeconds();
    this.#sweepWhenDue(nowSeconds);
    const countMax = seriesCountMax(limits);
    const own = this.#of(tenant);
    const kept: EncodedRecord[] = [];
    let isKnown: boolean | undefined;
    for (const record of records) {
      const series = recordSeries(record.bytes);
      if (!isAdmitted({ newCount: countNew(series, own.active), activeCount: own.active.size, countMax })) continue;
      isKnown ??= labelSet !== undefined && this.#learn(own, labelSet, nowSeconds);
      this.#touch(own, series, nowSeconds, isKnown);
      kept.push(record);
    }
    if (kept.length === records.length) return { records, refusal: undefined };
    return { records: kept, refusal: seriesLimited({ limits, activeCount: own.active.size, refusedCount: records.length - kept.length, recordCount: records.length }) };
  }

  /** What the head held at start: active, whatever the limit. A record that cannot be read is for the workers to say. */
  resume(tenant: string, bytes: Uint8Array): void {
    let series: readonly number[];
    try {
      series = recordSeries(bytes);
    } catch (thrown) {
      if (thrown instanceof CorruptionError) return;
      throw thrown;
    }
    this.#touch(this.#of(tenant), series, this.#nowSeconds(), false);
  }

  #of(tenant: string): TenantSeries {
    let own = this.#tenants.get(tenant);
    if (own === undefined) this.#tenants.set(tenant, (own = { active: new Map(), unattributedCount: 0, labelSets: new Map(), arriving: new Map() }));
    return own;
  }

  /** False at the bound: its series stay unattributed. */
  #learn({ labelSets, arriving }: TenantSeries, labelSet: number, nowSeconds: number): boolean {
    if (!labelSets.has(labelSet)) {
      if (this.#labelSetCount >= this.#seriesCountMax) return false;
      this.#labelSetCount++;
      arriving.delete(labelSet);
    }
    labelSets.set(labelSet, nowSeconds);
    return true;
  }

  #touch(own: TenantSeries, series: readonly number[], nowSeconds: number, isAttributed: boolean): void {
    for (const one of series) {
      const before = own.active.get(one);
      if (before === undefined) {
        if (this.#count >= this.#seriesCountMax) continue;
        this.#count++;
        this.#created.add({});
      }
      const wasUnattributed = before !== undefined && before < 0;
      own.unattributedCount += Number(!isAttributed) - Number(wasUnattributed);
      own.active.set(one, isAttributed ? nowSeconds : ~nowSeconds);
    }
  }

  #sweepWhenDue(nowSeconds: number): void {
    if (nowSeconds - this.#sweptAtSeconds < SWEEP_SECONDS) return;
    this.#sweptAtSeconds = nowSeconds;
    let removedCount = 0;
    let labelSetCount = 0;
    for (const [tenant, own] of this.#tenants) {
      for (const [series, last] of own.active) {
        if (removedCount >= this.#sweepCountMax) break;
        if (nowSeconds - (last < 0 ? ~last : last) <= IDLE_SECONDS) continue;
        own.active.delete(series);
        if (last < 0) own.unattributedCount--;
        removedCount++;
      }
      // After the series: none of them outlives its label set.
      for (const [labelSet, lastSeconds] of own.labelSets) {
        if (removedCount + labelSetCount >= this.#sweepCountMax) break;
        if (nowSeconds - lastSeconds <= IDLE_SECONDS) continue;
        own.labelSets.delete(labelSet);
        labelSetCount++;
      }
      if (own.active.size === 0 && own.labelSets.size === 0 && own.arriving.size === 0) this.#tenants.delete(tenant);
    }
    this.#labelSetCount -= labelSetCount;
    if (removedCount + labelSetCount >= this.#sweepCountMax) this.#sweptAtSeconds = nowSeconds - SWEEP_SECONDS + 1;
    if (removedCount === 0) return;
    this.#count -= removedCount;
    this.#removed.add({ reason: "idle" }, removedCount);
  }

  #linesByTenant(linesMax: number): Map<string, number> {
    const counts = [...this.#tenants].flatMap(([tenant, { active }]): [string, number][] => (active.size === 0 ? [] : [[tenant, active.size]]));
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

const NOTHING_NEW: Announced = { refusal: undefined, isNew: () => false, end: () => {} };

interface TenantSeries {
  /** Second of the last push; of a series that is not attributed its complement, which is negative and as small. */
  readonly active: Map<number, number>;
  unattributedCount: number;
  readonly labelSets: Map<number, number>;
  /** New label sets of pushes that are being worked on, with the number of those pushes. */
  readonly arriving: Map<number, number>;
}

function countNew(series: readonly number[], active: ReadonlyMap<number, number>): number {
  let count = 0;
  for (const one of series) if (!active.has(one)) count++;
  return count;
}
