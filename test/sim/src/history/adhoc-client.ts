/** Clients that keep ad hoc profiles: they upload files, list and get them, and compare two. Each answer is compared with what is known (check/adhoc-ledger.ts). */
import { checkDrawn, checkListed, checkUploaded } from "../check/check-adhoc-answer.ts";
import type { AdHocLedger } from "../check/adhoc-ledger.ts";
import type { Chance } from "../world/chance.ts";
import { at } from "../world/machine.ts";
import type { Machine } from "../world/machine.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { SimReply } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";
import { drawFile } from "./adhoc-file.ts";

const SERVICE = "/adhocprofiles.v1.AdHocProfileService";
const TIMEOUT_MS = 20_000;

/** Until the history ends. */
export async function runAdHocClients(world: World): Promise<void> {
  const { adHoc } = world;
  if (adHoc === undefined) return;
  await Promise.all(Array.from({ length: adHoc.settings.clientCount }, (_, index) => runClient(world, adHoc, world.chance.stream(`ad hoc client ${index}`))));
}

async function runClient(world: World, adHoc: AdHocLedger, chance: Chance): Promise<void> {
  const { pauseMs, tenants } = adHoc.settings;
  for (;;) {
    await world.scheduler.wait(chance.between(0, 2 * pauseMs));
    if (world.isEnding) return;
    const tenant = chance.pick(tenants);
    const does = chance.float();
    if (does < 0.5) await upload(world, adHoc, chance, tenant);
    else if (does < 0.7) await list(world, adHoc, tenant, world.nextMachine());
    else await getSome(world, adHoc, chance, tenant);
  }
}

async function upload(world: World, adHoc: AdHocLedger, chance: Chance, tenant: string): Promise<void> {
  const drawn = drawFile(chance, adHoc.nextNumber());
  const one = adHoc.open({ ...drawn, tenant }, drawn.ending);
  const goneAfterMs = world.faults.comes("client goes away") ? chance.between(0, 20) : Infinity;
  const sent = await call(world, world.nextMachine(), { method: "Upload", tenant, message: { name: one.name, profile: Buffer.from(one.file).toString("base64") }, words: `${tenant} uploads ${one.name}`, goneAfterMs });
  if (sent === undefined) one.fate = "unknown";
  else checkUploaded(world, adHoc, one, sent);
}

/** Returns whether there was an answer. */
export async function list(world: World, adHoc: AdHocLedger, tenant: string, machine: Machine): Promise<boolean> {
  const sentMs = world.scheduler.nowMs;
  const reply = await call(world, machine, { method: "List", tenant, message: {}, words: `${tenant} lists` });
  return reply !== undefined && checkListed(world, adHoc, { tenant, sentMs }, reply);
}

/** One, or the difference of two; at times one of another tenant, which is not found. */
async function getSome(world: World, adHoc: AdHocLedger, chance: Chance, tenant: string): Promise<void> {
  const { acked } = adHoc;
  if (acked.length === 0) return;
  const isDiff = chance.isTrue(0.4);
  const ids = Array.from({ length: isDiff ? 2 : 1 }, () => chance.pick(acked).id!); // what is acked has one
  await get(world, adHoc, { tenant, ids, machine: world.nextMachine() });
}

/** Returns whether there was an answer. */
export async function get(world: World, adHoc: AdHocLedger, { ids, machine, tenant }: { readonly tenant: string; readonly ids: readonly string[]; readonly machine: Machine }): Promise<boolean> {
  const [id, other] = ids;
  const sentMs = world.scheduler.nowMs;
  const asked = other === undefined ? { method: "Get", message: { id } } : { method: "Diff", message: { leftId: id, rightId: other } };
  const reply = await call(world, machine, { ...asked, tenant, words: `${tenant} gets ${ids.join(" and ")}` });
  return reply !== undefined && checkDrawn(world, adHoc, { tenant, ids, sentMs }, reply);
}

interface Call {
  readonly method: string;
  readonly tenant: string;
  readonly message: object;
  readonly words: string;
  readonly goneAfterMs?: number;
}

/** Undefined: there was no answer. */
async function call({ journal }: World, machine: Machine, { goneAfterMs, message, method, tenant, words }: Call): Promise<SimReply | undefined> {
  const request = { method: "POST", path: `${SERVICE}/${method}`, headers: { "content-type": "application/json", "x-scope-orgid": tenant }, body: Buffer.from(JSON.stringify(message)) } as const;
  try {
    const reply = await machine.network.request(request, { timeoutMs: TIMEOUT_MS, ...(goneAfterMs !== undefined && { goneAfterMs }) });
    journal.note("client", `${words}${at(machine)}: ${reply.status} ${reply.body.slice(0, 200)}`);
    return reply;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    journal.note("client", `${words}${at(machine)}: ${error.message}`);
    return undefined;
  }
}
