import { CodedError } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import fc from "fast-check";
import { ArrivalRegister } from "../cluster/arrival-register.ts";
import { FakeClusterWorld, pass } from "../testing/index.ts";
import { ArrivalAgreement } from "./arrival-agreement.ts";
import { Placement } from "./placement.ts";

const KEY = Buffer.from("a push and what is in it".padEnd(32));

class World {
  readonly clock: ManualClock = new ManualClock();
  readonly cluster: FakeClusterWorld;
  readonly #agreements = new Map<string, ArrivalAgreement>();

  constructor(names: readonly string[]) {
    this.cluster = new FakeClusterWorld(names, { clock: this.clock });
    for (const name of names) this.restart(name);
  }

  /** With nothing in its register. */
  restart(name: string): void {
    const cluster = this.cluster.of(name);
    const register = new ArrivalRegister({}, { clock: this.clock });
    cluster.peers.handle("arrival", async (_from, body) => register.handle(body));
    const storeId = this.cluster.storeOf(name);
    const placement = new Placement({ cluster, storeId: () => storeId, limitsOf: () => ({ serviceSpread: 0, tenantShardSize: 0 }), silent: () => new Set() });
    this.#agreements.set(name, new ArrivalAgreement({ cluster, placement, register }));
  }

  /** The time that the node is told, or the code of its refusal. */
  agree(name: string, timeMs: number): Promise<number | string> {
    return this.#agreements.get(name)!.agree("t", KEY, timeMs).catch((error: unknown) => (error instanceof CodedError ? error.code : String(error)));
  }
}

describe("the time of a push that several members were sent", () => {
  it("is the one with which it came first, for every member", async () => {
    const world = new World(["a", "b", "c", "d", "e"]);
    expect(await world.agree("a", 100)).equal(100);
    for (const [index, name] of ["b", "c", "d", "e", "a"].entries()) expect(await world.agree(name, 200 - index)).equal(100);
  });

  it("stays the same where one member does not answer, and where one has begun anew", async () => {
    for (const name of ["a", "b", "c"]) {
      const world = new World(["a", "b", "c"]);
      expect(await world.agree("a", 100)).equal(100);
      world.restart(name);
      expect(await world.agree("b", 200)).equal(100);
      world.cluster.cut("c", "a");
      expect(await world.agree("c", 300)).equal(100);
    }
  });

  it("is not guessed: a member that reaches no majority refuses, within a second", async () => {
    const world = new World(["a", "b", "c"]);
    world.cluster.stop("b");
    world.cluster.stop("c");
    const refused = world.agree("a", 100);
    await pass(world.clock, 1_000);
    expect(await refused).equal("ARRIVAL_UNDECIDED");
  });

  it("of one that comes to three members at once, in whatever order the registers hear of it, is one time for all that are told one", async () => {
    const names = ["a", "b", "c"];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(5), { minLength: 9, maxLength: 9 }), fc.array(fc.constantFrom("ab", "ac", "bc"), { maxLength: 2 }), async (delays, cuts) => {
        const world = new World(names);
        for (const [from, a] of names.entries()) for (const [to, b] of names.entries()) world.cluster.delay(a, b, delays[from * 3 + to]!);
        for (const [a, b] of cuts) world.cluster.cut(a!, b!);
        const told = Promise.all(names.map((name, index) => world.agree(name, 100 + index)));
        await pass(world.clock, 1_100);
        world.cluster.heal();
        const times = new Set([...(await told), ...(await Promise.all(names.map((name) => world.agree(name, 500))))].filter((one) => typeof one === "number"));
        expect(times.size).equal(1);
      }),
      { numRuns: 60 },
    );
  });
});
