/** Faults of the members of a cluster, and of the network between them. Each ends by itself. */
import type { ClusterFault } from "../world/faults.ts";
import type { Machine } from "../world/machine.ts";
import { SKEW_MS_MAX } from "../world/skew.ts";
import type { World } from "../world/world.ts";
import { runComposedFault } from "./composed-fault.ts";
import { askToLeave } from "./leave-request.ts";
import { cutFor } from "./ways.ts";

/** An operator restarts the next node when the last one is there again, or after a while. */
const READY_WITHIN_MS = 20_000;

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
    case "members are upgraded":
      for (const one of machines) {
        await one.upgrade();
        await one.ready(READY_WITHIN_MS);
      }
      break;
    case "all nodes are restarted":
      for (const one of machines) {
        await one.restart();
        await one.ready(READY_WITHIN_MS);
      }
      break;
    case "a program starts anew":
      world.programs?.restart(chance);
      break;
    case "a member that scrapes is cut off": {
      const scraper = lastScraper(world) ?? machine;
      const rest = machines.filter((one) => one !== scraper);
      await Promise.all([waysOff([scraper], rest), waysOff(rest, [scraper])]);
      break;
    }
    case "a member that scrapes is paused":
      await (lastScraper(world) ?? machine).pause(lengthMs, { isClockStopped: false });
      break;
    case "the machine of a member that scrapes is suspended":
      await (lastScraper(world) ?? machine).pause(lengthMs, { isClockStopped: true });
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
      break;
    default:
      await runComposedFault(world, fault, { machine, other, lengthMs }, chance);
  }
}

/** The member that scraped last. Undefined: none has, or it is gone. */
function lastScraper({ machines, programs }: World): Machine | undefined {
  return machines.find(({ host }) => host === programs?.lastAskerHost);
}
