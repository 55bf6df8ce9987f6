/**
 * Which store answers for which records. Pure.
 *
 *   all stores that have a series say the same of it ──► one of them answers for all of it
 *   they differ                                      ──► their identity lists: one that has it answers for each record
 *
 * A store that has the rows in memory comes first, then the query's own node. Where a store fails later, the next one that has the same takes its place.
 *
 * What must stay true: each identity that any of the stores has is answered for by exactly one.
 */
import type { TenantId, Turns } from "@pyromesh/base";
import type { IdentityLists, TenantDigests, TenantSeries, TenantTake } from "./messages.ts";

/** A store that answered the digest round; it is named by its index. */
export interface HolderDigests {
  readonly isOwn: boolean;
  readonly tenants: readonly TenantDigests[];
}

/** A series whose holders agree, or one record, with those who have it: the one to ask first comes first. */
export interface Item {
  readonly tenant: TenantId;
  readonly what: { readonly kind: "series"; readonly fingerprint: bigint } | { readonly kind: "record"; readonly identity: Uint8Array };
  readonly holders: readonly number[];
}

export interface DisputedSeries {
  readonly tenant: TenantId;
  readonly fingerprint: bigint;
  readonly holders: readonly number[];
}

export interface Comparison {
  readonly agreed: readonly Item[];
  readonly disputed: readonly DisputedSeries[];
}

interface Compared extends DisputedSeries {
  readonly holders: number[];
  /** By holder, in the order of `holders`: how many records have rows in memory. */
  readonly interned: number[];
  readonly count: number;
  readonly sum: Uint32Array;
  isAgreed: boolean;
}

export async function compareDigests(holders: readonly HolderDigests[], turns: Turns): Promise<Comparison> {
  const byTenant = new Map<TenantId, Map<bigint, Compared>>();
  for (const [holder, { tenants }] of holders.entries()) {
    for (const { tenant, seriesCount, fingerprints, counts, internedCounts, sums } of tenants) {
      let known = byTenant.get(tenant);
      if (known === undefined) byTenant.set(tenant, (known = new Map()));
      for (let series = 0; series < seriesCount; series++) {
        if ((series & 1023) === 0 && turns.areDue) await turns.give();
        const fingerprint = fingerprints[series]!;
        const sum = sums.subarray(series * 4, series * 4 + 4);
        const before = known.get(fingerprint);
        if (before === undefined) {
          known.set(fingerprint, { tenant, fingerprint, holders: [holder], interned: [internedCounts[series]!], count: counts[series]!, sum, isAgreed: true });
          continue;
        }
        before.holders.push(holder);
        before.interned.push(internedCounts[series]!);
        before.isAgreed &&= before.count === counts[series] && sum.every((word, index) => word === before.sum[index]);
      }
    }
  }
  const agreed: Item[] = [];
  const disputed: DisputedSeries[] = [];
  for (const known of byTenant.values()) {
    for (const series of known.values()) {
      if ((agreed.length & 1023) === 0 && turns.areDue) await turns.give();
      const { tenant, fingerprint, interned } = series;
      if (!series.isAgreed) disputed.push(series);
      else agreed.push({ tenant, what: { kind: "series", fingerprint }, holders: inOrder(series.holders, (index) => interned[index]!, holders) });
    }
  }
  return { agreed, disputed };
}

/** What each holder is to list, by its index. */
export function listsToAsk(disputed: readonly DisputedSeries[]): ReadonlyMap<number, readonly TenantSeries[]> {
  const byHolder = new Map<number, Map<TenantId, bigint[]>>();
  for (const { tenant, fingerprint, holders } of disputed) {
    for (const holder of holders) {
      const tenants = byHolder.get(holder) ?? new Map<TenantId, bigint[]>();
      byHolder.set(holder, tenants);
      const fingerprints = tenants.get(tenant);
      if (fingerprints === undefined) tenants.set(tenant, [fingerprint]);
      else fingerprints.push(fingerprint);
    }
  }
  return new Map(Array.from(byHolder, ([holder, tenants]) => [holder, Array.from(tenants, ([tenant, fingerprints]) => ({ tenant, fingerprints: BigUint64Array.from(fingerprints) }))]));
}

/** The records of disputed series: each once, with those who have it. */
export async function itemsOfLists(lists: ReadonlyMap<number, readonly IdentityLists[]>, holders: readonly HolderDigests[], turns: Turns): Promise<readonly Item[]> {
  const records = new Map<string, { readonly tenant: TenantId; readonly identity: Uint8Array; readonly holders: number[]; readonly interned: number[] }>();
  for (const [holder, ofTenants] of lists) {
    for (const { tenant, identities, interned } of ofTenants) {
      const bytes = Buffer.from(identities.buffer, identities.byteOffset, identities.byteLength);
      for (let index = 0; index < interned.length; index++) {
        if ((index & 1023) === 0 && turns.areDue) await turns.give();
        const id = bytes.toString("latin1", index * 16, index * 16 + 16); // an identity holds its tenant
        const known = records.get(id);
        if (known === undefined) records.set(id, { tenant, identity: identities.subarray(index * 16, index * 16 + 16), holders: [holder], interned: [interned[index]!] });
        else if (!known.holders.includes(holder)) {
          known.holders.push(holder);
          known.interned.push(interned[index]!);
        }
      }
    }
  }
  return Array.from(records.values(), ({ tenant, identity, holders: own, interned }) => ({ tenant, what: { kind: "record", identity } as const, holders: inOrder(own, (index) => interned[index]!, holders) }));
}

export interface Shares {
  readonly byHolder: ReadonlyMap<number, readonly Item[]>;
  /** Items that nobody of `alive` has. */
  readonly orphans: readonly Item[];
}

/** Gives each item to the first of its holders that is alive. */
export function shareOut(items: readonly Item[], alive: ReadonlySet<number>): Shares {
  const byHolder = new Map<number, Item[]>();
  const orphans: Item[] = [];
  for (const item of items) {
    const holder = item.holders.find((one) => alive.has(one));
    if (holder === undefined) {
      orphans.push(item);
      continue;
    }
    const own = byHolder.get(holder);
    if (own === undefined) byHolder.set(holder, [item]);
    else own.push(item);
  }
  return { byHolder, orphans };
}

/** The items as a scan request names them. */
export function takesOf(items: readonly Item[]): readonly TenantTake[] {
  const byTenant = new Map<TenantId, { readonly fingerprints: bigint[]; readonly identities: Uint8Array[] }>();
  for (const { tenant, what } of items) {
    let own = byTenant.get(tenant);
    if (own === undefined) byTenant.set(tenant, (own = { fingerprints: [], identities: [] }));
    if (what.kind === "series") own.fingerprints.push(what.fingerprint);
    else own.identities.push(what.identity);
  }
  return Array.from(byTenant, ([tenant, { fingerprints, identities }]) => ({ tenant, fingerprints: BigUint64Array.from(fingerprints), identities: Buffer.concat(identities) }));
}

/** Those that have most rows in memory first, then the query's own node. */
function inOrder(own: readonly number[], internedOf: (index: number) => number, holders: readonly HolderDigests[]): readonly number[] {
  if (own.length === 1) return own;
  return own
    .map((holder, index) => ({ holder, interned: internedOf(index), isOwn: holders[holder]!.isOwn ? 1 : 0 }))
    .sort((a, b) => b.interned - a.interned || b.isOwn - a.isOwn || a.holder - b.holder)
    .map(({ holder }) => holder);
}
