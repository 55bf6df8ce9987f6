/** Durability, proven on a store that drops every unsynced write: whatever happens, an answered append is there once. */
import { expect } from "chai";
import fc from "fast-check";
import type { Head } from "./head.ts";
import { makeRecord, memoryWorld, numberOf, startHead } from "./testing/fixtures.ts";

type Step =
  | { readonly kind: "append"; readonly numbers: readonly number[]; readonly isAwaited: boolean }
  | { readonly kind: "cut" | "seal" | "unseal" | "crash" | "close" }
  | { readonly kind: "power"; readonly afterBatches: number; readonly fate: "before" | "after" | "fail" | "fail-kept" };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("append" as const), numbers: fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }), isAwaited: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("cut" as const, "seal" as const, "unseal" as const, "crash" as const, "close" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("power" as const), afterBatches: fc.nat(3), fate: fc.constantFrom("before" as const, "after" as const, "fail" as const, "fail-kept" as const) }) },
);

describe("head on a store that drops every unsynced write", function () {
  this.timeout(60_000);

  it("every answered append is there once, an unanswered one at most once, whatever is cut, sealed, refused or cut off", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 40 }), fc.nat(3), async (steps, witnessLoss) => {
        const world = memoryWorld();
        let { head } = await startHead(world, { commitCountMax: 3 });
        const answered = new Set<number>();
        const pushed = new Set<number>();
        /** What sealed segments hold, as the bucket and the local files would. */
        const inSegments = new Map<string, number[]>();
        const waiting: Promise<unknown>[] = [];
        const given = new Map<string, string>(); // window/ordinal -> its records

        const restart = async (): Promise<void> => {
          await Promise.allSettled(waiting.splice(0));
          world.disk.onBatch = undefined;
          const started = await startHead(world, { commitCountMax: 3 });
          head = started.head;
          expect(started.quarantinedCount, "a crash is no loss").equal(0);
          const numbers = started.replayed.map(numberOf);
          expect(new Set(numbers).size, "no record twice").equal(numbers.length);
          for (const number of numbers) expect(pushed.has(number), "nothing that was never pushed").equal(true);
          const present = new Set([...numbers, ...[...inSegments.values()].flat()]);
          for (const number of answered) expect(present.has(number), `answered ${number}`).equal(true);
          for (const cut of head.cuts()) checkOrdinals(head, cut.cutId, started.replayed.filter((record) => record.cutId === cut.cutId).map(numberOf));
        };
        const checkOrdinals = (of: Head, cutId: number, numbers: readonly number[]): void => {
          const cut = of.cuts().find((one) => one.cutId === cutId)!;
          for (const { tenant, windowStartMs, ordinal } of cut.groups) {
            const key = `${tenant}/${windowStartMs}/${ordinal}`;
            const records = [...numbers].sort((a, b) => a - b).join();
            expect(given.get(key) ?? records, "an ordinal names the same records for ever").equal(records);
            given.set(key, records);
          }
        };
        const numbersOf = async (cut: { firstSeq: number; lastSeq: number }): Promise<number[]> => {
          const seqs = Array.from({ length: cut.lastSeq - cut.firstSeq + 1 }, (_, i) => cut.firstSeq + i);
          return (await head.read(seqs)).flatMap((record) => (record === undefined ? [] : [numberOf(record)]));
        };

        for (const step of steps) {
          world.clock.ms += 1000; // past any pause
          switch (step.kind) {
            case "append": {
              const appends = step.numbers.map((number) => {
                pushed.add(number);
                return head.append(makeRecord(number)).then(
                  () => void answered.add(number),
                  () => undefined,
                );
              });
              waiting.push(...appends);
              if (step.isAwaited) await Promise.all(appends);
              break;
            }
            case "cut": {
              const cut = await head.cut().catch(() => undefined);
              if (cut !== undefined) checkOrdinals(head, cut.cutId, await numbersOf(cut).catch(() => []));
              break;
            }
            case "seal": {
              const cut = head.cuts()[0];
              if (cut === undefined) break;
              const numbers = await numbersOf(cut).catch(() => undefined);
              if (numbers === undefined) break;
              inSegments.set(`cut-${cut.cutId}`, numbers); // the file is synced before the seal
              await head.seal(cut.cutId, [{ key: `cut-${cut.cutId}`, bytes: Uint8Array.of(1) }]).catch(() => undefined);
              break;
            }
            case "unseal": {
              const segment = head.sealed()[0];
              if (segment !== undefined) await head.unseal(segment.key).catch(() => undefined);
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
