import { expect } from "chai";
import fc from "fast-check";
import { labelSetKey } from "./label-set-key.ts";
import { labelsKey } from "./labels.ts";
import type { Label } from "./labels.ts";
import { receivedLabels } from "./relabel.ts";

describe("the key of a label set", () => {
  const name = fc.constantFrom("a", "b", "ab", "service_name", "__name__", "__delta__", "__unit__", "__session_id__");
  const labels = fc.uniqueArray(fc.record({ name, value: fc.constantFrom("", "a", "b", "ba", "unknown_service", "ü") }), { selector: (label) => label.name, maxLength: 6 });

  it("is the same exactly where the same label set is kept", () => {
    fc.assert(
      fc.property(labels, labels, (one, other) => {
        const isSame = labelsKey(receivedLabels(one)) === labelsKey(receivedLabels(other));
        expect(labelSetKey(one) === labelSetKey(other)).to.equal(isSame);
      }),
    );
  });

  it("does not depend on the order of the labels", () => {
    fc.assert(
      fc.property(labels, (one) => {
        expect(labelSetKey([...one].reverse())).to.equal(labelSetKey(one));
      }),
    );
  });

  it("is the same for a label that is sent twice, as it is kept once", () => {
    for (const count of [2, 100]) {
      const set = Array.from({ length: count }, (_, i): Label => ({ name: `label${i}`, value: "x" }));
      expect(labelSetKey([...set, set[0]!, set[count - 1]!])).to.equal(labelSetKey(set));
    }
  });

  it("differs for many label sets that differ in a digit", () => {
    const keys = new Set<number>();
    for (let i = 0; i < 100_000; i++) {
      const set: Label[] = [{ name: "service_name", value: `s-${i % 10}` }, { name: "pod", value: `pod-${Math.floor(i / 10)}` }];
      const key = labelSetKey(set);
      expect(Number.isSafeInteger(key)).to.equal(true);
      keys.add(key);
    }
    expect(keys.size).to.equal(100_000);
  });
});
