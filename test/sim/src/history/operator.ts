/** What happens to the node from outside: `POST /flush` at random times, and the faults of the whole node. */
import { parseObjectKey } from "@pyromesh/block";
import type { ScheduledFault } from "../world/faults.ts";
import { runClusterFault } from "./cluster-operator.ts";
import { checkBounds } from "../check/check-bounds.ts";
import { checkOthersGoOn } from "../check/check-others-go-on.ts";
import { at } from "../world/machine.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";

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
  const { bucket, faults, scheduler } = world;
  await scheduler.wait(atMs);
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
  // A store that finds another object under its own key takes a new id, and its former one is lost.
  if (fault === "bucket mixes up two objects" && isCluster && world.isFewer) return;
  const keys: string[] = [];
  for await (const page of bucket.contents.list("v1/", {}, new AbortController().signal)) keys.push(...page.map(({ key }) => key).filter((key) => key.endsWith(".seg")));
  if (isCluster && fault === "bucket hides an object") keys.splice(0, keys.length, ...missedByAll(keys));
  if (keys.length === 0) return;
  const own = chance.stream(`${fault} ${scheduler.nowMs}`);
  const key = own.pick(keys);
  const other = own.pick(keys);
  if (fault === "bucket hides an object") bucket.hidden.add(key);
  else if (key !== other) bucket.mixedUp.set(key, other);
  await scheduler.wait(lengthMs);
  bucket.hidden.delete(key);
  bucket.mixedUp.delete(key);
}

/** Segments that another one of the same store follows, so that every member sees a hole. That the last one was there only its own store knows, which may be down. */
function missedByAll(keys: readonly string[]): string[] {
  const last = new Map<string, number>();
  const named = keys.flatMap((key) => {
    const meta = parseObjectKey(key);
    return meta?.kind === "segment" ? [{ key, ordinal: meta.ordinal, of: `${meta.storeId}/${meta.windowStartMs}/${meta.tenant}` }] : [];
  });
  for (const { of, ordinal } of named) last.set(of, Math.max(ordinal, last.get(of) ?? 0));
  return named.filter(({ of, ordinal }) => ordinal < last.get(of)!).map(({ key }) => key); // each is in the map
}
