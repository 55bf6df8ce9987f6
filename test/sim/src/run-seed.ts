/** Runs one seed: a history with faults, the end of the faults, and the checks that must hold afterwards. */
import { waitUntilFormed } from "./check/check-cluster.ts";
import { watchBounds } from "./check/check-bounds.ts";
import { checkAdHoc } from "./check/check-adhoc.ts";
import { watchPrograms } from "./check/check-programs.ts";
import { checkHealed } from "./check/check-healed.ts";
import { runAdHocClients } from "./history/adhoc-client.ts";
import { runOperator } from "./history/operator.ts";
import { runPusher } from "./history/pusher.ts";
import { runQuerier } from "./history/querier.ts";
import { onEscape } from "./world/no-escape.ts";
import { World } from "./world/world.ts";

export interface SeedOptions {
  readonly seed: number;
  readonly lengthMs: number;
  /** 1: a node without a cluster. */
  readonly nodeCount: number;
  readonly print?: ((line: string) => void) | undefined;
}

export interface SeedReport {
  readonly seed: number;
  readonly acks: number;
  readonly checked: number;
  readonly flushes: number;
  readonly faultKinds: readonly string[];
  readonly events: number;
  readonly cpuMs: number;
  /** Hash of all events in order: two runs of a seed must have the same. */
  readonly digest: string;
  readonly failure: SeedFailure | undefined;
}

export interface SeedFailure {
  readonly checker: string;
  readonly message: string;
  readonly faults: string;
  readonly tail: readonly string[];
}

export async function runSeed(options: SeedOptions): Promise<SeedReport> {
  const begin = process.cpuUsage();
  const world = new World(options);
  onEscape((error) => world.fail(error));
  let failure: SeedFailure | undefined;
  try {
    await world.run(history(world));
  } catch (error) {
    const { checker = "simulator", message, stack } = error as { checker?: string; message: string; stack?: string };
    failure = { checker, message: checker === "simulator" ? (stack ?? message) : message, faults: world.faults.describe(), tail: world.journal.tail() };
  }
  const { system, user } = process.cpuUsage(begin);
  return {
    seed: options.seed,
    ...world.counts,
    faultKinds: [...world.faults.counts.keys()],
    events: world.scheduler.eventCount,
    cpuMs: (system + user) / 1000,
    digest: world.journal.digest(),
    failure,
  };
}

async function history(world: World): Promise<void> {
  const { settings } = world;
  for (const machine of world.machines) machine.start();
  if (world.isCluster) await waitUntilFormed(world);
  const clients = [
    ...Array.from({ length: settings.pusherCount }, (_, at) => runPusher(world, `pusher ${at}`)),
    ...Array.from({ length: settings.querierCount }, (_, at) => runQuerier(world, `querier ${at}`)),
    runAdHocClients(world),
    runOperator(world),
    watchBounds(world),
    watchPrograms(world),
  ];
  await Promise.all(clients);
  await checkHealed(world);
  await checkAdHoc(world);
}
