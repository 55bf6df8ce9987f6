/** Whatever was released, cut in part, sealed or set aside before: what is lost of the store is quarantined with its time, and nothing else is. */
import { expect } from "chai";
import fc from "fast-check";
import { seededRandom } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { windowStartOf } from "@pyromesh/profile";
import { decodeCommit } from "../entries/commit-entry.ts";
import { META_STORE, parseKey, recordKey } from "../entries/keys.ts";
import type { Head } from "../head.ts";
import type { QuarantineEntry } from "./quarantine.ts";
import { HOUR_MS, makeRecord, memoryWorld, numberOf, startHead } from "../testing/fixtures.ts";
import type { MemoryDisk } from "../testing/memory-store.ts";

type Step =
  | { readonly kind: "append" | "release"; readonly numbers: readonly number[] }
  | { readonly kind: "cutOf"; readonly window: number }
  | { readonly kind: "cut" | "unseal" }
  | { readonly kind: "seal" | "setAside"; readonly which: number };

interface Damage {
  readonly key: number;
  /** Undefined: the entry is gone. With a commit of records goes its whole batch, as LevelDB loses it. */
  readonly flipAt: number | undefined;
}

const numbersArbitrary = fc.uniqueArray(fc.nat(60), { minLength: 1, maxLength: 6 });
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("append" as const), numbers: numbersArbitrary }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("release" as const), numbers: numbersArbitrary }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cutOf" as const), window: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("cut" as const, "unseal" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("seal" as const, "setAside" as const), which: fc.nat(60) }) },
);
const damageArbitrary: fc.Arbitrary<Damage> = fc.record({ key: fc.nat(1000), flipAt: fc.option(fc.nat(500), { nil: undefined }) });

const FIRST_WINDOW_MS = windowStartOf(1_700_000_000_000);
const inSevenWindows = (number: number): EncodedRecord => makeRecord(number, { timeMs: FIRST_WINDOW_MS + (number % 7) * HOUR_MS + number * 1000 });
const identityOf = (number: number): Uint8Array => inSevenWindows(number).identity;
const covers = ({ startMs = -Infinity, endMs = Infinity }: QuarantineEntry, timeMs: number): boolean => startMs <= timeMs && timeMs <= endMs;

describe("losses of a store from which records left one by one", function () {
  this.timeout(60_000);

  it("a store whose first entry did not come to the disk is the same new store at the next start", async () => {
    const world = memoryWorld();
    const { storeId } = (await startHead(world)).head;
    world.disk.crash();
    world.disk.tamper(META_STORE, () => undefined);
    expect(world.checkpoint.read(), "it was written before").deep.include({ commit: 0, ordinalNext: 0 });
    const random = seededRandom(2);
    const { head, quarantinedCount } = await startHead(world, {}, { random });
    expect([head.storeId, head.isFirstFormat, quarantinedCount]).deep.equal([storeId, false, 0]);
  });

  it("a lost record is in a quarantine that covers its time, one that left is none, and the loss is found once", async () => {
    let lostCount = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { minLength: 5, maxLength: 30 }), fc.array(damageArbitrary, { maxLength: 3 }), async (steps, damages) => {
        const world = memoryWorld();
        let startCount = 0;
        const start = (): ReturnType<typeof startHead> => startHead(world, { commitCountMax: 4 }, { random: seededRandom(++startCount) });
        let { head } = await start();
        const held = new Set<number>();
        const left = new Set<number>();
        for (const step of steps) await take(head, step, held, left);

        world.disk.crash();
        const keys = world.disk.keys().filter((key) => "rgc".includes(String.fromCharCode(key[0]!)));
        const hits = keys.length === 0 ? [] : damages.map(({ key, flipAt }) => ({ hit: keys[key % keys.length]!, flipAt }));
        const lost = hits.flatMap(({ hit, flipAt }) => (flipAt === undefined ? [hit, ...recordsIn(world.disk, hit)] : []));
        for (const { hit, flipAt = 0 } of hits) world.disk.tamper(hit, (value) => value.map((byte, at) => (at === flipAt % value.length ? byte ^ 1 : byte)));
        for (const key of lost) world.disk.tamper(key, () => undefined);
        const before = head.quarantine().length;
        const found = await start();
        ({ head } = found);
        const numbers = found.replayed.map(numberOf);
        expect(new Set(numbers).size, "no record twice").equal(numbers.length);
        for (const number of held) {
          if (numbers.includes(number)) continue;
          lostCount++;
          const { timeMs } = inSevenWindows(number);
          expect(head.quarantine().slice(before).some((entry) => covers(entry, timeMs)), `lost ${number}`).equal(true);
        }
        if (damages.length === 0) expect([found.quarantinedCount, [...held].sort()], "nothing was lost").deep.equal([0, numbers.toSorted()]);

        world.disk.crash();
        const again = await start();
        expect([again.quarantinedCount, again.replayed.map(numberOf)], "the next start finds nothing new").deep.equal([0, numbers]);
      }),
      { numRuns: Number(process.env["PYROMESH_RUNS"] ?? 300) },
    );
    expect(lostCount, "the damage did cost records, or the property proves nothing").greaterThan(20);
  });
});

/** Keys of what a commit of records took in; none for another entry. */
function recordsIn(disk: MemoryDisk, key: Uint8Array): Uint8Array[] {
  const parsed = parseKey(key);
  const keys: Uint8Array[] = [];
  if (parsed?.kind !== "commit") return keys;
  disk.tamper(key, (value) => {
    const commit = decodeCommit(parsed.number, value);
    if (commit.kind === "records") for (let seq = commit.firstSeq; seq <= commit.lastSeq; seq++) keys.push(recordKey(seq));
    return value;
  });
  return keys;
}

/** `left`: released, sealed or set aside. They are not pushed again. */
async function take(head: Head, step: Step, held: Set<number>, left: Set<number>): Promise<void> {
  const leave = (number: number): void => {
    if (held.delete(number)) left.add(number);
  };
  switch (step.kind) {
    case "append":
      await Promise.all(step.numbers.filter((number) => !left.has(number)).map((number) => head.append(inSevenWindows(number)).then(() => held.add(number))));
      break;
    case "release":
      await head.release(step.numbers.map(identityOf));
      for (const number of step.numbers) leave(number);
      break;
    case "cutOf":
      await head.cut({ windowStartMs: FIRST_WINDOW_MS + step.window * HOUR_MS });
      break;
    case "cut":
      await head.cut();
      break;
    case "seal": {
      const cut = head.cuts().at(step.which % 3);
      if (cut === undefined) break;
      const sealed = head.cutIdentities(cut.cutId).map((key) => numberOf({ identity: Buffer.from(key, "latin1") }));
      const ordinals = (await head.nextOrdinals(cut.cutId))!; // just listed
      await head.seal(cut.cutId, ordinals.map((name) => ({ ...name, key: `${name.storeId}/${name.windowStartMs}/${name.ordinal}`, bytes: Uint8Array.of(1) })));
      for (const number of sealed) leave(number);
      break;
    }
    case "unseal": {
      const segment = head.sealed()[0];
      if (segment !== undefined) await head.unseal(segment.key);
      break;
    }
    case "setAside": {
      const entry = head.entry(identityOf(step.which));
      if (entry === undefined) break;
      await head.setAside(entry.seq, "a test");
      leave(step.which);
      break;
    }
  }
}
