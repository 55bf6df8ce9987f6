/** Queries of a plan that has segments which are nowhere, or that is not what a store knows under the same ordinals. */
import { expect } from "chai";
import { toldSegment } from "../../background/told-segment.ts";
import { HeadsWorld } from "../../testing/heads-world.ts";

const never = new AbortController().signal;

describe("a segment that was heard to wait at a store, and is nowhere,", () => {
  let world: HeadsWorld;
  const begin = async (names: readonly string[]): Promise<void> => {
    world = new HeadsWorld(names);
    await world.start();
    await world.pass(10);
  };
  const requestsOf = (method: string): string[] => world.cluster.requests.filter((request) => request.method === method).map(({ from, to }) => `${from}${to}`);
  beforeEach(() => begin(["a", "b", "c"]));

  it("is planned no more by who reads it for its own part of the answer, where no head holds records of its times", async () => {
    await world.push(0, ["a", "b", "c"]);
    await world.of("a").flush();
    for (const name of ["b", "c"]) {
      await world.of(name).list();
      await world.of(name).release();
    }
    const { catalog, storeId } = world.of("a");
    const { meta, sizeBytes } = [...catalog.entries()][0]!;
    const renamed = toldSegment({ ...meta, ordinal: (meta.kind === "segment" ? meta.ordinal : 0) + 7 } as typeof meta & { kind: "segment" }, { sizeBytes, isUploaded: false });
    world.of("c").catalog.addByMeta(renamed, { storeId });
    expect(world.of("c").catalog.get(renamed.key)?.place).equal(`store:${storeId}`);
    expect(await world.ask("c")).deep.equal([0]);
    expect(world.of("c").catalog.get(renamed.key)).equal(undefined);
  });

  /** Records of which all heads hold some, at times of a segment of records 0 to 3. */
  const pushAll = async (): Promise<void> => {
    await world.push(0, ["a", "b", "c"]);
    await world.push(3, ["a", "b", "c"]);
    await world.push(2, ["b", "c", "a"], ["b", "c"]);
  };
  const placesAt = (name: string): readonly string[] => [...world.of(name).catalog.entries()].map(({ place }) => place);

  // Simulator, seed 96140 of three nodes. Each holder wanted to read it before it said what it holds, and the query was refused with STORES_MISSING until its hour was over.
  it("is no reason to refuse a query of its times, whoever has heard of it", async () => {
    for (const heard of [["c"], ["b"], ["b", "c"], ["a", "b", "c"]]) {
      await begin(["a", "b", "c"]);
      await pushAll();
      for (const name of heard) await world.of("a").tellOfNone(name, 0, 3);
      for (const name of world.names) expect(await world.ask(name), `${name}, ${heard.join(" and ")} heard of it`).deep.equal([0, 2, 3]);
      expect(world.names.flatMap(placesAt), "all have forgotten it").deep.equal([]);
    }
  });

  it("and one of other times that has its ordinal are told apart", async () => {
    for (const heard of [["c"], ["b"], ["b", "c"]]) {
      await begin(["a", "b", "c"]);
      await pushAll();
      const none: string[] = [];
      for (const name of heard) none.push(await world.of("a").tellOfNone(name, 1, 2));
      await world.of("a").seal();
      for (const name of ["b", "c"]) world.of("a").tell(name);
      for (const name of world.names) expect(await world.ask(name), `${name} while it waits, ${heard.join(" and ")} heard of the other`).deep.equal([0, 2, 3]);
      await world.of("a").upload();
      for (const name of ["c", "b", "a"]) expect(await world.ask(name), `${name} after its upload`).deep.equal([0, 2, 3]);
      for (const name of world.names) expect(world.of(name).catalog.get(none[0]!), name).equal(undefined);
    }
  });

  it("is named by the very store at which it was said to wait, where no other holds records of its times", async () => {
    world.cluster.update({ acksMin: 1 });
    for (const number of [0, 2, 3]) await world.push(number, ["a", "b", "c"], ["a"]);
    await world.of("a").tellOfNone("c", 0, 3);
    expect(await world.ask("c")).deep.equal([0, 2, 3]);
  });

  it("takes one round more, however many they are", async () => {
    await pushAll();
    for (const [from, to] of [[0, 3], [0, 2], [1, 3], [1, 2]] as const) {
      await world.of("a").tellOfNone("c", from, to);
      await world.push(5, ["a", "b", "c"], ["a"]);
      await world.of("a").seal();
    }
    world.cluster.requests.length = 0;
    expect(await world.ask("c")).deep.equal([0, 2, 3, 5]);
    expect(requestsOf("digest").filter((way) => way === "ca").length).equal(2);
  });

  it("because its file was lost leaves the answer complete without its store", async () => {
    await pushAll();
    await world.of("a").seal();
    for (const name of ["b", "c"]) world.of("a").tell(name);
    await world.of("a").lose();
    for (const name of ["b", "c", "a"]) expect(await world.ask(name), name).deep.equal([0, 2, 3]);
  });

  // Whoever took it for a segment without records would count those of its own head, and the query's node those of the object.
  for (const moment of ["digest", "identities", "scan"] as const) {
    it(`and whose put lands after all, before the ${moment} of a plan without it, counts once`, async () => {
      await pushAll();
      await world.push(8, ["b", "c", "a"], ["b"]);
      await world.of("a").seal();
      for (const name of ["b", "c"]) world.of("a").tell(name);
      const { bytes, key } = await world.of("a").firstFile();
      await world.of("a").lose();
      let digests = 0;
      let hasLanded = false;
      world.cluster.onRequest = async (_, to, method) => {
        if (to !== "b" || method !== moment || hasLanded || (method === "digest" && ++digests < 2)) return;
        hasLanded = true;
        await world.run(world.bucket.put(key, bytes, {}, never));
        await world.of("b").list();
        await world.of("b").release();
      };
      expect(await world.ask("c")).deep.equal([0, 2, 3, 8]);
      expect(hasLanded).equal(true);
      world.cluster.onRequest = () => {};
      for (const name of world.names) {
        await world.of(name).list();
        expect(await world.ask(name), name).deep.equal([0, 2, 3, 8]);
      }
    });
  }

  it("though its store says that it has it, counts as stores that failed, after one more round", async () => {
    await pushAll();
    await world.of("a").seal();
    await world.of("a").files.delete((await world.of("a").firstFile()).key);
    world.cluster.requests.length = 0;
    expect(await world.ask("c")).equal("STORES_MISSING");
    expect(requestsOf("digest").filter((way) => way === "ca").length).lessThan(5);
  });

  // The upload of a segment, a LIST or a lost store may change the catalog while a query waits for its turn between its plan and its own digest.
  it("a plan of which the query's own catalog has lost a segment is compared with the query's own head all the same", async () => {
    await world.push(0, ["a", "b", "c"], ["a"]);
    await world.push(3, ["a", "b", "c"], ["a"]);
    await world.push(2, ["c", "b", "a"], ["c"]);
    await world.of("a").flush();
    await world.of("c").list();
    const { catalog, holder } = world.of("c");
    const digest = holder.digest.bind(holder);
    let isLost = false;
    holder.digest = (member, request, signal) => {
      if (!isLost) for (const { key } of [...catalog.entries()]) catalog.remove(key);
      isLost = true;
      return digest(member, request, signal);
    };
    expect(await world.ask("c")).deep.equal([0, 2, 3]);
  });
});
