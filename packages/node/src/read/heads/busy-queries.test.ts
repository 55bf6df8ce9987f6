/** Queries while stores flush between their steps, more often than in a cluster: how often one plans again, and when it is refused. */
import { expect } from "chai";
import { HeadsWorld } from "../../testing/heads-world.ts";

describe("a query in a busy cluster", () => {
  let world: HeadsWorld;
  beforeEach(async () => {
    world = new HeadsWorld(["a", "b", "c"]);
    await world.start();
    await world.pass(10);
  });

  const numbersTo = (count: number): number[] => Array.from({ length: count }, (_, number) => number);
  const roundsOf = (): number => world.cluster.requests.filter(({ method, to }) => method === "digest" && to === "a").length;

  describe("whose every round meets a segment that was sealed since it was planned", () => {
    /** While a round is asked, another record is sealed, in each of the first `count` rounds. */
    const sealInRounds = (count: number): void => {
      let number = 0;
      world.cluster.onRequest = async (_, to, method) => {
        if (method !== "digest" || to !== "a" || number >= count) return;
        await world.push(number++, ["a", "b", "c"]);
        await world.of("a").seal();
      };
    };

    it("is answered by the tenth round", async () => {
      sealInRounds(9);
      expect(await world.ask("c")).deep.equal(numbersTo(9));
      expect(roundsOf()).equal(10);
    });

    it("is refused after the tenth, and one that may be partial says what it may lack", async () => {
      sealInRounds(26);
      expect(await world.ask("c")).equal("PLAN_UNSETTLED");
      expect(roundsOf()).equal(10);
      const { answer, counts } = await world.query("c", { allowPartial: true });
      expect(answer.missing).deep.equal(["segments that were flushed while the query was planned"]);
      expect([...counts.values()].every((count) => count === 1)).equal(true);
      world.cluster.onRequest = () => {};
      expect(await world.ask("c")).deep.equal(numbersTo(20));
    });
  });

  // Rows of rank 0 stay in memory for a query; records of other ranks do not. So this takes a record that rank 0 has not got when it is asked, that reaches it then, and that rank 0
  // flushes and both others match with the bucket before the scan: some hundred milliseconds, and again for each plan, where a store flushes every 15 s.
  describe("whose records are flushed on all members between the digest and the scan", () => {
    beforeEach(async () => {
      world = new HeadsWorld(["a", "b", "c", "d"], { replication: 3 });
      await world.start();
      await world.pass(10);
    });

    /** Before each of the first `count` plans is scanned, all that it is to read from the disks of ranks 1 and 2 is in the bucket, and other records are where it was. */
    const flushBeforeScans = async (count: number): Promise<void> => {
      let number = 0;
      const pushNext = async (): Promise<void> => world.push(number, ["a", "b", "c"], ["b", "c"]);
      await pushNext();
      let lastDigests = 0;
      world.cluster.onRequest = async (_, __, method) => {
        if (method !== "scan" || number >= count || roundsOf() === lastDigests) return;
        lastDigests = roundsOf();
        await world.push(number++, ["a", "b", "c"], ["a"]);
        await world.of("a").flush();
        for (const name of ["b", "c"]) {
          await world.of(name).list();
          await world.of(name).release();
        }
        await pushNext();
      };
    };

    it("is answered by the third plan", async () => {
      await flushBeforeScans(2);
      expect(await world.ask("d")).deep.equal(numbersTo(3));
    });

    it("is refused after the third, and answered when it is asked again", async () => {
      await flushBeforeScans(3);
      expect(await world.ask("d")).equal("HEADS_CHANGED");
      expect(await world.ask("d")).deep.equal(numbersTo(4));
    });
  });
});
