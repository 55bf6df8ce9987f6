import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { printReplay, retrySecondsOf, StartProgress } from "./start-progress.ts";

const MB = 2 ** 20;
const halfway = { recordCount: 500, bytes: 10 * MB, recordCountAll: 1000, bytesAll: 20 * MB };

describe("start progress", () => {
  it("says what is done now, and of a replay how far it has come", () => {
    const progress = new StartProgress({ clock: new ManualClock() });
    expect(progress.words).to.equal("starting");
    progress.begin("opening the head");
    expect(progress.words).to.equal("opening the head");
    progress.replayed(halfway);
    expect(progress.words).to.equal("replaying the head: 500 of 1000 records, 10 of 20 MB");
    expect(printReplay({ ...halfway, bytes: MB / 2 })).to.include("0.5 of 20 MB");
    progress.begin("waiting for the bucket");
    expect(progress.words).to.equal("waiting for the bucket");
  });

  it("Retry-After is what is left at the pace so far: at least a second, at most a minute, a second while the pace is unknown", () => {
    expect(retrySecondsOf({ ...halfway, bytes: 0 }, 5000)).to.equal(1);
    expect(retrySecondsOf(halfway, 7001)).to.equal(8);
    expect(retrySecondsOf(halfway, 10)).to.equal(1);
    expect(retrySecondsOf(halfway, 3_600_000)).to.equal(60);
    expect(retrySecondsOf({ ...halfway, bytes: 21 * MB }, 7000), "more than the commits said").to.equal(1);
  });

  it("the refusal carries both", () => {
    const clock = new ManualClock();
    const progress = new StartProgress({ clock });
    progress.replayed({ ...halfway, recordCount: 0, bytes: 0 });
    clock.advance(3000);
    progress.replayed(halfway);
    expect(progress.refusal()).to.deep.include({ code: "NODE_STARTING", kind: "unavailable", details: { retryAfterSeconds: 3 } });
    expect(progress.refusal().message).to.include("replaying the head: 500 of 1000 records");
  });
});
