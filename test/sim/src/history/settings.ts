/** What a seed draws of the node and of its clients, besides the faults: intervals small enough that a minute has many of each. */
import type { Chance } from "../world/chance.ts";

export interface Settings {
  readonly tenants: readonly string[];
  readonly services: readonly string[];
  /** What the wall clock shows at the beginning: a while before an hour ends. */
  readonly epochMs: number;
  readonly flushIntervalMs: number;
  readonly flushSizeBytes: number;
  readonly diskBudgetBytes: number;
  readonly workerCount: number;
  /** LISTs and tries of an upload come so many times as often. */
  readonly bucketSpeed: number;
  readonly pusherCount: number;
  readonly querierCount: number;
  /** Between two pushes of one client, on average. */
  readonly pushPauseMs: number;
  readonly queryPauseMs: number;
  /** Between two `POST /flush`; infinite: none. */
  readonly flushPauseMs: number;
}

const HOUR_MS = 3_600_000;
const BEGIN_MS = Date.UTC(2026, 0, 5, 10);

export function drawSettings(chance: Chance, lengthMs: number): Settings {
  const isRare = (probability: number): boolean => chance.isTrue(probability);
  return {
    tenants: ["ant", "bee", "cat"].slice(0, chance.pick([1, 1, 2, 2, 3])),
    services: ["api", "web", "api-batch"].slice(0, chance.pick([1, 1, 2, 3])),
    // Mostly the hour ends within the history.
    epochMs: BEGIN_MS + HOUR_MS - (isRare(0.7) ? chance.int(0, Math.min(lengthMs, HOUR_MS)) : chance.int(0, HOUR_MS)),
    flushIntervalMs: Math.round(chance.between(4_000, 30_000)),
    flushSizeBytes: isRare(0.3) ? chance.int(2_000, 20_000) : 64 * 2 ** 20,
    diskBudgetBytes: isRare(0.15) ? chance.int(8, 16) * 2 ** 20 : 2 ** 30,
    workerCount: chance.pick([1, 1, 2]),
    bucketSpeed: chance.between(4, 15),
    pusherCount: chance.int(2, 3),
    querierCount: chance.int(1, 2),
    pushPauseMs: chance.between(1_600, 3_600),
    queryPauseMs: chance.between(3_000, 9_000),
    flushPauseMs: isRare(0.85) ? chance.between(8_000, 25_000) : Infinity,
  };
}
