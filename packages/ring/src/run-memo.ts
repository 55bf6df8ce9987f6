/**
 * What a ring remembers of lookups: the run of each dataset and the shard of each tenant. Both cost SHA-256 and a walk, some 10 us; what is
 * remembered costs two look-ups in a map.
 *
 * Bounded: beyond RUNS_MAX datasets or SHARDS_MAX tenants all are forgotten at once, and are found again when they are next asked for.
 */
import type { RingMember } from "./ring-member.ts";

const RUNS_MAX = 16_384;
const SHARDS_MAX = 4096;

export interface RunOptions {
  /** How many stores a record names at most. At least 1. */
  readonly replication: number;
  /** Over how many members a dataset's series are spread. Fewer than `replication` means `replication`. */
  readonly spread: number;
  /** How many members a tenant's records are kept to. 0: all. Fewer than `replication` means `replication`. */
  readonly shardSize: number;
}

/** The members among which the series of a dataset are placed, by index, in the order in which the ring has them. */
export interface Run extends RunOptions {
  readonly indices: readonly number[];
  /** Of each: what the hash of a series is mixed with. Two words a member. */
  readonly seeds: Uint32Array;
  /** Of each: its score for the series that was looked up last. */
  readonly scores: Float64Array;
  /** The places in `indices` of the replica set that was looked up last, by rank. */
  readonly ranked: Uint32Array;
  /** Whether the members' zones differ. */
  readonly isZoned: boolean;
  /** The replica sets that were asked for, by their members' places in the run, so that equal ones are one object. */
  readonly sets: Map<number, readonly RingMember[]>;
}

export class RunMemo {
  readonly #runs = new Map<string, Map<string, Run>>();
  readonly #shards = new Map<string, { readonly size: number; readonly shard: Uint8Array }>();
  #runCount = 0;

  run(tenant: string, service: string, options: RunOptions): Run | undefined {
    const run = this.#runs.get(tenant)?.get(service);
    if (run === undefined || run.replication !== options.replication || run.spread !== options.spread || run.shardSize !== options.shardSize) return undefined;
    return run;
  }

  keepRun(tenant: string, service: string, run: Run): void {
    if (this.#runCount >= RUNS_MAX) {
      this.#runs.clear();
      this.#runCount = 0;
    }
    let services = this.#runs.get(tenant);
    if (services === undefined) this.#runs.set(tenant, (services = new Map()));
    if (!services.has(service)) this.#runCount++;
    services.set(service, run);
  }

  shard(tenant: string, size: number): Uint8Array | undefined {
    const kept = this.#shards.get(tenant);
    return kept?.size === size ? kept.shard : undefined;
  }

  keepShard(tenant: string, size: number, shard: Uint8Array): void {
    if (this.#shards.size >= SHARDS_MAX) this.#shards.clear();
    this.#shards.set(tenant, { size, shard });
  }
}
