/** Durability, proven on a store that drops every unsynced write: whatever happens, an answered append is there once. */
import { expect } from "chai";
import fc from "fast-check";
import { seededRandom, toHex } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { windowStartOf } from "@pyromesh/profile";
import type { Cut } from "../state/cut.ts";
import type { RenamedSegment, SealedCut } from "../head-modules.ts";
import type { OrdinalName } from "../state/store-identity.ts";
import type { ReplayedRecord } from "./record-intake.ts";
import { HOUR_MS, makeRecord, memoryWorld, numberOf, startHead } from "../testing/fixtures.ts";

type Step =
  | { readonly kind: "append"; readonly numbers: readonly number[]; readonly isAwaited: boolean }
  | { readonly kind: "cut" | "unseal" | "renew" | "rename" | "crash" | "close" }
  | { readonly kind: "cutOf"; readonly windowOdd: boolean | undefined; readonly rank: number | undefined }
  | { readonly kind: "release"; readonly numbers: readonly number[] }
  | { readonly kind: "seal"; readonly isLast: boolean }
  | { readonly kind: "power"; readonly afterBatches: number; readonly fate: "before" | "after" | "fail" | "fail-kept" };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("append" as const), numbers: fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }), isAwaited: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("cut" as const, "unseal" as const, "crash" as const, "close" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("seal" as const), isLast: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cutOf" as const), windowOdd: fc.option(fc.boolean(), { nil: undefined }), rank: fc.option(fc.nat(1), { nil: undefined }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("release" as const), numbers: fc.array(fc.nat(40), { minLength: 1, maxLength: 8 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("renew" as const, "rename" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("power" as const), afterBatches: fc.nat(3), fate: fc.constantFrom("before" as const, "after" as const, "fail" as const, "fail-kept" as const) }) },
);

/** Sorts by ordinal. */
const printName = ({ storeId, windowStartMs, ordinal }: Pick<OrdinalName, "storeId" | "windowStartMs" | "ordinal">): string => `${storeId}/${windowStartMs}/${String(ordinal).padStart(4, "0")}`;
const nameOf = (key: string): string => key.split(" ")[0]!;

const inTwoWindows = (number: number): EncodedRecord => makeRecord(number, { timeMs: FIRST_WINDOW_MS + number * 1000 + (number % 2) * HOUR_MS });
const FIRST_WINDOW_MS = windowStartOf(1_700_000_000_000);
const OTHER_STORE = new Uint8Array(16).fill(0xaa);
/** A third of the records is another store's to flush. */
const rankOf = (number: number): number => (number % 3 === 0 ? 1 : 0);

describe("head on a store that drops every unsynced write", function () {
  this.timeout(60_000);

  it("every answered append is there once, an unanswered one at most once, whatever is cut, sealed, refused or cut off", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 40 }), fc.nat(3), async (steps, checkpointLoss) => {
        const world = memoryWorld();
        const answered = new Set<number>();
        const pushed = new Set<number>();
        /** Released, and not pushed since. */
        const released = new Set<number>();
        /** A release of them is under way. */
        const releasing = new Set<number>();
        /** A release of them was refused and may have been kept, or they were pushed again after one. */
        const perhapsReleased = new Set<number>();
        /** What sealed segments hold, as the bucket and the local files would. */
        const inSegments = new Map<string, number[]>();
        const waiting: Promise<unknown>[] = [];
        const keyOf = new Map<string, string>(); // store, window and ordinal -> the one segment that took it
        let startCount = 1; // each start draws other store ids
        let hookedCuts = new Set<number>();
        let hookedKeys = new Set<string>();
        const renamedFrom = new Set<string>();
        /** It waits under a former id, behind one that was renamed. */
        const isBehindRenamed = (key: string): boolean => [...renamedFrom].some((from) => from < key && from.slice(0, from.lastIndexOf("/")) === key.slice(0, key.lastIndexOf("/")));
        const unsealing = new Set<string>(); // gone, or not: nobody is told
        const listen = {
          onCut: ({ cutId }: Cut) => void hookedCuts.add(cutId),
          onSealed: ({ cutId, segments }: SealedCut) => {
            hookedCuts.delete(cutId);
            for (const { key } of segments) hookedKeys.add(key);
          },
          onReleased: (identityKeys: readonly string[]) => {
            for (const key of identityKeys) released.add(numberOf({ identity: Buffer.from(key, "latin1") }));
          },
          onRenamed: ({ fromKey, segment }: RenamedSegment) => {
            hookedKeys.delete(fromKey);
            hookedKeys.add(segment.key);
          },
        };

        /** By cut, as last looked at. */
        const membersOf = new Map<number, readonly string[]>();
        const mayHaveLeft = (key: string): boolean => {
          const number = numberOf({ identity: Buffer.from(key, "latin1") });
          return released.has(number) || perhapsReleased.has(number);
        };
        /** What listeners were told is what the head holds, and ordinals have no holes and no doubles. */
        const check = (): void => {
          expect([...hookedCuts].sort(), "cuts told of").deep.equal(head.cuts().map(({ cutId }) => cutId).sort());
          membersOf.clear();
          for (const cut of head.cuts()) {
            const members = head.cutIdentities(cut.cutId);
            membersOf.set(cut.cutId, members);
            expect(cut.groups.reduce((sum, { recordCount }) => sum + recordCount, 0), "a cut holds what it says").equal(members.length);
          }
          const stays = (key: string): boolean => !unsealing.has(key);
          expect([...hookedKeys].filter(stays).sort(), "segments told of").deep.equal(head.sealed().map(({ key }) => key).filter(stays).sort());
          for (const key of hookedKeys) {
            const name = nameOf(key);
            expect(keyOf.get(name) ?? key, "an ordinal names one segment for ever").equal(key);
            keyOf.set(name, key);
          }
          const named = new Set<string>();
          for (const { storeId, windowStartMs, next } of head.ordinals()) {
            for (let ordinal = 0; ordinal < next; ordinal++) {
              const name = printName({ storeId, windowStartMs, ordinal });
              named.add(name);
              expect(keyOf.has(name), "no ordinal is left out").equal(true);
            }
          }
          for (const [name, key] of keyOf) {
            if (named.has(name)) continue;
            // Only an ordinal that a renamed segment left is free, with those above it, whose segments are to be renamed.
            const isOfFormerId = !name.startsWith(toHex(head.storeId));
            expect(isOfFormerId && (!head.isSealed(key) || isBehindRenamed(key)), "none was taken that is not remembered").equal(true);
          }
        };
        const restart = async (): Promise<void> => {
          await Promise.allSettled(waiting.splice(0));
          world.disk.onBatch = undefined;
          const started = await startHead(world, { commitCountMax: 3 }, { ...listen, random: seededRandom(++startCount) });
          head = started.head;
          for (const { cutId } of head.cuts()) {
            const before = membersOf.get(cutId)?.filter((key) => !mayHaveLeft(key));
            if (before !== undefined) expect(head.cutIdentities(cutId).filter((key) => !mayHaveLeft(key)), "a cut holds what it held").deep.equal(before);
          }
          hookedCuts = new Set(head.cuts().map(({ cutId }) => cutId));
          hookedKeys = new Set(head.sealed().map(({ key }) => key));
          check();
          expect(started.quarantinedCount, "a crash is no loss").equal(0);
          const numbers = started.replayed.map(numberOf);
          expect(new Set(numbers).size, "no record twice").equal(numbers.length);
          for (const number of numbers) expect(pushed.has(number), "nothing that was never pushed").equal(true);
          for (const number of released) expect(numbers.includes(number), `released ${number}`).equal(false);
          const present = new Set([...numbers, ...[...inSegments.values()].flat(), ...released, ...perhapsReleased]);
          checkEntries(started.replayed);
          for (const number of answered) expect(present.has(number), `answered ${number}`).equal(true);
        };
        /** What is said of the records one by one, and of all of them together, is what is there. */
        const checkEntries = (replayed: readonly ReplayedRecord[]): void => {
          const { entries, nextSeq } = head.select({ tenant: "anonymous" }, head.pin("anonymous"));
          expect(nextSeq).equal(undefined);
          expect(entries.map(({ seq, cutId, rank }) => [seq, cutId, rank])).deep.equal(replayed.map(({ seq, cutId, rank }) => [seq, cutId, rank]));
          for (const { identity, fingerprint, rank, sizeBytes, stores, timeMs } of entries) {
            const wanted = inTwoWindows(numberOf({ identity }));
            expect([fingerprint, rank, sizeBytes, timeMs]).deep.equal([wanted.fingerprint, rankOf(numberOf({ identity })), wanted.bytes.length, wanted.timeMs]);
            expect(stores).length(2);
          }
          expect(head.stats.openCount + head.stats.cutCount).equal(entries.length);
          for (const cut of head.cuts()) {
            const own = entries.filter(({ cutId }) => cutId === cut.cutId);
            expect(head.cutIdentities(cut.cutId)).deep.equal(own.map(({ identity }) => Buffer.from(identity).toString("latin1")));
          }
        };
        const recordsOf = async ({ cutId }: Cut): Promise<readonly EncodedRecord[]> => {
          const identities = head.cutIdentities(cutId).map((key) => Buffer.from(key, "latin1"));
          const read = await Promise.all(identities.map((identity) => head.readRecord(identity)));
          return read.filter((record) => record !== undefined);
        };
        let { head } = await startHead(world, { commitCountMax: 3 }, listen);

        for (const step of steps) {
          world.clock.ms += 1000; // past any pause
          switch (step.kind) {
            case "append": {
              const appends = step.numbers.map((number) => {
                pushed.add(number);
                if (released.delete(number)) perhapsReleased.add(number);
                const own = head.storeId;
                return head.append(inTwoWindows(number), rankOf(number) === 0 ? [own, OTHER_STORE] : [OTHER_STORE, own]).then(
                  ({ isDuplicate }) => {
                    answered.add(number);
                    // A copy of its own. What was pushed again is held already, or what was in doubt when it was answered is in the bucket.
                    if (!isDuplicate && !released.has(number) && !releasing.has(number)) perhapsReleased.delete(number);
                  },
                  () => undefined,
                );
              });
              waiting.push(...appends);
              if (step.isAwaited) await Promise.all(appends);
              break;
            }
            case "cut": {
              await head.cut().catch(() => undefined);
              check();
              break;
            }
            case "cutOf": {
              const { windowOdd, rank } = step;
              const filter = {
                ...(windowOdd !== undefined && { windowStartMs: FIRST_WINDOW_MS + (windowOdd ? HOUR_MS : 0) }),
                ...(rank !== undefined && { ranks: new Set([rank]) }),
              };
              const cut = await head.cut(filter).catch(() => undefined);
              check();
              for (const key of cut === undefined ? [] : head.cutIdentities(cut.cutId)) {
                const number = numberOf({ identity: Buffer.from(key, "latin1") });
                expect(windowOdd === undefined || (number % 2 === 1) === windowOdd, "of the window").equal(true);
                expect(rank ?? rankOf(number), "of the rank").equal(rankOf(number));
              }
              break;
            }
            case "release": {
              const doubted = step.numbers.filter((number) => !perhapsReleased.has(number));
              for (const number of doubted) perhapsReleased.add(number);
              for (const number of step.numbers) releasing.add(number);
              const count = await head.release(step.numbers.map((number) => inTwoWindows(number).identity)).catch(() => undefined);
              releasing.clear();
              if (count !== undefined) for (const number of doubted) perhapsReleased.delete(number);
              for (const number of step.numbers) if (released.has(number)) expect(head.entry(inTwoWindows(number).identity), "it is gone").equal(undefined);
              check();
              break;
            }
            case "seal": {
              const cut = head.cuts().at(step.isLast ? -1 : 0);
              if (cut === undefined) break;
              const records = await recordsOf(cut).catch(() => undefined);
              const ordinals = await head.nextOrdinals(cut.cutId).catch(() => undefined);
              if (records === undefined || ordinals === undefined) break;
              const segments = ordinals.map((name) => ({ ...name, key: `${printName(name)} cut-${cut.cutId}`, bytes: Uint8Array.of(1) }));
              for (const { key, windowStartMs } of segments) inSegments.set(key, records.filter(({ timeMs }) => windowStartOf(timeMs) === windowStartMs).map(numberOf)); // the file is synced before the seal
              await head.seal(cut.cutId, segments).catch(() => undefined);
              check();
              break;
            }
            case "unseal": {
              const segment = head.sealed()[0];
              if (segment === undefined) break;
              unsealing.add(segment.key);
              await head.unseal(segment.key).catch(() => undefined);
              break;
            }
            case "renew":
              await head.takeNewStoreId("a test").catch(() => undefined);
              check();
              break;
            case "rename": {
              // The lowest ordinal first: keys sort so.
              const segment = head.sealed().find(({ key }) => !key.startsWith(toHex(head.storeId)) && !unsealing.has(key));
              if (segment === undefined) break;
              const [storeId, windowStartMs, ordinal] = nameOf(segment.key).split("/");
              const from = { storeId: storeId!, tenant: "anonymous", windowStartMs: Number(windowStartMs), ordinal: Number(ordinal), key: segment.key };
              const name = await head.nextOrdinal("anonymous", from.windowStartMs).catch(() => undefined);
              if (name === undefined || !head.isSealed(segment.key)) break;
              const key = `${printName(name)} ${segment.key.split(" ")[1]!}`;
              inSegments.set(key, inSegments.get(segment.key)!); // its file is synced before
              renamedFrom.add(segment.key);
              await head.rename(from, { ...name, key, bytes: segment.bytes }).catch(() => undefined);
              check();
              break;
            }
            case "power": {
              let left = step.afterBatches;
              world.disk.onBatch = () => {
                if (left-- > 0) return;
                world.disk.onBatch = undefined;
                if (step.fate === "fail-kept") return "after";
                if (step.fate === "fail") throw new Error("EIO");
                if (step.fate === "before") {
                  world.disk.crash();
                  throw new Error("the power is gone");
                }
                return;
              };
              break;
            }
            case "crash":
              world.disk.crash();
              await restart();
              break;
            case "close":
              await head.close();
              await restart();
              break;
          }
        }
        world.disk.crash();
        await Promise.allSettled(waiting);
        world.checkpoint.lose(checkpointLoss); // it is not synced: power loss may take its last marks
        await restart();
      }),
      { numRuns: Number(process.env["PYROMESH_RUNS"] ?? 300) },
    );
  });

  it("the memory store does drop what was not synced, or the property proves nothing", async () => {
    const { disk } = memoryWorld();
    const { store } = await disk.open({ isRepairing: true });
    await store.batch([{ kind: "put", key: Uint8Array.of(1), value: Uint8Array.of(1) }], { isSynced: true });
    await store.batch([{ kind: "put", key: Uint8Array.of(2), value: Uint8Array.of(1) }], { isSynced: false });
    disk.crash();
    expect(disk.keys().map((key) => key[0])).deep.equal([1]);
  });

  it("a head that did not sync would lose an answered append", async () => {
    const world = memoryWorld();
    const { head } = await startHead({
      ...world,
      disk: new Proxy(world.disk, {
        get: (disk, name) =>
          name === "open"
            ? async (options: { isRepairing: boolean }) => {
                const { store, loss } = await disk.open(options);
                return { store: { ...store, batch: (ops: Parameters<typeof store.batch>[0]) => store.batch(ops, { isSynced: false }) }, loss };
              }
            : Reflect.get(disk, name, disk),
      }),
    });
    await head.append(makeRecord(1));
    world.disk.crash();
    const again = await startHead(world);
    expect(again.replayed).length(0);
    expect(again.quarantinedCount, "and the checkpoint says so").equal(1);
  });
});
