import { expect } from "chai";
import { LinkRig } from "../testing/link-rig.ts";

const never = new AbortController().signal;

describe("links between members", () => {
  it("link: who dials and who is dialled learn each other's name, store and boot", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    const peer = await a.links.connect(b.address, never);
    expect(peer).to.include({ name: "b", bootId: "boot-2", protocol: 1 });
    expect(b.links.linked.map(({ name }) => name)).to.deep.equal(["a"]);
  });

  it("send: a message to a member without a link dials it, and arrives", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    const got = new Promise<string>((resolve) => b.links.onMessage((from, message) => resolve(`${from.name}: ${Buffer.from(message).toString()}`)));
    a.links.send("b", Buffer.from("hello"));
    expect(await got).to.equal("a: hello");
  });

  it("request: it is answered by the other side's handler", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    b.requests.handle("status", async (from, body) => Buffer.from(`${from.name} sent ${Buffer.from(body).toString()}`));
    expect(Buffer.from(await a.requests.request("b", "status", Buffer.from("x"), { timeoutMs: 1000 })).toString()).to.equal("a sent x");
    expect(rig.clock.timerCount).to.equal(0);
  });
});
