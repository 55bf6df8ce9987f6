import { expect } from "chai";
import { Turns } from "./turns.ts";

describe("turns", () => {
  it("one holds it at a time, and the others follow in the order in which they came", async () => {
    const turns = new Turns();
    const events: string[] = [];
    const work = async (name: string): Promise<void> => {
      const end = await turns.take();
      events.push(`${name} begins`);
      await Promise.resolve();
      events.push(`${name} ends`);
      end();
    };
    await Promise.all(["a", "b", "c"].map(work));
    await work("d");
    expect(events).deep.equal(["a", "b", "c", "d"].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });
});
