/** Queries over the heads of several stores and one bucket: among others the histories of the model that concern reads. Random ones: random-queries.test.ts. */
import { CodedError, unavailable } from "@pyromesh/base";
import { makeMatcher } from "@pyromesh/profile";
import type { ClusterView } from "@pyromesh/ring";
import { expect } from "chai";
import { HeadsWorld } from "../../testing/heads-world.ts";
import type { QueryOutcome } from "../../testing/heads-world.ts";
import { openDigestAnswer, packDigestAnswer } from "./messages.ts";

const never = new AbortController().signal;

describe("a query over several heads", () => {
  let world: HeadsWorld;
  const begin = async (names: readonly string[], replication?: number): Promise<void> => {
    world = new HeadsWorld(names, replication === undefined ? {} : { replication });
    await world.start();
    await world.pass(10);
  };
  const requestsOf = (method: string): string[] => world.cluster.requests.filter((request) => request.method === method).map(({ from, to }) => `${from}${to}`);
  const missingOf = async (name: string): Promise<readonly string[]> => (await world.query(name, { allowPartial: true })).answer.missing;

  beforeEach(() => begin(["a", "b", "c"]));

  describe("counts", () => {
    it("each record once, whoever keeps it, and gives the same receipt at every node", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.push(1, ["b", "c", "a"]);
      await world.push(2, ["c", "a", "b"], ["c", "b"]);
      await world.push(3, ["a", "b", "c"], ["b", "c"]);
      await world.push(6, ["a", "b", "c"], ["a", "b"]);
      await world.of("b").seal();
      await world.of("c").flush();
      const answers: QueryOutcome[] = [];
      for (const name of world.names) answers.push(await world.query(name));
      for (const { answer, counts } of answers) {
        expect([...counts]).deep.equal([[0, 1], [1, 1], [2, 1], [3, 1], [6, 1]]);
        expect(answer.receipt).deep.equal(answers[0]!.answer.receipt);
      }
      expect(answers[0]!.answer.receipt.storeCount).equal(3);
    });

    it("with one round trip where nothing is buffered", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").flush();
      for (const name of ["b", "c"]) {
        await world.of(name).list();
        await world.of(name).release();
      }
      world.cluster.requests.length = 0;
      expect(await world.ask("b")).deep.equal([0]);
      expect(world.cluster.requests.map(({ method, to }) => `${method} ${to}`).sort()).deep.equal(["digest a", "digest c"]);
    });

    it("from one store that has it in memory where all say the same of a series, without lists of identities", async () => {
      for (const number of [0, 3, 6]) await world.push(number, ["a", "b", "c"]);
      world.cluster.requests.length = 0;
      expect(await world.ask("c")).deep.equal([0, 3, 6]);
      expect([requestsOf("identities"), requestsOf("scan"), requestsOf("release-pin").sort()]).deep.equal([[], ["ca"], ["ca", "cb"]]);
    });

    it("from a replica's disk where the store of rank 0 does not answer", async () => {
      await world.push(0, ["a", "b", "c"]);
      world.cluster.cut("a", "b");
      expect(await world.ask("b")).deep.equal([0]);
    });

    it("what the selectors admit, and other services are not even listed", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.push(1, ["a", "b", "c"], ["a", "c"]);
      world.cluster.requests.length = 0;
      expect(await world.ask("b", { selector: [makeMatcher("service_name", "=", "api")] })).deep.equal([0]);
      expect(await world.ask("b", { selector: [makeMatcher("pod", "=", "pod-1")] })).deep.equal([1]);
      expect(requestsOf("identities")).deep.equal([]);
    });

    it("labels, series and sizes of all heads as well, and the times of all", async () => {
      await world.push(0, ["a", "b", "c"], ["a", "b"]);
      await world.push(4, ["c", "b", "a"], ["c", "b"]);
      const { reader } = world.of("c");
      const nowMs = world.seeded.clock.nowMs();
      const scope = { tenants: [world.tenant], startMs: 0, endMs: nowMs + 3_600_000, allowPartial: false, selectors: [] };
      const listed = await world.run(reader.listing({ ...scope, listing: { kind: "values", name: "pod" }, bounds: { entryCountMax: 0, bytesMax: 0 }, limit: 0, form: "json" }, never));
      expect(listed.value.entryCount).equal(2);
      const analysis = await world.run(reader.analyze(scope, never));
      expect(analysis.value.scopes.map(({ profileCount, seriesCount }) => [profileCount, seriesCount])).deep.equal([[2, 2], [0, 0]]);
      const times = await Promise.all([0, 4].map(async (number) => (await world.record(number)).timeMs));
      expect(await world.run(reader.stats(world.tenant, never))).deep.equal({ oldestMs: times[1], newestMs: times[0] });
      await world.of("a").flush();
      await world.of("c").seal();
      expect(await world.run(reader.stats(world.tenant, never))).deep.equal({ oldestMs: times[1], newestMs: times[0] });
    });
  });

  describe("where a record moves", () => {
    // Model: "the reader's catalog is old".
    it("from all heads into an object that the reader does not know, the stores name it", async () => {
      await begin(["a", "b", "c", "d"], 3);
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").flush();
      for (const name of ["b", "c"]) {
        await world.of(name).list();
        await world.of(name).release();
      }
      expect(world.names.map((name) => world.of(name).heldCount)).deep.equal([0, 0, 0, 0]);
      expect(await world.ask("d")).deep.equal([0]);
    });

    it("into a sealed segment that waits at another store, it is read there", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").seal();
      expect(await world.ask("c")).deep.equal([0]);
      expect(requestsOf("sealed").length).greaterThan(0);
    });

    it("into a sealed segment at a store that serves as many reads as it may, the store is asked again after pauses, for the same plan", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").seal();
      for (const name of ["b", "c"]) world.of("a").tell(name);
      let busyCount = 0;
      world.cluster.onRequest = (from, _, method) => {
        if (from === "c" && method === "sealed" && ++busyCount <= 6) throw unavailable("SEALED_READS_BUSY", "as many as it may");
      };
      world.cluster.requests.length = 0;
      const beganMs = world.seeded.clock.monotonicMs();
      expect(await world.ask("c")).deep.equal([0]);
      expect(requestsOf("digest").filter((way) => way === "cb"), "one plan").length(1);
      expect(world.seeded.clock.monotonicMs() - beganMs, "six refusals").within(50, 2_250);
    });

    it("into a sealed segment at a store that stays busy, the query is refused within its three plans", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").seal();
      for (const name of ["b", "c"]) world.of("a").tell(name);
      world.cluster.onRequest = (_, __, method) => {
        if (method === "sealed") throw unavailable("SEALED_READS_BUSY", "as many as it may");
      };
      const beganMs = world.seeded.clock.monotonicMs();
      expect(await world.ask("c")).equal("STORES_MISSING");
      expect(world.seeded.clock.monotonicMs() - beganMs).lessThan(10_000);
    });

    // Model: "a retry after its segment was matched".
    it("a retry after its segment was matched counts once", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").flush();
      await world.of("b").list();
      await world.of("b").release();
      await world.push(0, ["b", "a", "c"], ["b", "a"]);
      expect(await world.ask("b")).deep.equal([0]);
      expect(await world.ask("c")).deep.equal([0]);
    });

    it("a retry in the middle of the match counts once", async () => {
      await world.push(0, ["a", "b", "c"], ["a"]);
      await world.push(3, ["a", "b", "c"], ["a"]);
      await world.push(2, ["b", "a", "c"], ["b"]); // its time lies between those of the object
      await world.of("a").flush();
      await world.of("c").list();
      const { matcher } = world.of("b");
      const match = matcher.match.bind(matcher);
      let count = 0;
      matcher.match = async (objects, signal) => {
        const held = await match(objects, signal);
        count++;
        await world.push(0, ["b", "a", "c"], ["b"]);
        return held;
      };
      expect(await world.ask("c")).deep.equal([0, 2, 3]);
      expect(count).greaterThan(0);
    });

    for (const step of ["seal", "flush", "release"] as const) {
      it(`${step} between the rounds does no harm`, async () => {
        await world.push(0, ["a", "b", "c"]);
        await world.push(1, ["b", "c", "a"]);
        let isDone = false;
        world.cluster.onRequest = async (_, __, method) => {
          if (method !== "scan" || isDone) return;
          isDone = true;
          if (step === "release") await world.of("b").flush();
          for (const name of world.names) {
            if (step === "release") await world.of(name).list();
            await world.of(name)[step]();
          }
        };
        expect(await world.ask("c")).deep.equal([0, 1]);
        expect(isDone).equal(true);
      });
    }

    // Model: "a digest compared without its sequence number".
    it("a record that comes after the digest is in none of the rounds", async () => {
      await world.push(0, ["a", "b", "c"], ["a", "b"]);
      await world.push(6, ["b", "c", "a"], ["b"]);
      world.cluster.onRequest = async (_, __, method) => {
        if (method === "identities") await world.push(12, ["b", "c", "a"], ["b"]);
        if (method === "scan") await world.push(18, ["a", "b", "c"], ["a", "b"]);
      };
      expect(await world.ask("c")).deep.equal([0, 6]);
      expect(requestsOf("identities").length).greaterThan(0);
      world.cluster.onRequest = () => {};
      expect(await world.ask("c")).deep.equal([0, 6, 12, 18]);
    });
  });

  describe("lists the bucket first", () => {
    const flushedAndForgotten = async (): Promise<void> => {
      await begin(["a", "b", "c", "d"], 3);
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").flush();
      for (const name of ["b", "c"]) {
        await world.of(name).list();
        await world.of(name).release();
      }
    };

    // Model: "LIST is older than a clearing", "LIST is older than a LEFT", "RF rose, LIST is older": the view has the time of each.
    it("where its LIST is older than a clearing, a LEFT, a rise or a start of which it learned", async () => {
      await flushedAndForgotten();
      for (const name of ["a", "b", "c"]) world.of(name).releasedInto.within = () => []; // whoever knew is gone
      expect(await world.ask("d")).deep.equal([]);
      world.cluster.of("d").update({ listAfterMs: world.seeded.clock.monotonicMs() });
      expect(await world.ask("d")).deep.equal([0]);
    });

    it("and is refused where that fails", async () => {
      await flushedAndForgotten();
      world.cluster.of("d").update({ listAfterMs: world.seeded.clock.monotonicMs() });
      world.bucket.goDown();
      expect(await world.ask("d")).equal("CATALOG_INCOMPLETE");
      expect((await missingOf("d"))[0]).contain("must be listed first");
    });

    it("where stores were started again of which it has not heard, and remember no more what they released", async () => {
      await flushedAndForgotten();
      for (const name of ["a", "b", "c"]) {
        await world.of(name).forgetNotes();
        await world.of(name).restart();
      }
      expect(await world.ask("d")).deep.equal([0]);
      const lists = world.bucket.calls.filter(({ operation }) => operation === "list").length;
      expect(await world.ask("d")).deep.equal([0]);
      expect(world.bucket.calls.filter(({ operation }) => operation === "list").length).equal(lists);
    });

    // Seed 88016 of the simulator, with LISTs that are late: all were restarted, and a LIST did not show yet what they had flushed.
    it("and need not find there what a store released before it was started again: that store names it", async () => {
      await flushedAndForgotten();
      for (const name of ["a", "b", "c", "d"]) await world.of(name).restart();
      for (const name of world.names) {
        const { catalog } = world.of(name);
        catalog.refresh = () => Promise.resolve({ foreignCount: 0, malformedFloors: [], doubts: [], storeConflicts: [], changedKeys: [] } as never); // a LIST that shows nothing
      }
      expect(await world.ask("d")).deep.equal([0]);
    });

    it("where a store does not remember as far back as its LIST", async () => {
      await flushedAndForgotten();
      const sinceMs = world.seeded.clock.monotonicMs();
      for (const name of ["a", "b", "c"]) {
        const { releasedInto } = world.of(name);
        releasedInto.within = () => [];
        Object.defineProperty(releasedInto, "sinceMs", { value: sinceMs });
      }
      await world.pass(5);
      expect(await world.ask("d")).deep.equal([0]);
    });
  });

  describe("is complete", () => {
    it("only if fewer stores failed than the smallest acks in force", async () => {
      await world.push(0, ["a", "b", "c"]);
      world.cluster.cut("a", "b");
      expect(await world.ask("b")).deep.equal([0]);
      world.cluster.update({ acksMin: 1 });
      expect(await world.ask("b")).equal("STORES_MISSING");
      expect((await missingOf("b")).join()).contain("node a");
    });

    it("only with answers of a majority", async () => {
      await begin(["a", "b", "c", "d", "e"], 5);
      world.cluster.update({ acksMin: 4 });
      await world.push(0, ["a", "b", "c", "d", "e"]);
      for (const name of ["c", "d", "e"]) world.cluster.cut("a", name);
      expect(await world.ask("a")).equal("STORES_MISSING");
      expect((await missingOf("a")).join()).contain("no majority");
      const { answer } = await world.query("a", { allowPartial: true });
      expect(answer.receipt.recordCount).equal(1);
    });

    it("a lost store counts as failed until it is cleared", async () => {
      const lost = { member: "d", storeId: "dd".repeat(16), incarnation: 1, acksHeld: 2, isCleared: false, isReplaced: false, fencedBy: [], flushedBy: [] };
      world.cluster.update({ lostStores: [lost] });
      expect(await world.ask("b")).deep.equal([]);
      world.cluster.cut("a", "b");
      expect(await world.ask("b")).equal("STORES_MISSING");
      world.cluster.update({ lostStores: [{ ...lost, isCleared: true }] });
      expect(await world.ask("b")).deep.equal([]);
    });

    it("a store with a loss that nobody acknowledged counts as failed, and its records count", async () => {
      await world.push(0, ["a", "b", "c"], ["b"]);
      await world.of("b").quarantine();
      expect(await world.ask("c")).deep.equal([0]);
      world.cluster.cut("a", "c");
      expect(await world.ask("c")).equal("STORES_MISSING");
      expect((await missingOf("c")).join()).contain("POST /admin/quarantine");
    });

    it("a member with another store than the view has counts as failed", async () => {
      world.cluster.of("c").updateMember("a", { storeId: "ee".repeat(16) });
      world.cluster.update({ acksMin: 1 });
      expect(await world.ask("c")).equal("STORES_MISSING");
    });

    it("a node that has not joined answers no queries", async () => {
      world.cluster.of("c").update({ queriesRefusedBecause: "it has not joined the cluster" });
      expect(await world.ask("c", { allowPartial: true })).equal("QUERIES_REFUSED");
      expect(await world.ask("a")).deep.equal([]);
    });
  });

  describe("asks", () => {
    /** Member c is not in the view of a. */
    const hide = (): ClusterView => {
      const whole = world.cluster.of("a").view;
      world.cluster.of("a").update({ members: whole.members.filter(({ name }) => name !== "c"), digest: "11".repeat(16) });
      return whole;
    };

    // Model: "a holder that the reader does not know".
    it("a holder that only another member knows", async () => {
      await world.push(0, ["a", "b", "c"], ["c"]);
      const whole = hide();
      world.cluster.of("a").learnFrom = (member) => {
        if (member === "b") world.cluster.of("a").update(whole);
        return Promise.resolve();
      };
      expect(await world.ask("a")).deep.equal([0]);
    });

    it("again for a member table that did not come at the first try", async () => {
      await world.push(0, ["a", "b", "c"], ["c"]);
      const whole = hide();
      let count = 0;
      world.cluster.of("a").learnFrom = () => {
        count++;
        if (count === 1) return Promise.reject(new Error("no"));
        if (count === 2) return new Promise(() => {});
        world.cluster.of("a").update(whole);
        return Promise.resolve();
      };
      expect(await world.ask("a")).deep.equal([0]);
      expect(count).equal(3);
    });

    it("nobody on the word of a member whose table did not come: that one counts as failed", async () => {
      hide();
      world.cluster.update({ acksMin: 1 });
      world.cluster.of("a").learnFrom = () => Promise.reject(new Error("no"));
      expect(await world.ask("a")).equal("STORES_MISSING");
      world.cluster.of("a").learnFrom = () => new Promise(() => {});
      expect(await world.ask("a")).equal("STORES_MISSING");
    });

    // Model: "a late answer of an earlier query taken for this one's".
    it("each question anew: the answer to another one is none", async () => {
      const { holder } = world.of("b");
      const digest = holder.digest.bind(holder);
      let first: Uint8Array | undefined;
      holder.digest = async (member, request, signal) => openDigestAnswer((first ??= packDigestAnswer(await digest(member, request, signal))));
      expect(await world.ask("a")).deep.equal([]);
      await world.push(0, ["b", "c", "a"], ["b", "c"]);
      world.cluster.cut("a", "c");
      expect(await world.ask("a")).equal("STORES_MISSING");
    });

    it("and believes no member that names what cannot be: it counts as failed", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("b").list();
      world.of("b").releasedInto.within = () => [{ key: "v1/shop/x", sizeBytes: 5, isUploaded: true, meta: { tenant: world.tenant, windowStartMs: 0, windowMs: 1, level: 0, storeId: "ab".repeat(16), ordinal: 0, minTimeMs: 0, maxTimeMs: 8e15, recordCount: 0, sources: [] } }];
      expect(await world.ask("c")).deep.equal([0]);
      world.cluster.update({ acksMin: 1 });
      expect(await world.ask("c")).equal("STORES_MISSING");
      expect((await missingOf("c")).join()).contain("cannot be");
    });
  });

  describe("while members fail", () => {
    const timeOf = async (work: () => Promise<unknown>): Promise<number> => {
      const beganMs = world.seeded.clock.monotonicMs();
      await work();
      return world.seeded.clock.monotonicMs() - beganMs;
    };

    it("waits a little for one that is slow, and not for one that is suspect or dead", async () => {
      await world.push(0, ["a", "b", "c"]);
      world.cluster.stop("a");
      expect(await timeOf(async () => expect(await world.ask("b")).deep.equal([0]))).within(50, 200);
      world.cluster.updateMember("a", { isSuspect: true });
      expect(await timeOf(async () => expect(await world.ask("b")).deep.equal([0]))).equal(0);
      world.cluster.updateMember("a", { isSuspect: false, state: "dead" });
      expect(await timeOf(async () => expect(await world.ask("b")).deep.equal([0]))).equal(0);
    });

    it("a segment that waits at a dead store is that store failing, nothing more", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").seal();
      expect(await world.ask("b")).deep.equal([0]);
      world.cluster.stop("a");
      expect(await world.ask("b")).deep.equal([0]);
      world.cluster.updateMember("a", { state: "dead" });
      expect(await timeOf(async () => expect(await world.ask("b")).deep.equal([0]))).equal(0);
      world.cluster.resume("a");
      expect(await world.ask("b")).deep.equal([0]);
    });

    // Chaos, kill and wipe of three processes: of the two that were left one had been started seconds before. It read every object of the hour before its first answer, and queries hung for 10 s.
    it("a store that was just started compares its records with the objects of their time, not with those of the hour", async () => {
      for (const number of [0, 1, 2]) {
        await world.push(number, ["a", "b", "c"], ["a"]);
        await world.of("a").flush();
      }
      await world.push(2, ["c", "b", "a"], ["c"]);
      await world.push(3, ["c", "b", "a"], ["c", "b"]);
      for (const name of ["b", "c"]) await world.of(name).list();
      const { matcher } = world.of("c");
      const match = matcher.match.bind(matcher);
      const compared: number[] = [];
      matcher.match = (objects, signal) => {
        compared.push(objects.length);
        return match(objects, signal);
      };
      world.cluster.updateMember("a", { state: "dead" });
      world.cluster.stop("a");
      expect(await world.ask("b")).deep.equal([0, 1, 2, 3]);
      expect(compared).deep.equal([1]);
    });

    it("a segment that waits at a process that was stopped holds a query up no longer than until that is suspected", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").seal();
      for (const name of ["b", "c"]) world.of("a").tell(name);
      world.cluster.stop("a");
      world.cluster.onRequest = async (_, __, method) => {
        if (method !== "sealed") return;
        await world.seeded.clock.sleep(300);
        world.cluster.updateMember("a", { isSuspect: true });
      };
      expect(await timeOf(async () => expect(await world.ask("b")).deep.equal([0]))).within(300, 1_000);
    });

    // Chaos, pause: a suspicion took up to two seconds, and each query before it hung as long, since all others tried to read the segment at the stopped process.
    it("a segment that waits at a process that was stopped holds a query up for half a second, where nobody suspects it yet", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").seal();
      for (const name of ["b", "c"]) world.of("a").tell(name);
      world.cluster.stop("a");
      expect(await timeOf(async () => expect(await world.ask("b")).deep.equal([0]))).within(500, 700);
    });

    // Chaos, kill of three processes: the third node could not answer the digest round, since it wanted to read the segment at the dead one, and queries were refused for up to a minute.
    it("a segment that was uploaded is read in the bucket by one who has not heard of the upload, though its store is dead", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").seal();
      world.of("a").tell("c");
      await world.of("a").upload();
      await world.of("b").list();
      for (const name of ["b", "c"]) world.cluster.cut("a", name);
      expect(await world.ask("b")).deep.equal([0]);
      world.cluster.updateMember("a", { state: "dead" });
      expect(await world.ask("b")).deep.equal([0]);
    });

    it("a member without which the answer is not complete is not waited for once it is declared dead", async () => {
      await world.push(0, ["a", "b", "c"]);
      world.cluster.update({ acksMin: 1 });
      world.cluster.onRequest = async (_, to, method) => {
        if (method !== "digest" || to !== "a") return;
        world.cluster.stop("a");
        await world.seeded.clock.sleep(10);
        world.cluster.updateMember("a", { state: "dead" });
      };
      expect(await timeOf(async () => expect(await world.ask("b")).equal("STORES_MISSING"))).lessThan(500);
    });

    // The reader heard of the segment while it waited, and its store died before it told of the upload.
    it("a segment that others have read in the bucket is read there, although it waits at a dead store for all that the reader knows", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.of("a").seal();
      expect(await world.ask("c")).deep.equal([0]);
      await world.of("a").upload();
      await world.of("b").list();
      await world.of("b").release();
      world.cluster.stop("a");
      world.cluster.updateMember("a", { state: "dead" });
      world.of("c").holder.digest = () => Promise.reject(new Error("not asked here"));
      world.cluster.update({ acksMin: 3 });
      world.cluster.of("c").isMajority = () => true;
      expect(await world.ask("c")).deep.equal([0]);
    });

    for (const method of ["identities", "scan"] as const) {
      it(`one that fails at its ${method} is replaced by another that has the same`, async () => {
        await world.push(0, ["a", "b", "c"]);
        await world.push(6, ["a", "b", "c"], ["a", "b"]);
        await world.push(1, ["a", "c", "b"]);
        let failed: string | undefined;
        world.cluster.onRequest = (_, to, asked) => {
          if (asked === method) failed ??= to;
          if (asked === method && to === failed) throw new CodedError({ code: "PEER_UNREACHABLE", kind: "unavailable", message: "cut" });
        };
        expect(await world.ask("c")).deep.equal([0, 1, 6]);
        expect(failed).equal("a");
      });

      it(`one that is suspected while it is at its ${method} is not waited for`, async () => {
        await world.push(0, ["a", "b", "c"]);
        await world.push(6, ["a", "b", "c"], ["a", "b"]);
        world.cluster.onRequest = async (_, to, asked) => {
          if (asked !== method || to !== "a") return;
          world.cluster.stop("a");
          await world.seeded.clock.sleep(1);
          world.cluster.updateMember("a", { isSuspect: true });
        };
        expect(await timeOf(async () => expect(await world.ask("c")).deep.equal([0, 6]))).lessThan(500);
      });
    }

    for (const method of ["identities", "scan"] as const) {
      it(`one that gives no sign of life while it is at its ${method} is not waited for, and what it answers later is in no answer`, async () => {
        await world.push(0, ["a", "b", "c"]);
        await world.push(6, ["a", "b", "c"], ["a", "b"]);
        world.cluster.onAnswer = (from, _, asked) => {
          if (asked === method && from === "a") return world.seeded.clock.sleep(5_000);
        };
        world.cluster.onRequest = (_, to, asked) => {
          if (asked === method && to === "a") world.cluster.isMute = (name) => name === "a";
        };
        expect(await timeOf(async () => expect((await world.query("c")).counts).deep.equal(new Map([[0, 1], [6, 1]])))).within(500, 1_000);
      });

      it(`one that takes long for its ${method} and gives signs of life is waited for`, async () => {
        await world.push(0, ["a", "b", "c"]);
        await world.push(6, ["a", "b", "c"], ["a", "b"]);
        world.cluster.onRequest = (_, to, asked) => (asked === method && to === "a" ? world.seeded.clock.sleep(4_000) : undefined);
        world.cluster.requests.length = 0;
        expect(await timeOf(async () => expect(await world.ask("c")).deep.equal([0, 6]))).within(4_000, 4_200);
        expect(requestsOf("scan")).deep.equal(["ca"]);
      });
    }

    it("one that is silent is waited for where nobody else has the same", async () => {
      world.cluster.update({ acksMin: 1 });
      await world.push(0, ["a", "b", "c"], ["a"]);
      world.cluster.isMute = (name) => name === "a";
      world.cluster.onRequest = (_, to, asked) => (asked === "scan" && to === "a" ? world.seeded.clock.sleep(4_000) : undefined);
      expect(await timeOf(async () => expect(await world.ask("c")).deep.equal([0]))).within(4_000, 4_200);
    });

    it("where the answer is not complete without one that failed, it is asked again, and then refused", async () => {
      world.cluster.update({ acksMin: 1 });
      await world.push(0, ["a", "b", "c"], ["a"]);
      let scans = 0;
      world.cluster.onRequest = (_, __, method) => {
        if (method === "scan" && ++scans <= 2) throw new CodedError({ code: "PEER_UNREACHABLE", kind: "unavailable", message: "cut" });
      };
      expect(await world.ask("c")).deep.equal([0]);
      scans = -10;
      expect(await world.ask("c")).equal("HEADS_CHANGED");
      scans = -10;
      const { answer, counts } = await world.query("c", { allowPartial: true });
      expect([counts.size, answer.missing.join().includes("node a")]).deep.equal([0, true]);
    });

    it("views are released, whatever became of the query", async () => {
      await world.push(0, ["a", "b", "c"]);
      await world.ask("c");
      world.cluster.update({ acksMin: 1 });
      await world.of("b").quarantine();
      expect(await world.ask("c")).equal("STORES_MISSING");
      const leaving = new AbortController();
      world.cluster.onRequest = (_, __, method) => {
        if (method === "scan") leaving.abort(new Error("left"));
      };
      const nowMs = world.seeded.clock.nowMs();
      const query = { tenants: [world.tenant], startMs: 0, endMs: nowMs, allowPartial: true, selectors: [] };
      await world.run(world.of("c").reader.analyze(query, leaving.signal)).then(
        () => expect.fail("it was answered"),
        () => undefined,
      );
      await world.pass(1);
      for (const name of world.names) expect(world.of(name).holder.views.count, name).equal(0);
    });
  });

  it("what peers send counts in the query's limit", async () => {
    await world.push(0, ["a", "b", "c"], ["a", "b"]);
    world.queryBytesMax = 10;
    expect(await world.ask("c")).equal("QUERY_TOO_LARGE");
    world.queryBytesMax = 100_000;
    expect(await world.ask("c")).deep.equal([0]);
  });
});
