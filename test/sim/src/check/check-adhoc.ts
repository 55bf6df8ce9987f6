/** After the faults: every ad hoc profile that is in the bucket is listed and got at each node, and all are deleted in the end. */
import { get, list } from "../history/adhoc-client.ts";
import { at } from "../world/machine.ts";
import { SKEW_MS_MAX } from "../world/skew.ts";
import type { World } from "../world/world.ts";
import type { AdHocObject } from "./adhoc-ledger.ts";
import { areReady, deadlyCallMs, until } from "./check-healed.ts";
import { Violation } from "./violation.ts";

const ANSWERED_WITHIN_MS = 60_000;
/** Two looks, of which the first may have failed, and the clocks of nodes. */
const GONE_WITHIN_MS = 60_000;

export async function checkAdHoc(world: World): Promise<void> {
  const { adHoc, faults, isCluster, machines, scheduler } = world;
  if (adHoc === undefined) return;
  const withinMs = ANSWERED_WITHIN_MS + deadlyCallMs(world);
  // A node that has nobody to ask for the time deletes nothing once its clock has leaped, until it is started again (operation.md).
  if (!isCluster && !adHoc.settings.hasDate && faults.counts.has("wall clock leaps")) {
    await machines[0]!.restart();
    await until(world, ANSWERED_WITHIN_MS, "ready again", () => areReady(world));
  }
  for (const machine of machines) {
    for (const tenant of adHoc.settings.tenants) await until(world, withinMs, `listing ad hoc profiles${at(machine)}`, () => list(world, adHoc, tenant, machine));
  }
  for (const { id, upload } of there(adHoc.objects)) {
    await until(world, withinMs, "answering for ad hoc profiles", () => get(world, adHoc, { tenant: upload.tenant, ids: [id], machine: world.nextMachine() }));
  }
  const { ageMs } = adHoc.settings;
  // One whose id is of a clock that was far ahead stays until that time has come and gone.
  const expiring = there(adHoc.objects).filter(({ idMs, putMs }) => idMs <= putMs + SKEW_MS_MAX);
  const endMs = Math.max(scheduler.nowMs, ...expiring.map(({ idMs, putMs }) => Math.max(idMs, putMs) + ageMs + SKEW_MS_MAX)) + GONE_WITHIN_MS + deadlyCallMs(world);
  for (let left: readonly AdHocObject[] = expiring; left.length > 0; left = there(left)) {
    if (scheduler.nowMs > endMs) throw new Violation("progress", `${left[0]!.key} and ${left.length - 1} others are still there ${Math.round(scheduler.nowMs - left[0]!.putMs)} ms after they were uploaded, and are kept for ${ageMs} ms`);
    await scheduler.wait(1_000);
  }
}

function there(objects: readonly AdHocObject[]): readonly AdHocObject[] {
  return objects.filter(({ deletedMs }) => deletedMs === Infinity);
}
