/**
 * Checks the bucket once everything is flushed: it holds as many records of each tenant as the answers counted, each segment has the tenant and window that its key names, and of a
 * node that is alone no record is there again but where its push was sent again, or where the bucket gave another object in place of its segment: who uploads it takes that for
 * the work of a copied data directory, and uploads it once more under another name.
 */
import { bytesSource, OBJECT_PREFIX, parseObjectKey, readFooter, readIdentities } from "@pyromesh/block";
import type { World } from "../world/world.ts";
import { Violation } from "./violation.ts";

export async function checkBucket({ bucket, isCluster, ledger }: World): Promise<void> {
  const { signal } = new AbortController();
  const identitiesOf = new Map<string, Set<string>>();
  const onceOf = new Map<string, Set<string>>();
  const copyCounts = new Map<string, number>();
  for await (const page of bucket.contents.list(OBJECT_PREFIX, {}, signal)) {
    for (const { key } of page) {
      const named = parseObjectKey(key);
      if (named?.kind !== "segment") continue;
      const source = bytesSource(await bucket.contents.get(key, signal));
      const { meta } = await readFooter(source, key, signal);
      if (meta.tenant !== named.tenant || meta.windowStartMs !== named.windowStartMs) throw new Violation("tenants-never-meet", `${key} holds the segment of ${meta.tenant}, window ${meta.windowStartMs}`);
      const identities = identitiesOf.get(named.tenant) ?? new Set<string>();
      identitiesOf.set(named.tenant, identities);
      const once = onceOf.get(named.tenant) ?? new Set<string>();
      onceOf.set(named.tenant, once);
      for (const identity of await readIdentities(source, key, signal)) {
        identities.add(identity);
        if (bucket.everMixedUp.has(key)) continue;
        if (once.has(identity)) copyCounts.set(named.tenant, (copyCounts.get(named.tenant) ?? 0) + 1);
        once.add(identity);
      }
    }
  }
  const counted = new Map<string, number>();
  const againCounts = new Map<string, number>();
  for (const { part, seenCount, triesAgain } of ledger.fates.values()) {
    counted.set(part.tenant, (counted.get(part.tenant) ?? 0) + seenCount);
    againCounts.set(part.tenant, (againCounts.get(part.tenant) ?? 0) + triesAgain);
  }
  for (const [tenant, count] of counted) {
    const { size } = identitiesOf.get(tenant) ?? new Set();
    if (size !== count) throw new Violation("acked-is-kept", `the bucket holds ${size} records of ${tenant}, the answers counted ${count}`);
    const [copies, again] = [copyCounts.get(tenant) ?? 0, againCounts.get(tenant)!]; // set beside `counted`
    if (!isCluster && copies > again) throw new Violation("one-copy", `${copies} records of ${tenant} are in the bucket again, and ${again} were sent again`);
  }
}
