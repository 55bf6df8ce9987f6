import { expect } from "chai";
import { Mutex } from "./mutex.ts";

describe("mutex", () => {
  it("one holds it at a time, and the others follow in the order in which they came", async () => {
    const mutex = new Mutex();
    const events: string[] = [];
    const work = async (name: string): Promise<void> => {
      const end = await mutex.lock();
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
