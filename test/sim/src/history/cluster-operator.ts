/** Faults of the members of a cluster, and of the network between them. Each ends by itself. */
import { stateOf } from "../check/check-cluster.ts";
import type { Chance } from "../world/chance.ts";
import type { ClusterFault } from "../world/faults.ts";
import { at } from "../world/machine.ts";
import type { Machine } from "../world/machine.ts";
import { NoAnswer } from "../world/sim-network.ts";
import { SKEW_MS_MAX } from "../world/world.ts";
import type { World } from "../world/world.ts";

/** Within the lease, while both are in contact with the others still. */
const TAKEN_BY_TWO_MS_MAX = 5_000;

/** `machine` is the one that the fault happens to. Resolves when it is over. */
export async function runClusterFault(world: World, fault: ClusterFault, machine: Machine, lengthMs: number): Promise<void> {
  const { machines, peers, scheduler } = world;
  const chance = world.chance.stream(`${fault} of ${machine.name} ${scheduler.nowMs}`);
  const others = machines.filter((one) => one !== machine);
  const other = chance.pick(others);
  const waysOff = (from: readonly Machine[], to: readonly Machine[]): Promise<void> => cutFor(world, from.flatMap((a) => to.map((b) => [a.host, b.host] as const)), lengthMs);
  switch (fault) {
    case "two members are cut apart":
      await waysOff([machine, other], [machine, other]);
      break;
    case "one way is cut":
      await waysOff([machine], [other]);
      break;
    case "a member is cut off":
      await Promise.all([waysOff([machine], others), waysOff(others, [machine])]);
      break;
    case "links are reset":
      peers.reset(machine.host, other.host);
      break;
    case "links are lost silently":
      peers.loseSilently(machine.host, other.host);
      break;
    case "links are slow": {
      const moreMs = chance.between(20, 2_000);
      for (const { host } of others) peers.slow(machine.host, host, moreMs);
      await scheduler.wait(lengthMs);
      for (const { host } of others) peers.slow(machine.host, host, 0);
      break;
    }
    case "node is paused":
      await machine.pause(lengthMs, { isClockStopped: false });
      break;
    case "machine is suspended":
      await machine.pause(lengthMs, { isClockStopped: true });
      break;
    case "wall clock jumps": {
      const jumpMs = Math.round(chance.between(-SKEW_MS_MAX / 2, SKEW_MS_MAX / 2));
      machine.time.epochMs += jumpMs;
      await scheduler.wait(lengthMs);
      machine.time.epochMs -= jumpMs;
      break;
    }
    case "disk is replaced":
      if (!world.isFewer) machine.wipe();
      world.isFewer = true;
      break;
    case "a store is lost and the other copies do not answer":
      if (world.isFewer) break;
      world.isFewer = true;
      await loseCopies(world, chance, { lost: machine, keeper: other, lengthMs });
      break;
    case "all others restart while a member is cut off": {
      // It learns of none of the segments into which their records go, and they remember none.
      const restarts = scheduler.wait(lengthMs / 2).then(() => {
        for (const one of others) if (one !== other || chance.isTrue(0.5)) one.crash("kill");
      });
      await Promise.all([cutFor(world, between([machine], others), lengthMs), restarts]);
      break;
    }
    case "members are upgraded":
      for (const one of machines) {
        await one.upgrade();
        await untilReady(world, one);
      }
      break;
    case "all nodes are restarted":
      for (const one of machines) {
        await one.restart();
        await untilReady(world, one);
      }
      break;
    case "a node joins":
      world.addMachine();
      break;
    case "a member leaves":
      if (!world.isFewer) world.leaving.add(machine);
      world.isFewer = true;
      while (!world.isEnding && world.leaving.has(machine)) {
        await askToLeave(world, machine);
        await scheduler.wait(3_000);
      }
  }
}

/**
 * Two stores take what no other one gets. Then the one has an empty disk, and the other one can neither flush nor answer: no query may do without both, whoever answers it.
 */
async function loseCopies(world: World, chance: Chance, { lost, keeper, lengthMs }: { readonly lost: Machine; readonly keeper: Machine; readonly lengthMs: number }): Promise<void> {
  const rest = world.machines.filter((one) => one !== lost && one !== keeper);
  keeper.disk.isSealedFolderShut = true;
  await cutFor(world, between([lost, keeper], rest), Math.min(lengthMs, TAKEN_BY_TWO_MS_MAX));
  lost.wipe();
  if (chance.isTrue(0.3)) await cutFor(world, between([lost, keeper], rest).concat(between([lost], [keeper])), 5_000);
  // The keeper lets the lost one's successor join, and hands nothing on to the others.
  const ways = between([keeper], rest);
  for (const [from, to] of ways) world.peers.cut(from, to);
  await untilReady(world, lost);
  await cutFor(world, ways.concat(between([keeper], [lost])), lengthMs);
  keeper.disk.isSealedFolderShut = false;
}

/** Both directions of each pair. */
function between(some: readonly Machine[], others: readonly Machine[]): readonly (readonly [from: string, to: string])[] {
  return some.flatMap((a) => others.flatMap((b) => [[a.host, b.host] as const, [b.host, a.host] as const]));
}

/** Also a member that leaves and was restarted is asked again. One that may not leave now stays. */
export async function askToLeave({ journal, leaving }: World, machine: Machine): Promise<void> {
  try {
    const { body, status } = await machine.network.request({ method: "POST", path: "/api/v1/cluster/leave", headers: {}, body: new Uint8Array(0) }, { timeoutMs: 5_000 });
    journal.note("operator", `leave${at(machine)}: ${status} ${body.slice(0, 200)}`);
    if (status >= 400 && status < 500 && (await stateOf(machine)) === "active") leaving.delete(machine);
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    journal.note("operator", `leave${at(machine)}: ${error.message}`);
  }
}

async function cutFor({ peers, scheduler }: World, ways: readonly (readonly [from: string, to: string])[], lengthMs: number): Promise<void> {
  for (const [from, to] of ways) if (from !== to) peers.cut(from, to);
  await scheduler.wait(lengthMs);
  for (const [from, to] of ways) peers.heal(from, to);
}

/** As an operator does, who restarts the next node when the last one is there again, or after a while. */
async function untilReady({ scheduler }: World, machine: Machine): Promise<void> {
  const endMs = scheduler.nowMs + 20_000;
  while (!machine.isReady && scheduler.nowMs < endMs) await scheduler.wait(500);
}
