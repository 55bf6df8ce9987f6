/** Compares the answers of AdHocProfileService with what is known of each upload. */
import { checkRefusal } from "../history/querier.ts";
import { STALE_MS_MAX } from "../world/sim-bucket.ts";
import type { SimReply } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";
import type { AdHocLedger, AdHocUpload } from "./adhoc-ledger.ts";
import { Violation } from "./violation.ts";

interface DrawnBody {
  readonly id?: string;
  readonly name?: string;
  readonly flamebearerProfile?: string;
}

export function checkUploaded(world: World, adHoc: AdHocLedger, upload: AdHocUpload, { body, headers, status }: SimReply): void {
  const { bytesMax, countMax } = adHoc.settings;
  const { least, most } = adHoc.usedBy(upload, lateMs(world));
  if (status === 200) {
    const { id = "", name } = JSON.parse(body) as DrawnBody;
    adHoc.noteAcked(upload, id);
    if (name !== upload.name) throw new Violation("nothing-else", `${upload.name} was answered as ${name ?? "nothing"}`);
    upload.drawn = body;
    checkFunctions(body, [upload]);
    if (countMax > 0 && least.count >= countMax) throw new Violation("bounded", `${upload.name} was accepted, though ${upload.tenant} kept ${least.count} and may keep ${countMax}`);
    if (bytesMax > 0 && least.sizeBytes + upload.file.length > bytesMax) throw new Violation("bounded", `${upload.name} was accepted, though ${upload.tenant} kept ${least.sizeBytes} bytes and may keep ${bytesMax}`);
    world.noteChecked();
    return;
  }
  // Whether it was put is open after any answer but one that refuses it for good.
  upload.fate = status === 400 ? "refused" : "unknown";
  if (status === 429) return;
  if (status === 400 && /limit max_adhoc_profiles/.test(body)) {
    const isFull = (countMax > 0 && most.count >= countMax) || (bytesMax > 0 && most.sizeBytes + upload.file.length > bytesMax);
    if (!isFull) throw new Violation("correct-or-refused", `${upload.name} was refused for lack of room, and ${upload.tenant} kept ${most.count} of ${most.sizeBytes} bytes at most: ${body}`);
    return;
  }
  if (status === 400 && upload.leaf === undefined) return;
  checkRefusal(world, upload.name, { status, headers, body });
}

/** Returns whether it is an answer. */
export function checkListed(world: World, adHoc: AdHocLedger, { sentMs, tenant }: { readonly tenant: string; readonly sentMs: number }, reply: SimReply): boolean {
  const words = `a list of the ad hoc profiles of ${tenant}`;
  if (reply.status !== 200) {
    checkRefusal(world, words, reply);
    return false;
  }
  const { profiles = [] } = JSON.parse(reply.body) as { readonly profiles?: readonly { readonly id?: string; readonly name?: string }[] };
  const listed = profiles.map(({ id = "" }) => id);
  if (listed.some((id, index) => index > 0 && id >= listed[index - 1]!)) throw new Violation("counted-once", `${words} is not in order, or has one twice: ${listed.join(", ")}`);
  for (const id of listed) {
    const object = adHoc.objectOf(tenant, id);
    if (object === undefined) throw new Violation("nothing-else", `${words} has ${id}, which is not in the bucket`);
    if (object.deletedMs < sentMs) throw new Violation("nothing-else", `${words} has ${id}, which had been deleted`);
  }
  for (const { deletedMs, id, putMs, upload } of adHoc.objects) {
    if (upload.tenant !== tenant || putMs > sentMs - lateMs(world) || deletedMs < Infinity) continue;
    if (!listed.includes(id)) throw new Violation("read-your-writes", `${words} lacks ${id}, which was there ${Math.round(sentMs - putMs)} ms before`);
  }
  world.noteChecked();
  return true;
}

/** Of Get, with one id, and of Diff, with two. Returns whether it is an answer. */
export function checkDrawn(world: World, adHoc: AdHocLedger, { ids, sentMs, tenant }: { readonly tenant: string; readonly ids: readonly string[]; readonly sentMs: number }, reply: SimReply): boolean {
  const words = `the answer to ${tenant} with ${ids.join(" and ")}`;
  const found = ids.map((id) => adHoc.objectOf(tenant, id));
  const gone = ids.filter((_, index) => found[index] === undefined || found[index].deletedMs < Infinity);
  if (reply.status === 404) {
    if (gone.length === 0) throw new Violation("acked-is-kept", `${words} says that it is not found: ${reply.body}`);
    return true;
  }
  if (reply.status !== 200) {
    checkRefusal(world, words, reply);
    return false;
  }
  const uploads = found.map((object, index) => {
    if (object === undefined) throw new Violation("tenants-never-meet", `${words} shows ${ids[index]!}, which is not this tenant's`);
    if (object.deletedMs < sentMs) throw new Violation("nothing-else", `${words} shows ${object.id}, which had been deleted`);
    return object.upload;
  });
  checkFunctions(reply.body, uploads);
  const [upload, another] = uploads;
  if (another === undefined) {
    upload!.drawn ??= reply.body; // there is one id at least
    if (upload!.drawn !== reply.body) throw new Violation("acked-is-kept", `${words} is not what it was: ${reply.body} in place of ${upload!.drawn}`);
  }
  world.noteChecked();
  return true;
}

/** Each file has a function of its own, and no other file's is drawn. */
function checkFunctions(body: string, uploads: readonly AdHocUpload[]): void {
  const { flamebearer } = JSON.parse((JSON.parse(body) as DrawnBody).flamebearerProfile ?? "{}") as { readonly flamebearer?: { readonly names?: readonly string[] } };
  const drawn = (flamebearer?.names ?? []).filter((name) => /^adhoc_\d+$/.test(name));
  const expected = new Set(uploads.map(({ leaf }) => leaf));
  if (drawn.length !== expected.size || drawn.some((name) => !expected.has(name))) throw new Violation("nothing-else", `of ${uploads.map(({ name }) => name).join(" and ")} the functions ${drawn.join(", ")} are drawn`);
}

/** How late a LIST may be here. */
function lateMs({ faults }: World): number {
  return faults.counts.has("bucket list is stale") ? STALE_MS_MAX : 0;
}
