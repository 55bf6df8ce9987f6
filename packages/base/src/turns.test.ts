import { expect } from "chai";
import { systemClock } from "./clock.ts";
import { Turns } from "./turns.ts";

describe("turns", () => {
  it("are due once a slice has passed, and not again until the next has", async () => {
    let nowMs = 100;
    const turns = new Turns({ clock: { ...systemClock, monotonicMs: () => nowMs } }, 5);
    expect(turns.areDue).to.equal(false);
    nowMs = 105;
    expect(turns.areDue).to.equal(true);
    await turns.give();
    expect(turns.areDue).to.equal(false);
    nowMs = 110;
    expect(turns.areDue).to.equal(true);
  });

  it("other work runs before the work goes on", async () => {
    const turns = new Turns({ clock: systemClock });
    const ran: string[] = [];
    setImmediate(() => ran.push("other"));
    await turns.give();
    ran.push("work");
    expect(ran).to.deep.equal(["other", "work"]);
  });
});
