import { expect } from "chai";
import { ManualClock } from "./testing/manual-clock.ts";
import { Turns } from "./turns.ts";

describe("turns", () => {
  it("are due once a slice has passed, and not again until the next has", async () => {
    const clock = new ManualClock();
    const turns = new Turns({ clock }, 5);
    expect(turns.areDue).to.equal(false);
    clock.advance(5);
    expect(turns.areDue).to.equal(true);
    await turns.give();
    expect(turns.areDue).to.equal(false);
    clock.advance(5);
    expect(turns.areDue).to.equal(true);
  });

  it("other work runs before the work goes on", async () => {
    const turns = new Turns({ clock: new ManualClock() });
    const ran: string[] = [];
    setImmediate(() => ran.push("other"));
    await turns.give();
    ran.push("work");
    expect(ran).to.deep.equal(["other", "work"]);
  });
});
