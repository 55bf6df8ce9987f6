import { expect } from "chai";
import { checkOddRecording } from "../testing/check-odd-recording.ts";
import { oddRecording } from "../testing/odd-recording.ts";

describe("odd JFR recordings", () => {
  it("are either refused with a code, or read; and exactly, where they are whole (npm run fuzz tries more)", () => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= 150; seed++) {
      try {
        const outcome = checkOddRecording(oddRecording(seed));
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      } catch (cause) {
        throw new Error(`npm run fuzz -- --of jfr --seed ${seed} --count 1`, { cause });
      }
    }
    expect(outcomes.get("accepted"), JSON.stringify([...outcomes])).greaterThan(30);
    expect(outcomes.get("PROFILE_MALFORMED")).greaterThan(30);
  });
});
