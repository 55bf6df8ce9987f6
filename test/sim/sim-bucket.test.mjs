/** LISTs of the simulated bucket that show the past: which objects they may lack. */
import { expect } from "chai";
import { META_NOTES } from "@pyromesh/head/testing";
import { Chance } from "./dist/world/chance.js";
import { Life, Scheduler } from "./dist/world/scheduler.js";
import { SimBucket } from "./dist/world/sim-bucket.js";
import { StoreState } from "./dist/world/sim-store.js";

const SIGNAL = new AbortController().signal;

describe("a LIST of the simulated bucket that shows the past", () => {
  let scheduler;
  let simulated;
  let bucket;
  beforeEach(() => {
    const chance = new Chance(1, "bucket");
    scheduler = new Scheduler(chance.stream("scheduler"));
    const faults = { comes: (fault) => fault === "bucket list is stale", slowMs: () => 0 };
    const fail = (error) => {
      throw error;
    };
    simulated = new SimBucket(chance, { scheduler, faults, journal: { note: () => {} }, clock: { nowMs: () => scheduler.nowMs }, speed: 1, fail });
    bucket = simulated.openFor({ life: new Life("n1 run 1"), host: "127.0.0.1" });
  });

  /** Begins the work a second later, and runs the world until it is done. */
  async function done(begin) {
    let isDone = false;
    const work = scheduler.wait(1_000).then(begin);
    void work.finally(() => (isDone = true));
    await scheduler.run(() => isDone);
    return work;
  }
  const put = (key) => done(() => bucket.put(key, Uint8Array.of(1), {}, SIGNAL));
  async function listed() {
    const keys = [];
    for await (const page of bucket.list("v1/", {}, SIGNAL)) keys.push(...page.map(({ key }) => key));
    return keys;
  }
  /** How many of ten LISTs in a row show the key. */
  async function shownOfTen(key) {
    let count = 0;
    for (let at = 0; at < 10; at++) if ((await done(listed)).includes(key)) count++;
    return count;
  }

  it("may lack what was put just before", async () => {
    await put("v1/a");
    expect(await shownOfTen("v1/a")).to.be.below(10);
  });

  it("shows what was put before a store started that does not know what it released, and may lack what came later", async () => {
    await put("v1/a");
    simulated.showWhatWasPut();
    await put("v1/b");
    expect(await shownOfTen("v1/a")).to.equal(10);
    expect(await shownOfTen("v1/b")).to.be.below(10);
  });

  it("a store does not know what it released where it is in use and has no notes; a new one has released nothing", () => {
    const store = new StoreState();
    expect(store.lacksNotes).to.equal(false);
    store.keep([{ kind: "put", key: Uint8Array.of(1), value: Uint8Array.of() }]);
    expect(store.lacksNotes).to.equal(true);
    store.keep([{ kind: "put", key: META_NOTES, value: Uint8Array.of() }]);
    expect(store.lacksNotes).to.equal(false);
  });
});
