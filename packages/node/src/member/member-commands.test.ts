import { CodedError, silentLogger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { MemberCommands } from "./member-commands.ts";

/** Leaving that ends when the test says so. */
class FakeLeaving {
  readonly signals: AbortSignal[] = [];
  refusal: Error | undefined;
  resumed = 0;
  end!: () => void;

  constructor(readonly onBegin: () => void) {}

  leave(signal: AbortSignal): Promise<void> {
    return this.drain(signal);
  }
  drain(signal: AbortSignal): Promise<void> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    this.signals.push(signal);
    return new Promise((resolve, reject) => {
      this.end = resolve;
      signal.addEventListener("abort", () => reject(signal.reason as Error));
      queueMicrotask(this.onBegin);
    });
  }
  resume(): Promise<void> {
    this.resumed++;
    return Promise.resolve();
  }
}

describe("member commands", () => {
  let world: FakeClusterWorld;
  let leaving: FakeLeaving;
  let left: number;
  let commands: MemberCommands;
  const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

  beforeEach(() => {
    world = new FakeClusterWorld(["a", "b", "c"], { clock: new ManualClock() });
    leaving = new FakeLeaving(() => world.updateMember("a", { state: "leaving" }));
    left = 0;
    const cluster = world.of("a");
    commands = new MemberCommands({
      cluster: { get view() { return cluster.view; }, onChange: (listener) => cluster.onChange(listener), forget: () => Promise.resolve() },
      leaving,
      onLeft: () => left++,
      logger: silentLogger,
      stopped: new AbortController().signal,
    });
  });

  it("leave: answered once all see it, and the process may end once it has left", async () => {
    await commands.leave();
    expect(left).to.equal(0);
    leaving.end();
    await turn();
    expect(left).to.equal(1);
  });

  it("drain: the process goes on; a second word is answered at once, and replaces the first", async () => {
    await commands.drain();
    await commands.leave();
    expect([leaving.signals[0]!.aborted, leaving.signals[1]!.aborted]).to.deep.equal([true, false]);
    leaving.end();
    await turn();
    expect(left).to.equal(1);
  });

  it("resume takes it back, and ends what is under way", async () => {
    await commands.leave();
    await commands.resume();
    expect([leaving.signals[0]!.aborted, leaving.resumed]).to.deep.equal([true, 1]);
    await turn();
    expect(left).to.equal(0);
  });

  it("a refusal is the answer", async () => {
    leaving.refusal = new CodedError({ code: "LEAVE_REFUSED", kind: "failed_precondition", message: "b is dead" });
    expect(await commands.leave().then(() => "begun", (error: Error) => error.message)).to.equal("b is dead");
  });
});
