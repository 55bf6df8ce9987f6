/**
 * A client that pushes. It draws parts and sends them, and sends the same bytes again after an answer that leaves open whether they were kept.
 * It notes each step in the ledger.
 */
import type { Fate } from "../check/ledger.ts";
import { Violation } from "../check/violation.ts";
import type { Chance } from "../world/chance.ts";
import { at } from "../world/machine.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { SimReply, SimRequest } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";
import { ownLeaf, pushBodyOf } from "./part.ts";
import type { Part, Stack } from "./part.ts";

/** After this many tries a client gives up. Then the part's fate stays open. */
const TRIES_MAX = 8;
const TIMEOUT_MS = 15_000;

export interface Push {
  readonly fates: readonly Fate[];
  readonly request: SimRequest;
  readonly name: string;
}

/** Pushes until the history ends, and until each push was answered or given up. */
export async function runPusher(world: World, name: string): Promise<void> {
  const { settings, scheduler } = world;
  const chance = world.chance.stream(name);
  await scheduler.wait(chance.between(0, settings.pushPauseMs));
  const open: Promise<boolean>[] = [];
  for (let count = 0; !world.isEnding; count++) {
    const push = drawPush(world, chance, `${name}/${count}`);
    world.notePush(push);
    // Some of the time the client sends the next push before the last one was answered.
    const sending = sendUntilAnswered(world, chance, push);
    world.watch(sending);
    open.push(sending);
    if (chance.isTrue(0.7)) await sending;
    await scheduler.wait(chance.between(0, 2 * settings.pushPauseMs));
  }
  await Promise.all(open);
}

/** Returns true if the push was acked, false if it was refused or the client gave up. */
export async function sendUntilAnswered(world: World, chance: Chance, push: Push): Promise<boolean> {
  const { faults, journal, scheduler } = world;
  for (let tryCount = 1; ; tryCount++) {
    const isLeaving = faults.comes("client goes away");
    const goneAfterMs = isLeaving ? chance.between(0, 20) : Infinity;
    const answer = await sendOnce(world, push, goneAfterMs);
    if (answer === "acked" || answer === "refused") return answer === "acked";
    if (isLeaving && chance.isTrue(0.4)) return false;
    if (tryCount >= TRIES_MAX && !world.isHealed) {
      journal.note("client", `${push.name} is given up`);
      return false;
    }
    await scheduler.wait(chance.between(50, 1_000) * Math.min(tryCount, 4));
  }
}

/** One try, at any member. */
export async function sendOnce(world: World, { fates, request, name }: Push, goneAfterMs: number): Promise<"acked" | "refused" | "open"> {
  const { journal } = world;
  const machine = world.nextMachine();
  for (const fate of fates) fate.sent(world.wallMs, { mayBeForgotten: world.mayHaveForgotten(fate) });
  let reply: SimReply;
  try {
    reply = await machine.network.request(request, { timeoutMs: TIMEOUT_MS, goneAfterMs });
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    journal.note("client", `${name}${at(machine)}: ${error.message}`);
    for (const fate of fates) {
      if (error.isSent) fate.unknown();
      else fate.refused(world.wallMs);
    }
    return "open";
  }
  journal.note("client", `${name}${at(machine)}: ${reply.status}${reply.status === 200 ? "" : ` ${reply.body.slice(0, 200)}`}`);
  if (reply.status === 200) {
    for (const fate of fates) fate.acked(world.wallMs);
    world.noteAcked(fates);
    return "acked";
  }
  if (reply.status === 500) throw new Violation("no-error", `${name} was answered 500: ${reply.body}`);
  if (reply.status >= 400 && reply.status < 500 && reply.status !== 429 && reply.status !== 408 && reply.status !== 499) {
    if (!world.isExpectedRefusal(reply.body)) throw new Violation("correct-or-refused", `${name} was refused with ${reply.status}: ${reply.body}`);
    for (const fate of fates) fate.refused(world.wallMs);
    return "refused";
  }
  for (const fate of fates) fate.unknown();
  return "open";
}

// --- what is pushed ---------------------------------------------------------------------------------------------------

export function drawPush(world: World, chance: Chance, name: string): Push {
  const tenant = chance.pick(world.settings.tenants);
  return chance.isTrue(0.25) ? drawText(world, chance, tenant, name) : drawPprof(world, chance, tenant, name);
}

function drawPprof(world: World, chance: Chance, tenant: string, name: string): Push {
  const count = chance.isTrue(0.8) ? 1 : chance.int(2, 4);
  const hasClock = chance.isTrue(0.8);
  const key = !hasClock && chance.isTrue(0.6) ? `key-${name}` : undefined;
  const parts = Array.from({ length: count }, () => drawPart(world, chance, tenant, hasClock));
  return {
    fates: parts.map((part) => world.ledger.open(part, { isOnce: hasClock || key !== undefined })),
    name: `push ${name} of ${parts.map(({ id }) => id).join(" ")}`,
    request: {
      method: "POST",
      path: "/push.v1.PusherService/Push",
      headers: { "content-type": "application/proto", "x-scope-orgid": tenant, ...(key === undefined ? {} : { "idempotency-key": key }) },
      body: pushBodyOf(parts),
    },
  };
}

/** Folded stacks, pushed to /ingest. Their time is `from`, or else that of their arrival. */
function drawText(world: World, chance: Chance, tenant: string, name: string): Push {
  const hasFrom = chance.isTrue(0.4);
  const key = !hasFrom && chance.isTrue(0.6) ? `key-${name}` : undefined;
  const drawn = drawPart(world, chance, tenant, hasFrom);
  // Text has one type of sample.
  const part: Part = { ...drawn, stacks: drawn.stacks.map(({ frames, values }) => ({ frames, values: [0, values[1]!] })) };
  // The node recognises a retry of text only by its key: the time `from` does not count for that.
  const isOnce = key !== undefined;
  const query = new URLSearchParams({ name: `${part.service}.cpu{${part.labels.map(([label, value]) => `${label}=${value}`).join(",")}}`, format: "folded", sampleRate: "1000000000" });
  if (part.timeMs !== undefined) query.set("from", String(part.timeMs));
  const body = part.stacks.map(({ frames, values }) => `${frames.join(";")} ${values[1]!}\n`).join("");
  return {
    fates: [world.ledger.open(part, { isOnce })],
    name: `text ${name} of ${part.id}`,
    request: {
      method: "POST",
      path: `/ingest?${query.toString()}`,
      headers: { "content-type": "text/plain", "x-scope-orgid": tenant, ...(key === undefined ? {} : { "idempotency-key": key }) },
      body: Buffer.from(body),
    },
  };
}

function drawPart(world: World, chance: Chance, tenant: string, hasClock: boolean): Part {
  const { ledger, settings } = world;
  const id = ledger.nextId();
  const pods = ["pod-1", "pod-2", `pod-of-${tenant}`];
  // Most times are now, some up to five minutes ago or a minute ahead.
  const aheadMs = chance.isTrue(0.8) ? -chance.between(0, 500) : chance.between(-300_000, 60_000);
  const own: Stack = { frames: ["main", ...chance.pick([[], ["serve"], ["serve", "work"]]), ownLeaf(id)], values: drawValues(chance) };
  const shared: Stack[] = Array.from({ length: chance.int(0, 2) }, () => chance.int(0, 3))
    .filter((leaf, at, all) => all.indexOf(leaf) === at)
    .map((leaf) => ({ frames: ["main", "serve", `shared_${leaf}`], values: drawValues(chance) }));
  return {
    id,
    tenant,
    service: chance.pick(settings.services),
    labels: [["pod", chance.pick(pods)]],
    timeMs: hasClock ? 2 * Math.floor((world.wallMs + aheadMs) / 2) : undefined,
    stacks: [own, ...shared],
  };
}

function drawValues(chance: Chance): number[] {
  return [chance.int(1, 1_000), chance.int(1_000, 1_000_000)];
}
