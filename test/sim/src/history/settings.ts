/** The settings that a seed draws for the node and its clients. Intervals are short, so that one minute has many flushes, pushes and queries. */
import type { Chance } from "../world/chance.ts";

export interface Settings {
  readonly tenants: readonly string[];
  readonly services: readonly string[];
  /** The wall clock's time at the beginning: some time before an hour ends, since segments hold records of one hour. */
  readonly epochMs: number;
  readonly flushIntervalMs: number;
  readonly flushSizeBytes: number;
  readonly diskBudgetBytes: number;
  readonly workerCount: number;
  /** LISTs and tries of uploads are this many times as frequent as in a real node. */
  readonly bucketSpeed: number;
  readonly pusherCount: number;
  readonly querierCount: number;
  /** The mean pause between two pushes of one client. */
  readonly pushPauseMs: number;
  readonly queryPauseMs: number;
  /** The mean pause between two `POST /flush`. Infinity: none is sent. */
  readonly flushPauseMs: number;
}

const HOUR_MS = 3_600_000;
const BEGIN_MS = Date.UTC(2026, 0, 5, 10);

export function drawSettings(chance: Chance, lengthMs: number): Settings {
  return {
    tenants: ["ant", "bee", "cat"].slice(0, chance.pick([1, 1, 1, 2, 2, 3])),
    services: ["api", "web", "api-batch"].slice(0, chance.pick([1, 1, 1, 2, 3])),
    // In most histories an hour ends.
    epochMs: BEGIN_MS + HOUR_MS - (chance.isTrue(0.7) ? chance.int(0, Math.min(lengthMs, HOUR_MS)) : chance.int(0, HOUR_MS)),
    // Some are so short that a fault of half a minute spans more flushes than cuts may wait.
    flushIntervalMs: Math.round(chance.isTrue(0.25) ? chance.between(3_000, 6_000) : chance.between(6_000, 36_000)),
    flushSizeBytes: chance.isTrue(0.3) ? chance.int(2_000, 20_000) : 64 * 2 ** 20,
    diskBudgetBytes: chance.isTrue(0.15) ? chance.int(8, 16) * 2 ** 20 : 2 ** 30,
    workerCount: chance.pick([1, 1, 1, 2]),
    bucketSpeed: chance.between(3, 12),
    pusherCount: chance.int(2, 3),
    querierCount: chance.int(1, 2),
    pushPauseMs: chance.between(1_600, 3_600),
    queryPauseMs: chance.between(3_000, 9_000),
    flushPauseMs: chance.isTrue(0.85) ? chance.between(10_000, 30_000) : Infinity,
  };
}
