/**
 * Counts the active series of each tenant. A series is active from its first push until ten minutes after its last, as in Pyroscope.
 *
 * What must stay true: a series that is active is never refused, whatever the limit has become; a refusal changes nothing.
 * A push costs one map look-up for each of its series. series-limit.ts (pure) decides what is refused.
 *
 *   tenant --> series (a number of record-series.ts) --> second of its last push
 *          --> label set (a number of label-set-key.ts) --> second of the last push that began or continued a series
 *
 * A push is checked twice. Before it is decoded only its label sets are known: the new ones are announced, each as at least one series, and
 * where the limit has no room for all of them none is worked on. After it was decoded its series are counted exactly (`admit`). Until then
 * the announced label sets reserve their room, so that two pushes at the same time do not use the same room.
 *
 * A series is attributed to a label set once a push with that label set had it. The series that the head held at the start are not attributed: they may
 * belong to any label set.
 *
 * Once a minute the whole map is walked and idle series leave, `SWEEP_COUNT_MAX` at a time so that no push waits long. At `seriesCountMax` of all
 * tenants together a new series is let through without being counted: then limits and figures are too low, but memory stays bounded.
 */
import { OTHER_TENANTS } from "@pyromesh/api";
import { CorruptionError } from "@pyromesh/base";
import type { Clock, Counter, Metrics, TenantId } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { recordSeries } from "@pyromesh/profile";
import type { SeriesSample } from "../cluster/usage-message.ts";
import type { SeriesLimits } from "./series-limit.ts";
import { hasRoom, isAdmitted, labelSetsLimited, seriesCountMax, seriesLimited } from "./series-limit.ts";

/** The same as in Pyroscope. */
const IDLE_SECONDS = 600;
const SWEEP_SECONDS = 60;
/** Idle series that one sweep removes; the others leave a second later. 50,000 take some 25 ms (500,000: 20 ms to walk, 240 ms to remove; Node 20, 2 cores). */
const SWEEP_COUNT_MAX = 50_000;
/** Bounds memory: some 60 bytes each make 30 MB, and as much for label sets. */
const SERIES_COUNT_MAX = 500_000;
const SAMPLED_COUNT_MAX = 50_000;
/** Tenants with a line of their own on the metrics page, those with the most series; the others are added up. */
const TENANT_LINES_MAX = 1_000;

export interface ActiveSeriesOptions {
  readonly seriesCountMax?: number;
  readonly tenantLinesMax?: number;
  readonly sweepCountMax?: number;
  /** Active series of the tenant that only other members of the cluster have. Absent: there are none. */
  readonly elsewhere?: (tenant: string) => number;
}

/** The announced label sets of one push. */
export interface Announced {
  /** Why the new label sets of the push must not be worked on; undefined where they may be. */
  readonly refusal: ReturnType<typeof labelSetsLimited> | undefined;
  /** True while no push with this label set was admitted yet. */
  readonly isNew: (labelSet: number) => boolean;
  /** Gives back the room of the label sets that did not become known. Call it when the push ends, successfully or not. */
  readonly end: () => void;
}

export interface Admitted {
  readonly records: readonly EncodedRecord[];
  /** Why some records were refused; undefined where none was. */
  readonly refusal: ReturnType<typeof seriesLimited> | undefined;
}

export class ActiveSeries {
  readonly #clock: Clock;
  readonly #created: Counter;
  readonly #removed: Counter;
  readonly #seriesCountMax: number;
  readonly #sweepCountMax: number;
  readonly #elsewhere: (tenant: string) => number;
  readonly #tenants = new Map<string, TenantSeries>();
  #count = 0;
  #labelSetCount = 0;
  #sweptAtSeconds = 0;

  constructor(options: ActiveSeriesOptions, modules: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#clock = modules.clock;
    this.#seriesCountMax = options.seriesCountMax ?? SERIES_COUNT_MAX;
    this.#sweepCountMax = options.sweepCountMax ?? SWEEP_COUNT_MAX;
    this.#elsewhere = options.elsewhere ?? (() => 0);
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

  /** Tenants with active series. */
  get tenants(): Iterable<string> {
    return this.#tenants.keys();
  }

  /** How many series of the tenant are active, and those whose number is a multiple of 2^shift: at most `countMax`, and all where there are as few. */
  sampleOf(tenant: string, countMax: number): SeriesSample {
    const active = this.#tenants.get(tenant)?.active;
    if (active === undefined) return { count: 0, shift: 0, numbers: [] };
    // A walk of 50,000 takes some 2 ms; of more there is no sample, and others count without them.
    if (active.size > SAMPLED_COUNT_MAX) return { count: active.size, shift: 0, numbers: [] };
    const shift = Math.max(0, Math.ceil(Math.log2(active.size / countMax)));
    const numbers: number[] = [];
    for (const series of active.keys()) if (series % 2 ** shift === 0 && numbers.length < countMax) numbers.push(series);
    return { count: active.size, shift, numbers };
  }

  /** Call it with the label sets of a push before it is decoded. For a tenant without a limit nothing is announced. */
  announce(tenant: TenantId, labelSets: readonly number[], limits: SeriesLimits): Announced {
    const countMax = seriesCountMax(limits, this.#elsewhere(tenant));
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
          if (pushCount === undefined) continue; // a push with it was admitted meanwhile
          if (pushCount === 1) arriving.delete(one);
          else arriving.set(one, pushCount - 1);
        }
      },
    };
  }

  /**
   * The records of a profile whose series are active or may become so. A record is admitted with all its sample types or not at all. Its series
   * count from here on, also where the head then refuses the record: most refused records are sent again.
   */
  admit(tenant: TenantId, records: readonly EncodedRecord[], limits: SeriesLimits, labelSet?: number): Admitted {
    const nowSeconds = this.#nowSeconds();
    this.#sweepWhenDue(nowSeconds);
    const countMax = seriesCountMax(limits, this.#elsewhere(tenant));
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

  /** Counts a record that the head held at the start: its series are active, whatever the limit. A record that cannot be read is skipped here; the workers report it. */
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

  /** False at the bound on label sets: the series of this one are not attributed then. */
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
      // Label sets leave after the series, so that no attributed series outlives its label set.
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

  /** Seconds, not milliseconds: a small integer, which V8 keeps inside the map instead of in an object of its own. */
  #nowSeconds(): number {
    return Math.floor(this.#clock.monotonicMs() / 1000);
  }
}

const NOTHING_NEW: Announced = { refusal: undefined, isNew: () => false, end: () => {} };

interface TenantSeries {
  /** Second of the last push, by series. For a series that is not attributed, the bitwise complement of it: negative, and a small integer as well. */
  readonly active: Map<number, number>;
  unattributedCount: number;
  readonly labelSets: Map<number, number>;
  /** The announced label sets that are new, each with the number of pushes under way that have it. */
  readonly arriving: Map<number, number>;
}

function countNew(series: readonly number[], active: ReadonlyMap<number, number>): number {
  let count = 0;
  for (const one of series) if (!active.has(one)) count++;
  return count;
}
