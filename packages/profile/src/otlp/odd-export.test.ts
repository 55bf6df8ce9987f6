import { checkOddExport } from "../testing/check-odd-export.ts";
import { oddExport } from "../testing/odd-export.ts";

describe("odd OTLP exports", () => {
  it("are refused with a sentence, or give the values that were measured, in every version", () => {
    for (let seed = 1; seed <= 300; seed++) checkOddExport(oddExport(seed));
  });
});
