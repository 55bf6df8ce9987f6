import { parseTenantId, seededRandom, Turns } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { RecordColumns } from "@pyromesh/head";
import { expect } from "chai";
import fc from "fast-check";
import { compareDigests, itemsOfLists, listsToAsk, shareOut, takesOf } from "./assign.ts";
import type { HolderDigests, Item } from "./assign.ts";
import type { IdentityLists } from "./messages.ts";
import { TenantView } from "./tenant-view.ts";

const TENANT = parseTenantId("shop");
const SERIES_COUNT = 4;
const turns = new Turns({ clock: new ManualClock() });
const identityOf = (number: number): Uint8Array => seededRandom(number + 1).bytes(16);
const nameOf = (identity: Uint8Array): string => Buffer.from(identity).toString("hex");

/** A store that holds these records; of rank 0 where it is the record's number modulo three. */
async function viewOf(numbers: readonly number[], store: number): Promise<TenantView> {
  const columns = new RecordColumns();
  for (const number of numbers) {
    const copyWords = (identities: Uint32Array, identityAt: number, fingerprints: Uint32Array, fingerprintAt: number): void => {
      identities.set(new Uint32Array(Uint8Array.from(identityOf(number)).buffer), identityAt);
      fingerprints.set([number % SERIES_COUNT, 0], fingerprintAt);
    };
    const row = { copyWords, rank: number % 3 === store ? 0 : 1, seq: number };
    columns.add(row as unknown as Parameters<RecordColumns["add"]>[0]); // the fields that a row is asked for
  }
  return TenantView.of(columns, new Set(), turns);
}

function digestsOf(view: TenantView, isOwn: boolean): HolderDigests {
  const { seriesCount, fingerprints, counts, internedCounts, sums } = view;
  return { isOwn, tenants: seriesCount === 0 ? [] : [{ tenant: TENANT, seriesCount, fingerprints, counts, internedCounts, sums }] };
}

/** As a holder makes it. */
function listsOf(view: TenantView, fingerprints: BigUint64Array): IdentityLists {
  const records = [...fingerprints].map((fingerprint) => [...view.recordsOf(fingerprint)]);
  return {
    tenant: TENANT,
    counts: Uint32Array.from(records, ({ length }) => length),
    identities: Buffer.concat(records.flat().map((record) => view.identityOf(record))),
    interned: Uint8Array.from(records.flat(), (record) => (view.rankOf(record) === 0 ? 1 : 0)),
  };
}

async function itemsOf(views: readonly TenantView[]): Promise<readonly Item[]> {
  const digests = views.map((view, index) => digestsOf(view, index === 0));
  const { agreed, disputed } = await compareDigests(digests, turns);
  const lists = new Map(Array.from(listsToAsk(disputed), ([holder, series]) => [holder, series.map(({ fingerprints }) => listsOf(views[holder]!, fingerprints))]));
  return [...agreed, ...(await itemsOfLists(lists, digests, turns))];
}

/** What the stores would scan, store by store. */
function scanned(views: readonly TenantView[], items: readonly Item[], alive: ReadonlySet<number>): string[] {
  return Array.from(shareOut(items, alive).byHolder).flatMap(([holder, share]) =>
    takesOf(share).flatMap(({ fingerprints, identities }) => [
      ...[...fingerprints].flatMap((fingerprint) => [...views[holder]!.recordsOf(fingerprint)]),
      ...views[holder]!.recordsWith(identities),
    ].map((record) => nameOf(views[holder]!.identityOf(record)))),
  );
}

describe("who answers for which records", () => {
  const subset = fc.subarray(Array.from({ length: 14 }, (_, number) => number));

  it("each record that any store has is answered for by exactly one; without a store, each that the others have", async () => {
    await fc.assert(
      fc.asyncProperty(subset, subset, subset, fc.subarray([0, 1, 2], { minLength: 1 }), async (a, b, c, left) => {
        const views = await Promise.all([a, b, c].map(viewOf));
        const items = await itemsOf(views);
        const all = [...new Set([...a, ...b, ...c])].map((number) => nameOf(identityOf(number)));
        expect(scanned(views, items, new Set([0, 1, 2])).sort()).deep.equal(all.sort());
        const rest = [...new Set(left.flatMap((store) => [a, b, c][store]!))].map((number) => nameOf(identityOf(number)));
        expect(scanned(views, items, new Set(left)).sort()).deep.equal(rest.sort());
      }),
      { numRuns: 300 },
    );
  });

  it("a store that has the rows in memory comes first, then the query's own", async () => {
    const views = await Promise.all([[0, 1, 2], [0, 1, 2], [0, 1, 2]].map(viewOf));
    const items = await itemsOf(views);
    expect(items.map(({ holders }) => holders)).deep.equal([[0, 1, 2], [1, 0, 2], [2, 0, 1]]);
  });

  it("lists are asked only of series of which stores say different things", async () => {
    const views = await Promise.all([[0, 1, 4], [0, 1], [1]].map(viewOf));
    const { agreed, disputed } = await compareDigests(views.map((view, index) => digestsOf(view, index === 0)), turns);
    expect(agreed.map(({ what }) => what)).deep.equal([{ kind: "series", fingerprint: 1n }]);
    expect(Array.from(listsToAsk(disputed), ([holder, series]) => [holder, series.map(({ fingerprints }) => [...fingerprints])])).deep.equal([[0, [[0n]]], [1, [[0n]]]]);
  });
});
