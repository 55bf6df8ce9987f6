/** What must hold of a cluster as a whole. */
import { OBJECT_PREFIX, bytesSource, parseObjectKey, readIdentities } from "@pyromesh/block";
import { answerOf } from "../history/querier.ts";
import { at } from "../world/machine.ts";
import type { Machine } from "../world/machine.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";
import { areReady, deadlyCallMs, until } from "./check-healed.ts";
import { Violation } from "./violation.ts";

const FORMED_WITHIN_MS = 30_000;
const RECEIPTS_WITHIN_MS = 60_000;
const HOUR_MS = 3_600_000;

/** Resolves when all nodes that were started at the same moment are one cluster. */
export async function waitUntilFormed(world: World): Promise<void> {
  await until(world, FORMED_WITHIN_MS, "one cluster", async () => (await areReady(world)) && (await checkMembers(world)));
}

interface MembersBody {
  readonly members?: readonly { readonly name?: string; readonly state?: string }[];
}

/** True if each node sees all of them as active. */
export async function areActive(world: World): Promise<boolean> {
  for (const machine of world.machines) {
    const body = await membersAt(machine);
    const active = body?.members?.filter(({ state }) => state === "active") ?? [];
    if (active.length !== world.machines.length) return false;
  }
  return true;
}

/** True if each node sees all of them as active, and no lost store that is not cleared. */
export async function checkMembers(world: World): Promise<boolean> {
  if (!(await areActive(world))) return false;
  for (const machine of world.machines) {
    if (/^pyromesh_lost_stores [1-9]/m.test((await machine.metricsText((name) => name === "pyromesh_lost_stores")) ?? "")) return false;
  }
  return true;
}

/** How a member calls its own state; undefined where it does not answer. */
export async function stateOf(machine: Machine): Promise<string | undefined> {
  return (await membersAt(machine))?.members?.find(({ name }) => name === machine.name)?.state;
}

async function membersAt({ network }: Machine): Promise<MembersBody | undefined> {
  try {
    const reply = await network.request({ method: "GET", path: "/members?format=json", headers: {}, body: new Uint8Array(0) }, { timeoutMs: 5_000 });
    return reply.status === 200 ? (JSON.parse(reply.body) as MembersBody) : undefined;
  } catch (error) {
    if (error instanceof NoAnswer) return undefined;
    throw error;
  }
}

/**
 * Everything of a tenant is counted alike by every node. Not at once: what was never acknowledged may be in one store's head or segment alone, and a node that has not
 * listed that segment, nor heard of it, may answer without that store. The store's own node counts it, so what all count alike lacks nothing.
 */
export async function checkReceipts(world: World, tenant: string, when: string): Promise<void> {
  const withinMs = RECEIPTS_WITHIN_MS + deadlyCallMs(world);
  const endMs = world.scheduler.nowMs + withinMs;
  for (;;) {
    const found = await receiptsOf(world, { tenant, when, withinMs });
    if (found.size === 1) return;
    if (world.scheduler.nowMs > endMs) throw new Violation("counted-once", `${when}: the receipts of ${tenant} differ: ${[...found].map(([receipt, machine]) => `${receipt}${at(machine)}`).join("; ")}`);
    await world.scheduler.wait(1_000);
  }
}

/** Different ones, each with the last node that gave it. */
async function receiptsOf(world: World, { tenant, when, withinMs }: { readonly tenant: string; readonly when: string; readonly withinMs: number }): Promise<ReadonlyMap<string, Machine>> {
  const asked = { tenant, type: 1, startMs: world.settings.epochMs - 2 * HOUR_MS - 1, endMs: Math.floor(world.wallMs) + 2 * HOUR_MS, service: undefined, pod: undefined };
  const found = new Map<string, Machine>();
  for (const machine of world.machines) {
    await until(world, withinMs, `answering${at(machine)}`, async () => {
      const receipt = await answerOf(world, `${when}:`, { kind: "flame graph", asked, allowPartial: false }, { goneAfterMs: Infinity, machine });
      if (receipt !== undefined) found.set(`${receipt.records} records, ${receipt.hash}`, machine);
      return receipt !== undefined;
    });
  }
  return found;
}

/** Without faults each record is in the bucket once, and no member was taken for dead. */
export async function checkCopies({ bucket, faults, machines }: World): Promise<void> {
  if (!faults.isQuiet) return;
  const { signal } = new AbortController();
  const keyOf = new Map<string, string>();
  for await (const page of bucket.contents.list(OBJECT_PREFIX, {}, signal)) {
    for (const { key } of page) {
      const named = parseObjectKey(key);
      if (named?.kind !== "segment") continue;
      for (const identity of await readIdentities(bytesSource(await bucket.contents.get(key, signal)), key, signal)) {
        const copy = keyOf.get(`${named.tenant} ${identity}`);
        if (copy !== undefined) throw new Violation("one-copy", `a record is in ${copy} and in ${key}, though nothing failed`);
        keyOf.set(`${named.tenant} ${identity}`, key);
      }
    }
  }
  for (const machine of machines) {
    const dead = /^pyromesh_membership_verdicts_total\{verdict="declared-dead"\} ([1-9]\d*)/m.exec((await machine.metricsText((name) => name === "pyromesh_membership_verdicts_total")) ?? "");
    if (dead !== null) throw new Violation("no-false-death", `${dead[1]} members were declared dead${at(machine)}, though nothing failed`);
  }
}
