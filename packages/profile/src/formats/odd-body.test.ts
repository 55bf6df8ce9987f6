import { expect } from "chai";
import { checkOddBody } from "../testing/check-odd-body.ts";
import { oddBody } from "../testing/odd-body.ts";

describe("odd bodies", () => {
  for (const kind of ["speedscope", "tree", "trie"] as const) {
    it(`of ${kind} are refused with a sentence or become records, and whole ones come out as they were made (npm run fuzz tries more)`, () => {
      const outcomes = new Map<string, number>();
      for (let seed = 1; seed <= 300; seed++) {
        try {
          const outcome = checkOddBody(oddBody(kind, seed));
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        } catch (cause) {
          throw new Error(`npm run fuzz -- --of ${kind} --seed ${seed} --count 1`, { cause });
        }
      }
      expect(outcomes.get("accepted"), JSON.stringify([...outcomes])).greaterThan(50);
      expect(outcomes.get("PROFILE_MALFORMED"), JSON.stringify([...outcomes])).greaterThan(80);
    });
  }
});
