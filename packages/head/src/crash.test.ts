/** Durability, proven on a store that drops every unsynced write: whatever happens, an answered append is there once. */
import { expect } from "chai";
import fc from "fast-check";
import type { EncodedRecord } from "@pyromesh/profile";
import { windowStartOf } from "@pyromesh/profile";
import type { Cut } from "./cut.ts";
import type { SealedCut } from "./head.ts";
import { HOUR_MS, makeRecord, memoryWorld, numberOf, startHead } from "./testing/fixtures.ts";

type Step =
  | { readonly kind: "append"; readonly numbers: readonly number[]; readonly isAwaited: boolean }
  | { readonly kind: "cut" | "unseal" | "crash" | "close" }
  | { readonly kind: "seal"; readonly isLast: boolean }
  | { readonly kind: "power"; readonly afterBatches: number; readonly fate: "before" | "after" | "fail" | "fail-kept" };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("append" as const), numbers: fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }), isAwaited: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("cut" as const, "unseal" as const, "crash" as const, "close" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("seal" as const), isLast: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("power" as const), afterBatches: fc.nat(3), fate: fc.constantFrom("before" as const, "after" as const, "fail" as const, "fail-kept" as const) }) },
);

const inTwoWindows = (number: number): EncodedRecord => makeRecord(number, { timeMs: makeRecord(number).timeMs + (number % 2) * HOUR_MS });

describe("head on a store that drops every unsynced write", function () {
  this.timeout(60_000);

  it("every answered append is there once, an unanswered one at most once, whatever is cut, sealed, refused or cut off", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 40 }), fc.nat(3), async (steps, witnessLoss) => {
        const world = memoryWorld();
        const answered = new Set<number>();
        const pushed = new Set<number>();
        /** What sealed segments hold, as the bucket and the local files would. */
        const inSegments = new Map<string, number[]>();
        const waiting: Promise<unknown>[] = [];
        const keyOf = new Map<string, string>(); // store, window and ordinal -> the one segment that took it
        let hookedCuts = new Set<number>();
        let hookedKeys = new Set<string>();
        const unsealing = new Set<string>(); // gone, or not: nobody is told
        const listen = {
          onCut: ({ cutId }: Cut) => void hookedCuts.add(cutId),
          onSealed: ({ cutId, segments }: SealedCut) => {
            hookedCuts.delete(cutId);
            for (const { key } of segments) hookedKeys.add(key);
          },
        };

        /** What listeners were told is what the head holds, and ordinals have no holes and no doubles. */
        const check = (): void => {
          expect([...hookedCuts].sort(), "cuts told of").deep.equal(head.cuts().map(({ cutId }) => cutId).sort());
          const stays = (key: string): boolean => !unsealing.has(key);
          expect([...hookedKeys].filter(stays).sort(), "segments told of").deep.equal(head.sealed().map(({ key }) => key).filter(stays).sort());
          for (const key of hookedKeys) {
            const name = key.split(" ")[0]!;
            expect(keyOf.get(name) ?? key, "an ordinal names one segment for ever").equal(key);
            keyOf.set(name, key);
          }
          for (const { storeId, windowStartMs, next } of head.ordinals()) {
            for (let ordinal = 0; ordinal < next; ordinal++) expect(keyOf.has(`${storeId}/${windowStartMs}/${ordinal}`), "no ordinal is left out").equal(true);
          }
          expect(head.ordinals().reduce((sum, { next }) => sum + next, 0), "none was taken that is not remembered").equal(keyOf.size);
        };
        const restart = async (): Promise<void> => {
          await Promise.allSettled(waiting.splice(0));
          world.disk.onBatch = undefined;
          const started = await startHead(world, { commitCountMax: 3 }, listen);
          head = started.head;
          hookedCuts = new Set(head.cuts().map(({ cutId }) => cutId));
          hookedKeys = new Set(head.sealed().map(({ key }) => key));
          check();
          expect(started.quarantinedCount, "a crash is no loss").equal(0);
          const numbers = started.replayed.map(numberOf);
          expect(new Set(numbers).size, "no record twice").equal(numbers.length);
          for (const number of numbers) expect(pushed.has(number), "nothing that was never pushed").equal(true);
          const present = new Set([...numbers, ...[...inSegments.values()].flat()]);
          for (const number of answered) expect(present.has(number), `answered ${number}`).equal(true);
        };
        const recordsOf = async (cut: { firstSeq: number; lastSeq: number }): Promise<readonly EncodedRecord[]> => {
          const seqs = Array.from({ length: cut.lastSeq - cut.firstSeq + 1 }, (_, i) => cut.firstSeq + i);
          return (await head.read(seqs)).filter((record) => record !== undefined);
        };
        let { head } = await startHead(world, { commitCountMax: 3 }, listen);

        for (const step of steps) {
          world.clock.ms += 1000; // past any pause
          switch (step.kind) {
            case "append": {
              const appends = step.numbers.map((number) => {
                pushed.add(number);
                return head.append(inTwoWindows(number)).then(
                  () => void answered.add(number),
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
            case "seal": {
              const cut = head.cuts().at(step.isLast ? -1 : 0);
              if (cut === undefined) break;
              const records = await recordsOf(cut).catch(() => undefined);
              const ordinals = await head.nextOrdinals(cut.cutId).catch(() => undefined);
              if (records === undefined || ordinals === undefined) break;
              const segments = ordinals.map((name) => ({ ...name, key: `${name.storeId}/${name.windowStartMs}/${name.ordinal} cut-${cut.cutId}`, bytes: Uint8Array.of(1) }));
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
        world.witness.lose(witnessLoss); // it is not synced: power loss may take its last marks
        await restart();
      }),
      { numRuns: Number(process.env["PYROMESH_RUNS"] ?? 300) },
    );
  });

  it("the memory store does drop what was not synced, or the property proves nothing", async () => {
    const { disk } = memoryWorld();
    const { store } = await disk.open({ isMending: true });
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
            ? async (options: { isMending: boolean }) => {
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
    expect(again.quarantinedCount, "and the witness says so").equal(1);
  });
});
