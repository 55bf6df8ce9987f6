import { expect } from "chai";
import { checkOddPush } from "../testing/check-odd-push.ts";
import { oddPush } from "../testing/odd-push.ts";

describe("odd pushes", () => {
  it("are either refused with a reason and keep no state, or have the same total in every answer (npm run fuzz tries more)", () => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= 400; seed++) {
      try {
        const outcome = checkOddPush(oddPush(seed));
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      } catch (cause) {
        throw new Error(`npm run fuzz -- --seed ${seed} --count 1`, { cause });
      }
    }
    expect(outcomes.get("accepted"), JSON.stringify([...outcomes])).greaterThan(150);
    expect(outcomes.get("malformed_profile")).greaterThan(30);
  });

  it("can be made of a seed that draws labels without anything, which the encoder measures wrongly", () => {
    expect(oddPush(717_062_713).bytes.length).greaterThan(0);
  });
});
