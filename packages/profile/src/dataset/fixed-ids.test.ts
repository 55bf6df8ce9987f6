import { expect } from "chai";
import fc from "fast-check";
import { FixedIds } from "./fixed-ids.ts";

describe("fixed ids", () => {
  it("gives the same number to the same bytes, numbers in order of first appearance, and holds the bytes, whatever the seed", () => {
    for (const width of [8, 16]) {
      const id = fc.uint8Array({ minLength: width, maxLength: width, max: 3 }); // few values: many repeat
      fc.assert(
        fc.property(fc.array(id, { maxLength: 300 }), fc.integer(), (ids, seed) => {
          const table = new FixedIds(width, seed);
          const numbers = new Map<string, number>();
          for (const bytes of ids) {
            const key = Buffer.from(bytes).toString("hex");
            if (!numbers.has(key)) numbers.set(key, numbers.size + 1);
            const around = Uint8Array.of(9, 9, 9, ...bytes, 9);
            expect(table.intern(around, 3)).equal(numbers.get(key));
          }
          expect(table.count).equal(numbers.size + 1);
          for (const [key, number] of numbers) expect(Buffer.from(table.bytes.subarray(number * width, (number + 1) * width)).toString("hex")).equal(key);
          expect([...table.bytes.subarray(0, width)]).deep.equal(Array.from({ length: width }, () => 0));
        }),
      );
    }
  });

  it("keeps its numbers through growing to many", () => {
    const table = new FixedIds(8, 1);
    const id = (value: number): Uint8Array => new Uint8Array(new Float64Array([value]).buffer);
    for (let i = 1; i <= 50_000; i++) expect(table.intern(id(i), 0)).equal(i);
    for (let i = 50_000; i >= 1; i--) expect(table.intern(id(i), 0)).equal(i);
  });

  it("where an id falls depends on the seed", () => {
    // Ids that all fall into one slot under one seed would make it a list: 20,000 of them cost some 10^8 comparisons.
    const fallsAlike = (seed: number, ids: readonly Uint8Array[]): number => {
      const table = new FixedIds(8, seed);
      let probes = 0;
      for (const bytes of ids) {
        const counted = new Proxy(bytes, { get: (target, key) => (probes++, Reflect.get(target, key)) });
        table.intern(counted, 0);
      }
      return probes;
    };
    const ids = Array.from({ length: 30 }, (_, i) => new Uint8Array(new Float64Array([i + 1]).buffer));
    const costs = new Set(Array.from({ length: 20 }, (_, seed) => fallsAlike(seed * 0x9e3779b1, ids)));
    expect(costs.size).above(1);
  });
});
