/** What happens to the node from outside: `POST /flush` at random times, and the faults of the whole node. */
import { parseObjectKey } from "@pyromesh/block";
import type { ScheduledFault, TimedFault } from "../world/faults.ts";
import { runClusterFault } from "./cluster-operator.ts";
import { checkBounds } from "../check/check-bounds.ts";
import { checkOthersGoOn } from "../check/check-others-go-on.ts";
import { at } from "../world/machine.ts";
import { LEAP_MS_MAX, LEAP_MS_MIN } from "../world/skew.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { Chance } from "../world/chance.ts";
import { ask, drawQuestion } from "./querier.ts";
import { segmentKeys } from "./segment-keys.ts";
import type { World } from "../world/world.ts";

/** The longest that a call of the bucket takes, timeout included. */
const CALL_MS_MAX = 15_000;

export async function runOperator(world: World): Promise<void> {
  await Promise.all([flushAtTimes(world), ...world.faults.scheduled.map((scheduled) => runFault(world, scheduled))]);
}

async function flushAtTimes(world: World): Promise<void> {
  const { scheduler, settings } = world;
  const chance = world.chance.stream("operator");
  if (settings.flushPauseMs === Infinity) return;
  while (!world.isEnding) {
    await scheduler.wait(chance.between(0, 2 * settings.flushPauseMs));
    if (!world.isEnding) await flush(world);
  }
}

/** Returns true when everything that was accepted before is in the bucket. */
export async function flush(world: World): Promise<boolean> {
  const { journal } = world;
  const machine = world.nextMachine();
  try {
    const reply = await machine.network.request({ method: "POST", path: "/flush", headers: {}, body: new Uint8Array(0) }, { timeoutMs: 60_000 });
    journal.note("operator", `flush${at(machine)}: ${reply.status} ${reply.body.slice(0, 200)}`);
    if (reply.status === 200) world.noteFlushed();
    return reply.status === 200;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    journal.note("operator", `flush${at(machine)}: ${error.message}`);
    return false;
  }
}

/** Starts the fault at its time and ends it, if it lasts. */
async function runFault(world: World, { fault, atMs, lengthMs }: ScheduledFault): Promise<void> {
  const { faultTurns, scheduler } = world;
  await scheduler.wait(atMs);
  const run = (): Promise<void> => runNow(world, { fault, atMs, lengthMs });
  if (RUNS_ALONE.has(fault)) await faultTurns.alone(run);
  else if (world.isCluster && !/^(bucket|disk|sealed folder) /.test(fault)) await faultTurns.beside(run);
  else await run();
}

/** With another member down, or not heard of, what it shows is known and no mistake (decision 0023). */
const RUNS_ALONE: ReadonlySet<TimedFault> = new Set(["a disk is put back, and then another copy is silent"]);

async function runNow(world: World, { fault, atMs, lengthMs }: ScheduledFault): Promise<void> {
  const { bucket, faults, scheduler } = world;
  faults.came(fault);
  const machine = world.isCluster ? world.chance.stream(`${fault} ${atMs}`).pick(world.machines) : world.machines[0]!;
  switch (fault) {
    case "disk is full": {
      const { disk } = machine;
      disk.isFull = true;
      await scheduler.wait(lengthMs);
      disk.isFull = false;
      break;
    }
    case "sealed folder takes no file": {
      const { disk } = machine;
      disk.isSealedFolderShut = true;
      await scheduler.wait(lengthMs);
      await checkBounds(world);
      disk.isSealedFolderShut = false;
      break;
    }
    case "bucket is away":
    case "bucket answers 503":
      bucket.availability = fault === "bucket is away" ? "unreachable" : "503";
      await scheduler.wait(lengthMs);
      bucket.availability = "up";
      break;
    case "bucket hides an object":
    case "bucket mixes up two objects":
      await spoilObject(world, fault, lengthMs);
      break;
    case "bucket forbids a tenant":
      bucket.forbiddenPrefix = `v1/${world.settings.tenants[0]!}/`;
      await checkOthersGoOn(world, bucket.forbiddenPrefix, scheduler.nowMs + lengthMs);
      bucket.forbiddenPrefix = undefined;
      break;
    case "wall clock leaps": {
      if (world.isLeaping) break;
      world.isLeaping = true;
      const own = world.chance.stream(`${fault} ${atMs}`);
      await machine.leap(Math.round(own.between(LEAP_MS_MIN, LEAP_MS_MAX)) * (own.isTrue(0.7) ? 1 : -1), lengthMs);
      world.isLeaping = false;
      break;
    }
    case "node is killed":
      machine.crash("kill");
      break;
    case "power fails":
      machine.crash("power");
      break;
    case "node is restarted":
      await machine.restart();
      break;
    default:
      await runClusterFault(world, fault, machine, lengthMs);
  }
}

/** Takes one of the bucket's segments, which the seed draws, and makes it vanish or have the bytes of another one for `lengthMs`. */
async function spoilObject(world: World, fault: "bucket hides an object" | "bucket mixes up two objects", lengthMs: number): Promise<void> {
  const { bucket, chance, isCluster, scheduler } = world;
  const keys = await segmentKeys(world);
  if (world.beganEarlier && fault === "bucket hides an object") keys.splice(0, keys.length, ...missedByAll(keys));
  if (keys.length === 0) return;
  // A store of a cluster that finds another object under the key of one of its own takes a new id, and is lost under the former one.
  const isLoss = isCluster && fault === "bucket mixes up two objects";
  if (isLoss && world.isFewer) return;
  if (isLoss) world.isFewer = true;
  const own = chance.stream(`${fault} ${scheduler.nowMs}`);
  const key = own.pick(keys);
  const other = own.pick(keys);
  if (fault === "bucket hides an object") bucket.hidden.add(key);
  else if (key !== other) bucket.mixUp(key, other);
  // Of one node the clients ask so seldom that most such objects would never be read meanwhile.
  if (!isCluster) await askUntil(world, own, scheduler.nowMs + lengthMs);
  else await scheduler.wait(lengthMs);
  bucket.hidden.delete(key);
  bucket.mixedUp.delete(key);
  if (!isLoss) return;
  // A call that saw it may still be under way.
  await scheduler.wait(CALL_MS_MAX);
  if (!world.hasNewId) world.isFewer = false;
}

async function askUntil(world: World, chance: Chance, endMs: number): Promise<void> {
  const asking: Promise<boolean>[] = [];
  while (world.scheduler.nowMs < endMs) {
    await world.scheduler.wait(Math.min(chance.between(0, 1_000), endMs - world.scheduler.nowMs));
    const one = ask(world, "operator", drawQuestion(world, chance));
    world.watch(one);
    asking.push(one);
  }
  await Promise.all(asking);
}

/**
 * Segments that another one of the same store follows, so that every member sees a hole. That the last one was there its own store knows, which may be down, and whoever released records
 * into it; but an earlier build does not write that down.
 */
function missedByAll(keys: readonly string[]): string[] {
  const last = new Map<string, number>();
  const named = keys.flatMap((key) => {
    const meta = parseObjectKey(key);
    return meta?.kind === "segment" ? [{ key, ordinal: meta.ordinal, of: `${meta.storeId}/${meta.windowStartMs}/${meta.tenant}` }] : [];
  });
  for (const { of, ordinal } of named) last.set(of, Math.max(ordinal, last.get(of) ?? 0));
  return named.filter(({ of, ordinal }) => ordinal < last.get(of)!).map(({ key }) => key); // each is in the map
}
