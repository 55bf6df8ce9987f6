/** What every network between members promises (links/peer-network.ts), as tests. */
import { createHash } from "node:crypto";
import { expect } from "chai";
import { CodedError } from "@pyromesh/base";
import { CHANNELS, FRAME_BYTES_MAX, type Channel, type PeerEndpoint, type PeerLink, type PeerNetwork } from "../links/peer-network.ts";

export interface ContractNetwork {
  readonly network: PeerNetwork;
  /** An address of this network's. */
  readonly host: string;
}

export function networkContract(title: string, openNetwork: () => Promise<ContractNetwork>): void {
  describe(title, () => {
    const opened: PeerEndpoint[] = [];
    let contract: ContractNetwork;
    before(async () => {
      contract = await openNetwork();
    });
    afterEach(async () => {
      for (const endpoint of opened.splice(0)) await endpoint.stop();
    });

    const open = async (name: string, clusterName = "test"): Promise<ContractNode> => {
      const node = await openNode(contract, name, clusterName);
      opened.push(node.endpoint);
      return node;
    };
    const openPair = async (): Promise<{ a: ContractNode; b: ContractNode; ab: ContractLink; ba: ContractLink }> => {
      const [a, b] = [await open("a"), await open("b")];
      const { dialled, accepted } = await link(a, b);
      return { a, b, ab: dialled, ba: accepted };
    };

    it("link: each side sees the other's peer id, and which of the two dialled", async () => {
      const { a, b, ab, ba } = await openPair();
      expect([ab.link.peerId, ba.link.peerId]).to.deep.equal([b.endpoint.peerId, a.endpoint.peerId]);
      expect([ab.link.isDialled, ba.link.isDialled]).to.deep.equal([true, false]);
    });

    it("frames: whole and in order on each channel, both ways, from no byte to the longest", async () => {
      const { ab, ba } = await openPair();
      const sizes = [0, 1, 3, 100, 4000, 33_000, 70_000, 0, 1_000_000, FRAME_BYTES_MAX, 5];
      for (const [from, to] of [
        [ab, ba],
        [ba, ab],
      ] as const) {
        for (const channel of CHANNELS) {
          for (const [i, size] of sizes.entries()) from.link.send(channel, frameOf(size, i));
          for (const [i, size] of sizes.entries()) expect(digest(await to.next(channel)), `${channel} ${size}`).to.equal(digest(frameOf(size, i)));
        }
      }
    });

    it("frames: many small ones that are sent in one turn arrive in order", async () => {
      const { ab, ba } = await openPair();
      for (let i = 0; i < 5000; i++) ab.link.send("push", Buffer.from(`frame ${i}`));
      for (let i = 0; i < 5000; i++) expect(Buffer.from(await ba.next("push")).toString()).to.equal(`frame ${i}`);
    });

    it("admission: before it only the control channel carries frames, and a dialler that admits alone gets nothing through", async () => {
      const [a, b] = [await open("a"), await open("b")];
      const { dialled, accepted } = await link(a, b, { isAdmitted: false });
      dialled.link.send("control", Buffer.from("hello"));
      expect(Buffer.from(await accepted.next("control")).toString()).to.equal("hello");
      dialled.link.send("push", Buffer.from("a record"));
      dialled.link.admit();
      dialled.link.send("control", Buffer.from("still here"));
      await Promise.race([accepted.next("control"), accepted.closed]);
      expect(accepted.received("push")).to.equal(0);
    });

    it("back-pressure: a reader that pauses one channel stops its sender, and neither the other channels nor other links", async () => {
      const { a, ab, ba } = await openPair();
      const c = await open("c");
      const { dialled: ac, accepted: ca } = await link(a, c);
      ba.link.pause("push", true);
      const frame = new Uint8Array(64 * 1024);
      let sent = 0;
      while (ab.link.send("push", frame) || (await isDrained(ab.link, "push", ab, ba))) if (++sent > 2000) break;
      expect(sent, "frames sent to a reader that reads nothing").to.be.below(1000);
      for (const channel of ["control", "read"] as const) {
        ab.link.send(channel, Buffer.from(channel));
        expect(Buffer.from(await ba.next(channel)).toString()).to.equal(channel);
      }
      ac.link.send("push", Buffer.from("to another"));
      expect(Buffer.from(await ca.next("push")).toString()).to.equal("to another");
      const drained = ab.link.drained("push");
      ba.link.pause("push", false);
      await drained;
      for (let i = 0; i <= sent; i++) expect((await ba.next("push")).length).to.equal(frame.length);
    });

    it("close: what was sent before arrives, and both sides learn of it once", async () => {
      const { ab, ba } = await openPair();
      for (const channel of CHANNELS) {
        ab.link.send(channel, Buffer.from("the channel is open"));
        await ba.next(channel);
      }
      const before = CHANNELS.map((channel) => ba.received(channel));
      for (let i = 0; i < 100; i++) for (const channel of CHANNELS) ab.link.send(channel, Buffer.from(`${i}`));
      ab.link.close();
      expect(ab.link.send("control", Buffer.from("too late"))).to.equal(true);
      await Promise.all([ab.closed, ba.closed]);
      expect(CHANNELS.map((channel) => ba.received(channel))).to.deep.equal(before.map((count) => count + 100));
      await ab.link.drained("control");
    });

    it("drained: resolves when the link closes", async () => {
      const { ab, ba } = await openPair();
      ba.link.pause("push", true);
      while (ab.link.send("push", new Uint8Array(1 << 20)));
      const drained = ab.link.drained("push");
      ba.link.close();
      await drained;
    });

    it("many links: one endpoint answers twenty", async () => {
      const hub = await open("hub");
      const others = [];
      for (let i = 0; i < 20; i++) others.push(await open(`node ${i}`));
      const links = await Promise.all(others.map((other) => link(other, hub)));
      for (const [i, { dialled }] of links.entries()) dialled.link.send("read", Buffer.from(`from ${i}`));
      for (const [i, { accepted }] of links.entries()) {
        expect(Buffer.from(await accepted.next("read")).toString()).to.equal(`from ${i}`);
        accepted.link.send("push", Buffer.from(`to ${i}`));
      }
      for (const [i, { dialled }] of links.entries()) expect(Buffer.from(await dialled.next("push")).toString()).to.equal(`to ${i}`);
    });

    it("dial: where nobody listens it is PEER_UNREACHABLE", async () => {
      const [a, b] = [await open("a"), await open("b")];
      await b.endpoint.stop();
      expect(await codeOf(a.endpoint.dial(b.address, new AbortController().signal))).to.equal("PEER_UNREACHABLE");
    });

    it("dial: a signal that aborts ends it", async () => {
      const [a, b] = [await open("a"), await open("b")];
      const controller = new AbortController();
      const dial = codeOf(a.endpoint.dial(b.address, controller.signal));
      controller.abort(new Error("enough"));
      expect(await dial).to.equal("PEER_UNREACHABLE");
    });

    it("open: a port that is taken is CLUSTER_LISTEN_FAILED", async () => {
      const a = await open("a");
      const handlers = { onLink: () => undefined, onBadConnection: () => undefined, onGossip: () => undefined };
      const options = { host: contract.host, port: a.endpoint.port, clusterName: "test", privateKey: createHash("sha256").update("b").digest() };
      expect(await codeOf(contract.network.open(options, handlers))).to.equal("CLUSTER_LISTEN_FAILED");
      await a.endpoint.stop();
      opened.push(await contract.network.open(options, handlers));
    });

    it("gossip: reaches those who are linked over others, and nobody whose link is not admitted, or of another cluster", async () => {
      const [a, b, c] = [await open("a"), await open("b"), await open("c")];
      const [stranger, foreigner] = [await open("stranger"), await open("foreigner", "another")];
      await link(a, b);
      await link(c, b);
      await link(stranger, b, { isAdmitted: false });
      await link(foreigner, b);
      // The first messages may be lost, while the gossip streams are opened.
      let count = 0;
      const timer = setInterval(() => a.endpoint.gossip(Buffer.from(`news ${count++}`)), 20);
      await Promise.all([b.gossiped, c.gossiped]);
      clearInterval(timer);
      expect([stranger.gossipCount, foreigner.gossipCount, a.gossipCount]).to.deep.equal([0, 0, 0]);
    });

    it("stop: the other sides' links close", async () => {
      const { b, ab } = await openPair();
      await b.endpoint.stop();
      await ab.closed;
    });

    it("resolve: an IP address is its own", async () => {
      expect(await contract.network.resolve("127.0.0.1", new AbortController().signal)).to.deep.equal(["127.0.0.1"]);
    });
  });
}

interface ContractNode {
  readonly endpoint: PeerEndpoint;
  readonly address: string;
  /** The link that this peer dialled. */
  readonly linkFrom: (peerId: string) => Promise<ContractLink>;
  readonly gossiped: Promise<void>;
  readonly gossipCount: number;
}

/** A link, and what arrived on it. */
class ContractLink {
  readonly link: PeerLink;
  readonly closed: Promise<void>;
  readonly #frames = new Map<Channel, Uint8Array[]>(CHANNELS.map((channel) => [channel, []]));
  readonly #counts = new Map<Channel, number>(CHANNELS.map((channel) => [channel, 0]));
  readonly #waiting = new Map<Channel, () => void>();

  constructor(link: PeerLink) {
    this.link = link;
    let closedCount = 0;
    this.closed = new Promise((resolve, reject) => {
      link.listen({
        onFrame: (channel, frame) => {
          if (closedCount > 0) reject(new Error("a frame after the close"));
          this.#frames.get(channel)!.push(frame);
          this.#counts.set(channel, this.#counts.get(channel)! + 1);
          this.#waiting.get(channel)?.();
        },
        onClosed: () => (++closedCount === 1 ? resolve() : reject(new Error("closed twice"))),
      });
    });
  }

  /** The next frame that nobody has taken. */
  async next(channel: Channel): Promise<Uint8Array> {
    const frames = this.#frames.get(channel)!;
    while (frames.length === 0) await new Promise<void>((resolve) => this.#waiting.set(channel, resolve));
    return frames.shift()!;
  }

  /** Frames that have arrived so far. */
  received(channel: Channel): number {
    return this.#counts.get(channel)!;
  }
}

async function openNode({ network, host }: ContractNetwork, name: string, clusterName: string): Promise<ContractNode> {
  const links = new Map<string, ContractLink>();
  const waiting = new Map<string, () => void>();
  let gossipCount = 0;
  let onGossip!: () => void; // the promise sets it at once
  const gossiped = new Promise<void>((resolve) => (onGossip = resolve));
  const endpoint = await network.open(
    { host, port: 0, clusterName, privateKey: createHash("sha256").update(name).digest() },
    {
      onLink: (incoming) => {
        links.set(incoming.peerId, new ContractLink(incoming));
        waiting.get(incoming.peerId)?.();
      },
      onBadConnection: () => undefined,
      onGossip: () => {
        gossipCount++;
        onGossip();
      },
    },
  );
  return {
    endpoint,
    address: `${host}:${endpoint.port}`,
    linkFrom: async (peerId) => {
      if (!links.has(peerId)) await new Promise<void>((resolve) => waiting.set(peerId, resolve));
      return links.get(peerId)!;
    },
    gossiped,
    get gossipCount() {
      return gossipCount;
    },
  };
}

async function link(from: ContractNode, to: ContractNode, { isAdmitted = true }: { readonly isAdmitted?: boolean } = {}): Promise<{ dialled: ContractLink; accepted: ContractLink }> {
  const dialled = new ContractLink(await from.endpoint.dial(to.address, new AbortController().signal));
  dialled.link.send("control", Buffer.from(from.endpoint.peerId));
  const accepted = await to.linkFrom(from.endpoint.peerId);
  await accepted.next("control");
  if (isAdmitted) {
    accepted.link.admit();
    accepted.link.send("control", Buffer.from("welcome"));
    await dialled.next("control");
    dialled.link.admit();
  }
  return { dialled, accepted };
}

/** True: the channel takes frames again. False: it did not before a frame went to the other side on another channel and back. */
async function isDrained(from: PeerLink, channel: Channel, a: ContractLink, b: ContractLink): Promise<boolean> {
  let isFree = false;
  void from.drained(channel).then(() => (isFree = true));
  for (let i = 0; i < 20 && !isFree; i++) {
    a.link.send("read", Buffer.from("there"));
    await b.next("read");
    b.link.send("read", Buffer.from("back"));
    await a.next("read");
  }
  return isFree;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "done",
    (error: unknown) => (error instanceof CodedError ? error.code : String(error)),
  );
}

/** Bytes that differ by size and number. */
function frameOf(size: number, number: number): Uint8Array {
  const frame = new Uint8Array(size);
  for (let i = 0; i < size; i += 997) frame[i] = (i * 31 + number) & 0xff;
  return frame;
}

function digest(bytes: Uint8Array): string {
  return `${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}`;
}
