import { expect } from "chai";
import { silentLogger, type CodedError, type LogFields, type Logger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { LinkRig, type LinkRigNode } from "../testing/link-rig.ts";
import { MemoryNetwork } from "../testing/memory-network.ts";
import { encodeMessage } from "./frame.ts";
import type { PeerLink } from "./peer-network.ts";

const never = new AbortController().signal;

describe("links between members", () => {
  it("connect: who dials and who is dialled learn each other's name, store and boot", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    expect(await a.links.connect(b.address, never)).to.include({ name: "b", bootId: "boot-2", protocol: 1 });
    expect(namesOf(b)).to.deep.equal(["a"]);
  });

  it("connect: an address at which a linked process was found is not dialled again; after its link closed it is", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    for (let i = 0; i < 3; i++) expect((await a.links.connect(b.address, never)).name).to.equal("b");
    expect(await a.metrics.text()).to.include('pyromesh_peer_dials_total{outcome="ok"} 1');
    a.links.close("b", "over");
    await a.links.connect(b.address, never);
    expect(await a.metrics.text()).to.include('pyromesh_peer_dials_total{outcome="ok"} 2');
  });

  it("send: a message to a member without a link dials it, and arrives; so do those that follow, in order", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    const got: string[] = [];
    const all = new Promise<void>((resolve) => b.links.onMessage((from, message) => (got.push(`${from.name} ${Buffer.from(message).toString()}`) === 3 ? resolve() : undefined)));
    for (let i = 0; i < 3; i++) a.links.send("b", Buffer.from(`${i}`));
    await all;
    expect(got).to.deep.equal(["a 0", "a 1", "a 2"]);
  });

  it("send: to a member that nobody knows, nothing is kept", async () => {
    const rig = LinkRig.inMemory();
    const a = await rig.start("a");
    a.links.send("nobody", Buffer.from("x"));
    expect(await a.metrics.text()).to.include("pyromesh_peer_control_dropped_total 1");
  });

  it("up and down: told once for each member", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    const events = eventsOf(b);
    await a.links.connect(b.address, never);
    rig.network.break(a.address, b.address);
    await turns();
    expect(events).to.deep.equal(["up a", "down a: the connection was reset"]);
    expect(namesOf(b)).to.deep.equal([]);
  });

  describe("two links to one peer", () => {
    it("both dial at once: both keep the same link, nothing goes down, and the other one is closed when it is idle", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b")];
      const [ofA, ofB] = [eventsOf(a), eventsOf(b)];
      await Promise.all([a.links.connect(b.address, never), b.links.connect(a.address, never)]);
      await turns();
      b.requests.handle("status", async (_, body) => body);
      await a.requests.request("b", "status", new Uint8Array(1), { timeoutMs: 1000 });
      rig.clock.advance(5000);
      await turns();
      await a.requests.request("b", "status", new Uint8Array(1), { timeoutMs: 1000 });
      rig.clock.advance(60_000);
      await turns();
      expect([ofA, ofB]).to.deep.equal([["up b"], ["up a"]]);
      expect(rig.clock.timerCount).to.equal(0);
    });

    it("a peer that lost its link dials anew while this side still has the old one: the new one is used, whoever's id is smaller", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b")];
      const [small, large] = a.links.peerId < b.links.peerId ? [a, b] : [b, a];
      for (const [left, stays] of [
        [large, small],
        [small, large],
      ] as const) {
        await small.links.connect(large.address, never);
        const events = eventsOf(stays);
        // One side closes while the other hears nothing of it.
        rig.network.cut(left.address, stays.address);
        left.links.close(stays.name, "it does not answer");
        rig.network.heal(left.address, stays.address);
        const connected = left.links.connect(stays.address, never);
        await connected;
        rig.clock.advance(1000); // the old link is asked, and does not answer
        await turns();
        stays.requests.handle("status", async (_, body) => body);
        left.requests.handle("status", async (_, body) => body);
        await stays.requests.request(left.name, "status", new Uint8Array(1), { timeoutMs: 1000 });
        await left.requests.request(stays.name, "status", new Uint8Array(1), { timeoutMs: 1000 });
        expect(events).to.deep.equal([]);
        left.links.close(stays.name, "over");
        await turns();
        rig.clock.advance(60_000);
        await turns();
      }
    });
  });

  describe("a member that comes back", () => {
    it("after a restart, while the old process's link is half-open: its new process is taken", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b")];
      await a.links.connect(b.address, never);
      rig.network.cutBoth(a.address, b.address);
      rig.network.kill(b.address);
      const again = await rig.start("b");
      const connected = again.links.connect(a.address, never);
      await turns();
      rig.clock.advance(1000);
      expect((await connected).name).to.equal("a");
      expect(a.links.linked[0]).to.include({ name: "b", bootId: "boot-3" });
    });

    it("a copied data directory: the second process is refused on both sides while the first one lives", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b")];
      await a.links.connect(b.address, never);
      const copy = await rig.start("b");
      expect(await refusalOf(copy.links.connect(a.address, never))).to.equal("same-store by the peer");
      expect(await refusalOf(a.links.connect(copy.address, never))).to.equal("same-store by this side");
      expect(a.links.linked[0]).to.include({ name: "b", bootId: "boot-2" });
    });

    it("another node with the same name is refused while the first one lives", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b")];
      await a.links.connect(b.address, never);
      const other = await rig.start("c", { options: { name: "b" } });
      expect(await refusalOf(other.links.connect(a.address, never))).to.equal("same-name by the peer");
      const own = await rig.start("d", { options: { name: "a" } });
      expect(await refusalOf(own.links.connect(a.address, never))).to.equal("same-name by this side");
    });
  });

  describe("refusals", () => {
    for (const [code, changes] of [
      ["wrong-cluster", { options: { clusterName: "another" } }],
      ["wrong-secret", { modules: { secrets: () => [Buffer.from("another")] } }],
      ["missing-secret", { modules: { secrets: () => [] } }],
      ["incompatible-version", { options: { protocolMin: 7, protocolMax: 8 } }],
      ["other-bucket", { modules: { bucketId: () => "bucket-2" } }],
    ] as const) {
      it(`${code}: a sentence on both sides, once a minute in the logs, counted each time, and the cluster goes on`, async () => {
        const log: string[] = [];
        const clock = new ManualClock();
        const rig = new LinkRig({ clock, network: new MemoryNetwork({ clock }), logger: loggerTo(log) });
        const [a, b] = [await rig.start("a"), await rig.start("b")];
        await a.links.connect(b.address, never);
        const stranger = await rig.start("x", changes);
        for (let i = 0; i < 3; i++) expect(await refusalOf(stranger.links.connect(a.address, never))).to.match(new RegExp(`^${code} by`));
        await turns();
        expect(log.length, log.join("\n")).to.equal(2);
        for (const line of log) expect(line).to.include(code);
        for (const node of [a, stranger]) expect(await node.metrics.text()).to.include(`pyromesh_peer_refusals_total{reason="${code}"} 3`);
        expect(namesOf(a)).to.deep.equal(["b"]);
        clock.advance(60_000);
        await refusalOf(stranger.links.connect(a.address, never));
        await turns();
        expect(log.length).to.equal(4);
      });
    }

    it("versions of formats that are apart: a sentence on both sides, by whoever sees it", async () => {
      const rig = LinkRig.inMemory();
      const said = { formats: "0101", promises: "01" };
      const a = await rig.start("a", { modules: { formats: { own: () => ({ formats: "0102", promises: "02" }), apart: ({ name }, theirs) => (theirs.formats === said.formats ? `reads too little, ${name}` : undefined) } } });
      const b = await rig.start("b", { modules: { formats: { own: () => said, apart: () => undefined } } });
      for (const [one, other] of [[a, b], [b, a]] as const) {
        const error = await one.links.connect(other.address, never).catch((thrown: unknown) => thrown);
        expect(error).to.have.property("code", "PEER_REFUSED");
        expect(error).to.have.property("message").that.includes("it reads too little, b");
        expect(error).to.have.nested.property("details.reason", "incompatible-version");
      }
      const before = await rig.start("c", { modules: { formats: { own: () => ({ formats: "", promises: "" }), apart: () => undefined } } }); // as a build that announces nothing
      expect((await a.links.connect(before.address, never)).name).to.equal("c");
    });

    it("a node that dials itself is told so, without a line in the log", async () => {
      const log: string[] = [];
      const clock = new ManualClock();
      const rig = new LinkRig({ clock, network: new MemoryNetwork({ clock }), logger: loggerTo(log) });
      const a = await rig.start("a");
      for (let i = 0; i < 2; i++) expect(await refusalOf(a.links.connect(a.address, never))).to.match(/^self by/);
      expect(log).to.deep.equal([]);
    });

    for (const [bucketId, outcome] of [["bucket-1", "linked"], ["bucket-2", "other-bucket"]] as const) {
      it(`a node that does not know its bucket yet is linked to nobody: once it does, and it is ${bucketId}, it is ${outcome}`, async () => {
        const log: string[] = [];
        const clock = new ManualClock();
        const rig = new LinkRig({ clock, network: new MemoryNetwork({ clock }), logger: loggerTo(log) });
        let known = "";
        const [a, b] = [await rig.start("a"), await rig.start("b", { modules: { bucketId: () => known } })];
        for (const [from, to] of [[a, b], [b, a]] as const) expect(await refusalOf(from.links.connect(to.address, never))).to.match(/^bucket-unknown by/);
        expect([a.links.linked, b.links.linked, log]).to.deep.equal([[], [], []]);
        known = bucketId;
        const after = await a.links.connect(b.address, never).then(() => "linked", (error: unknown) => (error as CodedError).details["reason"]);
        expect(after).to.equal(outcome);
      });
    }
  });

  describe("hostile peers", () => {
    it("before the handshake is over nothing but its frames is read: anything else is refused and closed", async () => {
      const rig = LinkRig.inMemory();
      const a = await rig.start("a");
      const messages: unknown[] = [];
      a.links.onMessage((_, message) => messages.push(message));
      a.requests.handle("append", async () => {
        messages.push("handled");
        return new Uint8Array(0);
      });
      for (const frame of [encodeMessage(Buffer.from("a table")), new Uint8Array(0), new Uint8Array(5000), Buffer.from("PYRO"), new Uint8Array(64).fill(0xff)]) {
        const { link, closed } = await dialRaw(rig, a);
        link.send("control", frame);
        await closed;
      }
      expect(messages).to.deep.equal([]);
      expect(await a.metrics.text()).to.include('pyromesh_peer_refusals_total{reason="malformed"} 5');
    });

    it("a link that says nothing is closed after 5 s", async () => {
      const rig = LinkRig.inMemory();
      const a = await rig.start("a");
      const { closed } = await dialRaw(rig, a);
      await turns();
      rig.clock.advance(5000);
      await closed;
      expect(await a.metrics.text()).to.include('pyromesh_peer_refusals_total{reason="timeout"} 1');
      expect(a.links.lastRefusal, "it does not say why this node is not let in").to.equal(undefined);
    });

    it("a flood of joins is bounded, and members that are linked go on", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b")];
      await a.links.connect(b.address, never);
      b.requests.handle("status", async (_, body) => body);
      const raw = await Promise.all(Array.from({ length: 200 }, () => dialRaw(rig, a)));
      await turns();
      expect(raw.filter(({ isClosed }) => isClosed()).length).to.equal(200 - 64);
      expect(await a.metrics.text()).to.include('pyromesh_peer_refusals_total{reason="busy"} 136');
      await a.requests.request("b", "status", new Uint8Array(1), { timeoutMs: 1000 });
      rig.clock.advance(5000);
      await Promise.all(raw.map(({ closed }) => closed));
      expect((await (await rig.start("c")).links.connect(a.address, never)).name).to.equal("a");
    });

    it("a member that sends what the protocol does not allow: its link is closed, counted and logged with its name, and the node goes on", async () => {
      const log: string[] = [];
      const clock = new ManualClock();
      const rig = new LinkRig({ clock, network: new MemoryNetwork({ clock }), logger: loggerTo(log) });
      const [a, b] = [await rig.start("a"), await rig.start("b")];
      for (const [channel, frame] of [
        ["push", new Uint8Array(0)],
        ["read", Buffer.from("noise")],
        ["control", Buffer.from("noise")],
      ] as const) {
        await a.links.connect(b.address, never);
        const down = new Promise<string>((resolve) => b.links.onLinkDown(({ name }) => resolve(name)));
        a.links.current("b")!.send(channel, frame);
        expect(await down).to.equal("a");
        await turns();
      }
      expect(await b.metrics.text()).to.include('pyromesh_peer_refusals_total{reason="malformed"} 3');
      expect(log).to.deep.equal(["malformed: the link to a was closed: the peer sent a frame of 0 bytes that begins with nothing"]);
      expect((await a.links.connect(b.address, never)).name).to.equal("b");
    });
  });

  it("redial: a member that cannot be reached is not dialled again at once, and then later and later; nobody waits but the first", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    await b.links.stop();
    const ask = (): Promise<string> => a.links.linkTo("b").then(() => "linked", (error: CodedError) => error.message);
    const failedDials = async (): Promise<number> => Number(/dials_total\{outcome="failed"\} (\d+)/.exec(await a.metrics.text())?.[1]);
    expect(await ask()).to.include("the connection was refused");
    expect(await ask()).to.include("a moment ago");
    expect(await failedDials()).to.equal(1);
    rig.clock.advance(100);
    expect(await ask()).to.include("under way");
    await turns();
    expect(await failedDials()).to.equal(2);
    const waits: number[] = [];
    for (let waitedMs = 0; waits.length < 10; waitedMs += 100) {
      if ((await ask()).includes("under way")) {
        waits.push(waitedMs);
        waitedMs = 0;
        await turns();
      }
      rig.clock.advance(100);
    }
    expect(Math.max(...waits)).to.be.within(1500, 3100);
    expect(await failedDials()).to.equal(12);
  });

  it("redial: a member that could not be reached and then dialled this node itself is dialled at once when that link ends, and the dial is waited for", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    await b.links.stop();
    for (let i = 0; i < 5; i++) {
      await a.links.linkTo("b").catch(() => undefined);
      await turns();
      rig.clock.advance(3000);
    }
    const again = await rig.start("b");
    await again.links.connect(a.address, never);
    a.links.close("b", "over");
    expect((await a.links.linkTo("b")).peer).to.include({ name: "b", bootId: "boot-3" });
  });

  it("redial: a dial that gets no answer hands out the link that the member dialled itself meanwhile, from another address", async () => {
    const rig = LinkRig.inMemory();
    const oldAddress = "10.0.0.1:9";
    const [a, b] = [await rig.start("a", { modules: { addressOf: () => oldAddress } }), await rig.start("b")];
    rig.network.cut(a.address, oldAddress);
    const got: string[] = [];
    b.links.onMessage((from, message) => got.push(`${from.name} ${Buffer.from(message).toString()}`));
    const linked = a.links.linkTo("b");
    a.links.send("b", Buffer.from("x"));
    await b.links.connect(a.address, never);
    rig.clock.advance(5000);
    expect((await linked).peer).to.include({ name: "b" });
    await turns();
    expect(got).to.deep.equal(["a x"]);
  });

  it("stop: links close, and nothing is left on the clock", async () => {
    const rig = LinkRig.inMemory();
    const [a, b] = [await rig.start("a"), await rig.start("b")];
    await a.links.connect(b.address, never);
    await rig.stop();
    await turns();
    expect(rig.clock.timerCount).to.equal(0);
    expect([namesOf(a), namesOf(b)]).to.deep.equal([[], []]);
  });
});

function namesOf({ links }: LinkRigNode): string[] {
  return links.linked.map(({ name }) => name);
}

function eventsOf({ links }: LinkRigNode): string[] {
  const events: string[] = [];
  links.onLinkUp(({ name }) => events.push(`up ${name}`));
  links.onLinkDown(({ name }, reason) => events.push(`down ${name}: ${reason}`));
  return events;
}

/** What is under way in microtasks is over. */
async function turns(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "linked",
    (error: CodedError) => (error.code === "PEER_REFUSED" ? `${error.details["reason"]} by ${error.details["isByPeer"] === true ? "the peer" : "this side"}` : `${error.code} ${error.message}`),
  );
}

/** Lines of the log: the reason, and the sentence. */
function loggerTo(lines: string[]): Logger {
  return { ...silentLogger, warn: (message: string, fields: LogFields = {}) => void lines.push(`${String(fields["reason"])}: ${message}`) };
}

let rawCount = 0;

/** A link that no PeerLinks is behind. */
async function dialRaw(rig: LinkRig, to: LinkRigNode): Promise<{ link: PeerLink; closed: Promise<void>; isClosed: () => boolean }> {
  const endpoint = await rig.network.open({ host: "10.0.0.9", port: 0, clusterName: "test", privateKey: Buffer.from(`raw ${rawCount++}`) }, { onLink: () => undefined, onBadConnection: () => undefined, onGossip: () => undefined });
  const link = await endpoint.dial(to.address, never);
  let isClosed = false;
  const closed = new Promise<void>((resolve) => {
    link.listen({
      onFrame: () => undefined,
      onClosed: () => {
        isClosed = true;
        resolve();
      },
    });
  });
  return { link, closed, isClosed: () => isClosed };
}
