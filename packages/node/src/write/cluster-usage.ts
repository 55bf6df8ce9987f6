/**
 * A tenant's limits on rate and series hold for all nodes together (design 11). Each node measures what it takes, hears every INTERVAL_MS what the
 * others took, and allows the rest:
 *
 *   rate      the limit less what the others take; never less than the limit / members, so that all have their part where all want more than there is
 *   series    the limit and a tenth of it, less the series that only others have. The tenth lets active series move from one node to another
 *
 * The error, beside that tenth: what others begin within some INTERVAL_MS is not known yet, so a tenant that begins at once on n nodes may push n times its rate
 * for that long. Series are counted by samples of 256 (6 %), and not at all of a node where the tenant has more than 50,000.
 *
 * Bounded: MEMBERS_ASKED_MAX members are asked at a time, in turns; of each the last answer is kept, for three turns.
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Logger, TenantId, Timer } from "@pyromesh/base";
import type { RateLimits } from "@pyromesh/api";
import type { Cluster } from "../cluster/ports.ts";
import { decodeUsage, encodeUsage, SAMPLE_COUNT_MAX, unionCount, USAGE_TENANTS_MAX } from "../cluster/usage-message.ts";
import type { SeriesSample, TenantUsage } from "../cluster/usage-message.ts";

const INTERVAL_MS = 5_000;
const TIMEOUT_MS = 2_000;
const MEMBERS_ASKED_MAX = 20;
/** Of the last interval in the mean: a burst counts half, and half of that five seconds later. */
const NEWEST_WEIGHT = 0.5;
/** Below it a tenant is idle, and leaves. */
const RATE_MIN = 1;

export interface ClusterUsageModules {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The active series of this node. */
  readonly series: {
    readonly tenants: Iterable<string>;
    sampleOf(tenant: string, countMax: number): SeriesSample;
  };
}

/** What a member said last. */
interface Heard {
  readonly usages: ReadonlyMap<string, TenantUsage>;
  readonly atMs: number;
}

export class ClusterUsage {
  readonly #modules: ClusterUsageModules;
  /** Bytes since the last interval ended. */
  readonly #taken = new Map<string, number>();
  readonly #rates = new Map<string, number>();
  readonly #heard = new Map<string, Heard>();
  /** By tenant: what the others take, and the series that only they have. */
  #others: ReadonlyMap<string, { readonly bytesPerSecond: number; readonly seriesCount: number }> = new Map();
  #own: readonly TenantUsage[] = [];
  #cluster: Cluster | undefined;
  #askedCount = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(modules: ClusterUsageModules) {
    this.#modules = modules;
  }

  /** Until then, and while it is its only member, the node has the limits for itself. */
  start(cluster: Cluster): void {
    this.#cluster = cluster;
    cluster.peers.handle("usage", async () => encodeUsage(this.#own));
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Bytes of the tenant's profiles that passed the rate limit here. */
  noteTaken(tenant: TenantId, sizeBytes: number): void {
    if (this.#memberCount > 1) this.#taken.set(tenant, (this.#taken.get(tenant) ?? 0) + sizeBytes);
  }

  rateLimitsOf<T extends RateLimits>(tenant: TenantId, limits: T): RateLimits {
    const others = this.#others.get(tenant);
    const { ingestionRateBytesPerSecond: rate, ingestionBurstBytes } = limits;
    if (others === undefined || rate <= 0) return limits;
    return { ingestionRateBytesPerSecond: Math.max(rate - others.bytesPerSecond, rate / this.#memberCount), ingestionBurstBytes };
  }

  /** Active series of the tenant that only other members have. */
  seriesElsewhere(tenant: string): number {
    return this.#others.get(tenant)?.seriesCount ?? 0;
  }

  get #memberCount(): number {
    return this.#cluster?.view.members.length ?? 1;
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#timer = this.#modules.clock.after(INTERVAL_MS, () => {
      void this.#turn().finally(() => this.#schedule());
    });
  }

  async #turn(): Promise<void> {
    if (this.#memberCount === 1) {
      this.#others = new Map();
      return;
    }
    this.#measure();
    await this.#askSome();
    this.#conclude();
  }

  #measure(): void {
    for (const tenant of new Set([...this.#rates.keys(), ...this.#taken.keys()])) {
      const lately = ((this.#taken.get(tenant) ?? 0) * 1000) / INTERVAL_MS;
      const rate = (this.#rates.get(tenant) ?? 0) * (1 - NEWEST_WEIGHT) + lately * NEWEST_WEIGHT;
      if (rate < RATE_MIN) this.#rates.delete(tenant);
      else this.#rates.set(tenant, rate);
    }
    this.#taken.clear();
    const { series } = this.#modules;
    const tenants = [...new Set([...this.#rates.keys(), ...series.tenants])];
    const rateOf = (tenant: string): number => this.#rates.get(tenant) ?? 0;
    tenants.sort((a, b) => rateOf(b) - rateOf(a));
    this.#own = tenants.slice(0, USAGE_TENANTS_MAX).map((tenant) => ({ tenant, bytesPerSecond: rateOf(tenant), series: series.sampleOf(tenant, SAMPLE_COUNT_MAX) }));
  }

  async #askSome(): Promise<void> {
    const { clock, logger } = this.#modules;
    const { peers, view } = this.#cluster!; // `#turn` made sure that there is one
    const others = view.members.filter(({ name, state }) => name !== view.self.name && state !== "dead");
    const asked = Array.from({ length: Math.min(MEMBERS_ASKED_MAX, others.length) }, (_, index) => others[(this.#askedCount + index) % others.length]!);
    this.#askedCount += asked.length;
    await Promise.all(
      asked.map(async ({ name }) => {
        try {
          const usages = decodeUsage(await peers.request(name, "usage", NO_BYTES, { timeoutMs: TIMEOUT_MS }));
          this.#heard.set(name, { usages: new Map(usages.map((usage) => [usage.tenant, usage])), atMs: clock.monotonicMs() });
        } catch (error) {
          logger.debug("a member did not say what it takes; its last answer counts for a while", { peer: name, reason: messageOf(error) });
        }
      }),
    );
    const ageMaxMs = 3 * INTERVAL_MS * Math.ceil(Math.max(1, others.length) / MEMBERS_ASKED_MAX);
    const names = new Set(others.map(({ name }) => name));
    for (const [name, { atMs }] of this.#heard) if (!names.has(name) || clock.monotonicMs() - atMs > ageMaxMs) this.#heard.delete(name);
  }

  #conclude(): void {
    const others = new Map<string, { bytesPerSecond: number; samples: SeriesSample[] }>();
    for (const { usages } of this.#heard.values()) {
      for (const { tenant, bytesPerSecond, series } of usages.values()) {
        let known = others.get(tenant);
        if (known === undefined) others.set(tenant, (known = { bytesPerSecond: 0, samples: [] }));
        known.bytesPerSecond += bytesPerSecond;
        known.samples.push(series);
      }
    }
    const ownOf = new Map(this.#own.map(({ tenant, series }) => [tenant, series]));
    this.#others = new Map(
      [...others].map(([tenant, { bytesPerSecond, samples }]) => {
        const own = ownOf.get(tenant) ?? NO_SERIES;
        return [tenant, { bytesPerSecond, seriesCount: Math.max(0, unionCount([own, ...samples]) - own.count) }];
      }),
    );
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_SERIES: SeriesSample = { count: 0, shift: 0, numbers: [] };
