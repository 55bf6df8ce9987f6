import { ManualClock } from "@pyromesh/base/testing";
import { messageOf, silentLogger } from "@pyromesh/base";
import { expect } from "chai";
import type { FoundingFacts } from "./founding.ts";
import { settle } from "../testing/settle.ts";
import { FoundingWatch } from "./founding-watch.ts";

const FIRST: FoundingFacts = { isInit: false, founder: "self", wasMarked: false, hasJoins: true, hasData: false, bucketReplication: 0 };

describe("FoundingWatch", () => {
  it("looks again two seconds after the bucket did not answer, though no LIST comes", async () => {
    const rig = makeRig([new Error("500"), new Error("500"), FIRST]);
    await rig.watch.look();
    rig.clock.advance(1_999);
    await settle();
    expect(rig.reads()).equal(1);
    rig.clock.advance(1);
    await settle();
    rig.clock.advance(2_000);
    await settle();
    expect([rig.reads(), rig.founded()]).deep.equal([3, 1]);
  });

  it("looks no more once it has founded, or joined another's cluster meanwhile", async () => {
    const first = makeRig([FIRST, FIRST]);
    await first.watch.look();
    await first.watch.look();
    expect([first.reads(), first.founded()]).deep.equal([1, 1]);
    const joined = makeRig([FIRST]);
    const looking = joined.watch.look();
    joined.join();
    await looking;
    expect([joined.reads(), joined.founded()]).deep.equal([1, 0]);
  });

  it("what goes wrong while it founds is not taken for a bucket that did not answer", async () => {
    const onFound = (): never => {
      throw new Error("bug");
    };
    const rig = makeRig([FIRST], { onFound });
    expect(await rig.watch.look().then(() => "", messageOf)).equal("bug");
    rig.clock.advance(60_000);
    await settle();
    expect(rig.reads()).equal(1);
  });

  it("shares one look between callers, and ends with the node", async () => {
    const rig = makeRig([new Error("500"), FIRST]);
    await Promise.all([rig.watch.look(), rig.watch.look()]);
    expect(rig.reads()).equal(1);
    rig.stop();
    rig.clock.advance(60_000);
    await settle();
    await rig.watch.look();
    expect([rig.reads(), rig.founded()]).deep.equal([1, 0]);
  });
});

function makeRig(answers: readonly (Error | FoundingFacts)[], { onFound = () => {} }: { readonly onFound?: () => void } = {}) {
  const clock = new ManualClock();
  const stopped = new AbortController();
  let reads = 0;
  let founded = 0;
  let hasJoined = false;
  const watch = new FoundingWatch(
    {
      clock,
      logger: silentLogger,
      mayFound: () => !hasJoined,
      readFacts: async () => {
        const answer = answers[reads++]!;
        if (answer instanceof Error) throw answer;
        return answer;
      },
      found: () => {
        founded++;
        hasJoined = true;
        onFound();
      },
    },
    stopped.signal,
  );
  return { clock, watch, reads: () => reads, founded: () => founded, join: () => (hasJoined = true), stop: () => stopped.abort() };
}
