import { expect } from "chai";
import { CRASHED, InPlaceThreads } from "../testing/in-place-threads.ts";
import type { ThreadMoment } from "../testing/in-place-threads.ts";
import { SeededWorld } from "../testing/seeded-world.ts";
import { scanOf, serviceOf, taskOf, WorkerRig } from "../testing/worker-rig.ts";
import type { ThreadEnd } from "./worker-threads.ts";

const HERE = serviceOf(0);
const never = new AbortController().signal;

async function openRig(endAt?: (moment: ThreadMoment) => ThreadEnd | undefined): Promise<{ readonly world: SeededWorld; readonly rig: WorkerRig<InPlaceThreads> }> {
  const world = new SeededWorld(1);
  const threads = new InPlaceThreads({ random: world.random, deliver: world.deliver, ...(endAt === undefined ? {} : { endAt }) });
  const rig = new WorkerRig({ threads, clock: world.clock, slotCount: 2 });
  await world.run(rig.start());
  return { world, rig };
}

const isBarrier = ({ calls }: ThreadMoment): boolean => calls.some((call) => "method" in call && call.method === "barrier");

describe("settle", () => {
  it("is answered after every insert made before it, and drops nothing", async () => {
    const done: string[] = [];
    const { world, rig } = await openRig(({ at, calls }) => {
      if (at === "reply") for (const call of calls) if ("method" in call) done.push(call.method);
      return undefined;
    });
    const [record] = await world.run(rig.compute.encode(taskOf(1, HERE, 0)));
    done.length = 0;
    for (let i = 0; i < 20; i++) rig.compute.insert(0, [{ ...record! }]); // copies have no pre-interned row: each is decoded again
    let isSettled = false;
    const settling = rig.compute.settle().then(() => (isSettled = true));
    expect(isSettled).to.equal(false);
    await world.run(settling);
    expect(done.indexOf("insert")).to.be.within(0, done.indexOf("barrier"));
    expect(done).to.not.include("drop");
    const partials = await world.run(rig.compute.scan(scanOf([0]), never));
    expect(partials.reduce((sum, { recordCount }) => sum + recordCount, 0)).to.equal(1);
    await world.run(rig.stop());
  });

  for (const at of ["arrival", "call", "reply"] as const) {
    it(`resolves where a thread dies with the barrier at its ${at}: what it had inserted is read back before an answer`, async () => {
      let deaths = 0;
      const { world, rig } = await openRig((moment) => (moment.at === at && moment.worker === 0 && isBarrier(moment) && deaths++ === 0 ? CRASHED : undefined));
      await world.run(rig.push(5, HERE));
      await world.run(rig.compute.settle());
      expect(deaths).to.be.above(0);
      expect(await world.run(rig.answer())).to.deep.equal({ records: 1, sum: 5 });
      await world.run(rig.stop());
    });
  }

  it("resolves at once while rows are read back: it does not wait for a disk that does not answer", async () => {
    const { world, rig } = await openRig();
    await world.run(rig.push(5, HERE));
    let read!: () => void; // set before the constructor returns
    const mayRead = new Promise<void>((resolve) => (read = resolve));
    rig.beforePage = () => mayRead;
    await world.run(rig.threads.kill(0));
    await world.run(rig.compute.settle());
    read();
    expect(await world.run(rig.answer())).to.deep.equal({ records: 1, sum: 5 });
    await world.run(rig.stop());
  });
});

describe("a scan that leaves records out", () => {
  it("leaves them out in every worker", async () => {
    const { world, rig } = await openRig();
    await world.run(Promise.all([rig.push(1, HERE), rig.push(2, HERE), rig.push(4, serviceOf(1)), rig.push(8, serviceOf(1))]));
    const [left] = await world.run(rig.compute.encode(taskOf(2, HERE, 0)));
    const [other] = await world.run(rig.compute.encode(taskOf(8, serviceOf(1), 0)));
    const except = Buffer.concat([left!.identity, other!.identity]);
    const partials = await world.run(rig.compute.scan({ ...scanOf([0]), except }, never));
    expect(partials.map(({ recordCount }) => recordCount)).to.deep.equal([1, 1]);
    rig.compute.release([left!, other!]);
    await world.run(rig.stop());
  });
});
