import { Interrupt } from "@pyromesh/profile";
import { expect } from "chai";
import { SlicedWork } from "./sliced-work.ts";

type Message = { readonly push: string } | { readonly query: string; readonly steps: number };

/** A worker whose messages lie in a list, and that notes what it does. */
class Rig {
  readonly arrived: Message[] = [];
  readonly did: string[] = [];
  readonly slices = new SlicedWork<Message>({ receive: () => this.arrived.shift(), run: (message) => this.run(message) });
  deepest = 0;
  #depth = 0;

  run(message: Message): void {
    this.deepest = Math.max(this.deepest, ++this.#depth);
    if ("push" in message) this.did.push(message.push);
    else {
      const interrupt = new Interrupt(() => this.slices.giveWay());
      for (let step = 1; step <= message.steps; step++) {
        this.did.push(`${message.query} ${step}`);
        interrupt.now();
      }
    }
    this.#depth--;
  }
}

describe("work in slices", () => {
  it("after each slice one batch that has arrived is done, and the work goes on", () => {
    const rig = new Rig();
    rig.arrived.push({ push: "p1" }, { push: "p2" });
    rig.run({ query: "scan", steps: 4 });
    expect(rig.did).to.deep.equal(["scan 1", "p1", "scan 2", "p2", "scan 3", "scan 4"]);
  });

  it("a listing goes in between too, and pushes between its slices", () => {
    const rig = new Rig();
    rig.arrived.push({ query: "listing", steps: 2 }, { push: "p1" }, { push: "p2" });
    rig.run({ query: "scan", steps: 2 });
    expect(rig.did).to.deep.equal(["scan 1", "listing 1", "p1", "listing 2", "p2", "scan 2"]);
    expect(rig.deepest).to.equal(3);
    expect(rig.slices.isNested).to.equal(false);
  });

  it("knows that it is between two slices, also after what it did there has failed", () => {
    const rig = new Rig();
    const seen: boolean[] = [];
    const slices = new SlicedWork<string>({
      receive: () => "message",
      run: () => {
        seen.push(slices.isNested);
        throw new Error("a bug");
      },
    });
    expect(() => slices.giveWay()).to.throw("a bug");
    expect([seen, slices.isNested, rig.slices.isNested]).to.deep.equal([[true], false, false]);
  });
});
