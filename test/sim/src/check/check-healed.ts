/**
 * Ends the faults and checks that the node recovers: within bounded virtual time it is ready, accepts pushes, brings everything to the bucket and
 * keeps nothing locally. Then every acked part is there once, in some histories after another start as well.
 */
import { drawPush, sendUntilAnswered } from "../history/pusher.ts";
import { ask } from "../history/querier.ts";
import type { QuestionKind } from "../history/querier.ts";
import { askToLeave } from "../history/leave-request.ts";
import { flush } from "../history/operator.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { Chance } from "../world/chance.ts";
import type { Machine } from "../world/machine.ts";
import type { World } from "../world/world.ts";
import { areActive, checkCopies, checkMembers, checkReceipts } from "./check-cluster.ts";
import { checkBucket } from "./check-bucket.ts";
import { checkIdle } from "./check-bounds.ts";
import { checkPrograms, endScraping } from "./check-programs.ts";
import { Violation } from "./violation.ts";

const READY_WITHIN_MS = 60_000;
const PUSHED_WITHIN_MS = 30_000;
const FLUSHED_WITHIN_MS = 120_000;
/** A build or a query that was running when two threads died is refused for ten minutes (compute/deadly-calls.ts). */
const DEADLY_CALL_MS = 620_000;
/** The share of histories that end with another start: a start is a twentieth of a history's work, and most histories have several. */
const RESTART_SHARE = 1 / 3;
const HOUR_MS = 3_600_000;

export async function checkHealed(world: World): Promise<void> {
  const { bucket, faults, journal, machines, peers, scheduler, settings } = world;
  faults.heal();
  for (const { disk } of machines) {
    disk.isFull = false;
    disk.isSealedFolderShut = false;
  }
  peers.healAll();
  bucket.availability = "up";
  bucket.unreachableFrom.clear();
  bucket.moreMsMax = 0;
  bucket.hidden.clear();
  bucket.mixedUp.clear();
  bucket.forbiddenPrefix = undefined;
  journal.note("world", "heals");
  const chance = world.chance.stream("healed");
  const flushedWithinMs = FLUSHED_WITHIN_MS + deadlyCallMs(world);

  // One of an earlier build that has left, or was forgotten, is refused once the others write what it cannot read.
  for (const machine of machines) await machine.upgrade();
  await until(world, flushedWithinMs, "rid of those that leave", async () => {
    for (const machine of world.leaving) await askToLeave(world, machine);
    return world.leaving.size === 0;
  });
  await until(world, READY_WITHIN_MS, "ready", () => areReady(world));
  // Who comes back brings records that fewer stores hold than an ack needs: they are in the answers from then on, so the flush must take them as well.
  if (world.isCluster) await until(world, READY_WITHIN_MS, "a cluster in which every member is active", () => areActive(world));
  for (const tenant of settings.tenants) {
    let isAcked = false;
    for (let i = 0; !isAcked && i < 20; i++) {
      const push = drawPush(world, chance, `healed/${tenant}/${i}`);
      const sending = sendUntilAnswered(world, chance, push);
      isAcked = await Promise.race([sending, scheduler.wait(PUSHED_WITHIN_MS).then(() => false)]);
      if (!isAcked) throw new Violation("progress", `no push was acked within ${PUSHED_WITHIN_MS} ms of the end of the faults`);
    }
  }
  const scraped = await endScraping(world);
  await until(world, flushedWithinMs, "flushed", () => flush(world));
  await until(world, flushedWithinMs, "free of sealed files", () => Promise.resolve(!world.hasSealed));
  // The answers from here on say what the bucket must hold.
  if (world.isCluster) for (const fate of world.ledger.fates.values()) fate.forgetSeen();
  await askAll(world, chance, "after the flush");
  const stored = await checkPrograms(world, scraped, "after the flush");
  await checkIdle(world);
  await checkBucket(world);
  if (world.isCluster) {
    await until(world, READY_WITHIN_MS, "a cluster in which every member is active and no loss is left", () => checkMembers(world));
    await checkCopies(world);
  }
  if (!chance.isTrue(RESTART_SHARE)) return;
  await chance.pick(machines).restart();
  await until(world, READY_WITHIN_MS, "ready again", () => areReady(world));
  await askAll(world, chance, "after a start");
  if ((await checkPrograms(world, scraped, "after a start")) !== stored) throw new Violation("acked-is-kept", "what is counted of programs is not what it was before the start");
}

/** Queries everything of every tenant as stacks, which shows how often each part is counted, and of one tenant in a way that shows only sums or names. */
async function askAll(world: World, chance: Chance, when: string): Promise<void> {
  const { epochMs, tenants } = world.settings;
  const withinMs = READY_WITHIN_MS + deadlyCallMs(world);
  const askFor = async (kind: QuestionKind, tenant: string): Promise<void> => {
    // Text has only samples of the second type.
    const asked = { tenant, type: 1, startMs: epochMs - 2 * HOUR_MS - 1, endMs: Math.floor(world.wallMs) + 2 * HOUR_MS, service: undefined, pod: undefined };
    await until(world, withinMs, `answering for ${kind}`, () => ask(world, `${when}:`, { kind, asked, allowPartial: false }));
  };
  // What these answers count is what the bucket must hold, so first no node may lack what another one counts.
  if (world.isCluster) for (const tenant of tenants) await checkReceipts(world, tenant, when);
  for (const tenant of tenants) await askFor(chance.pick(["flame graph", "pprof"]), tenant);
  await askFor(chance.pick(["series", "labels"]), chance.pick(tenants));
}

/** How much longer a flush or an answer may take because its call was running when threads died. */
export function deadlyCallMs({ faults }: World): number {
  return faults.threadDeathCount > 1 ? DEADLY_CALL_MS : 0;
}

export async function areReady(world: World): Promise<boolean> {
  for (const machine of world.machines) if (!(await isReady(machine))) return false;
  return true;
}

async function isReady({ network }: Machine): Promise<boolean> {
  try {
    const { status } = await network.request({ method: "GET", path: "/ready", headers: {}, body: new Uint8Array(0) }, { timeoutMs: 5_000 });
    return status === 200;
  } catch (error) {
    if (error instanceof NoAnswer) return false;
    throw error;
  }
}

export async function until(world: World, withinMs: number, what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const { scheduler } = world;
  const endMs = scheduler.nowMs + withinMs;
  while (!(await isTrue())) {
    if (scheduler.nowMs > endMs) throw new Violation("progress", `the node is not ${what} ${withinMs} ms after the end of the faults`);
    await scheduler.wait(500);
  }
}
