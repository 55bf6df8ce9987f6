import { expect } from "chai";
import { CodedError, Metrics, silentLogger, unavailable } from "@pyromesh/base";
import { LinkRig, type LinkRigNode } from "../testing/link-rig.ts";
import { encodeCancel, encodeFirst, encodeMore, PART_BYTES } from "./frame.ts";
import { PeerRequests } from "./requests.ts";

const never = new AbortController().signal;
const NOTHING = new Uint8Array(0);
const TIMEOUT = { timeoutMs: 1000 };
const BUDGET = { countMax: 4, bytesMax: 1000, bodyBytesMax: 10 * 2 ** 20 };

describe("requests between members", () => {
  it("a request is answered by the other side's handler, which learns who asks; nothing is left on the clock", async () => {
    const { rig, a, b } = await pair();
    b.requests.handle("status", async (from, body) => Buffer.from(`${from.name} ${from.protocol} ${from.storeId.length} ${Buffer.from(body).toString()}`));
    expect(Buffer.from(await a.requests.request("b", "status", Buffer.from("x"), TIMEOUT)).toString()).to.equal("a 1 32 x");
    expect(rig.clock.timerCount).to.equal(0);
  });

  it("a request that comes while the other node still starts waits until it answers requests", async () => {
    const rig = LinkRig.inMemory();
    const a = await rig.start("a");
    const links = await rig.openLinks("b");
    await a.links.connect(`10.0.0.1:${links.port}`, never);
    const answer = a.requests.request("b", "status", Buffer.from("early"), TIMEOUT);
    await turns();
    const requests = new PeerRequests({ links, clock: rig.clock, logger: silentLogger, metrics: new Metrics() });
    requests.handle("status", async (_, body) => body);
    expect(Buffer.from(await answer).toString()).to.equal("early");
  });

  it("a rolling upgrade: each pair speaks the newest version that both know, and handlers learn which; who shares none is refused", async () => {
    const rig = LinkRig.inMemory();
    const [old, both, young] = [await rig.start("old"), await rig.start("both", { options: { protocolMax: 2 } }), await rig.start("young", { options: { protocolMin: 2, protocolMax: 3 } })];
    for (const { requests } of [old, both, young]) requests.handle("status", async ({ protocol }) => Buffer.from(`${protocol}`));
    const spoken = async (from: LinkRigNode, to: string): Promise<string> => Buffer.from(await from.requests.request(to, "status", NOTHING, TIMEOUT)).toString();
    expect([await spoken(old, "both"), await spoken(both, "old"), await spoken(both, "young"), await spoken(young, "both")]).to.deep.equal(["1", "1", "2", "2"]);
    const refusal = await old.requests.request("young", "status", NOTHING, TIMEOUT).catch((error: Error) => error.message);
    expect(refusal).to.include("young").and.to.include("versions 2 to 3").and.to.include("upgrade the older of the two");
  });

  it("both sides ask at once with the same ids, and each gets its own answers, in whatever order they come", async () => {
    const { a, b } = await pair();
    const held: (() => void)[] = [];
    for (const node of [a, b]) {
      node.requests.handle("scan", async (from, body) => {
        await new Promise<void>((resolve) => held.push(resolve));
        return Buffer.from(`${from.name}${Buffer.from(body).toString()}`);
      });
    }
    const answers = [0, 1, 2].flatMap((i) => [a.requests.request("b", "scan", Buffer.from(`${i}`), TIMEOUT), b.requests.request("a", "scan", Buffer.from(`${i}`), TIMEOUT)]);
    await turns();
    for (const release of held.reverse()) release();
    expect((await Promise.all(answers)).map((answer) => Buffer.from(answer).toString())).to.deep.equal(["a0", "b0", "a1", "b1", "a2", "b2"]);
  });

  it("bodies longer than a frame are cut and put together again, and short ones pass in between", async () => {
    const { a, b } = await pair();
    b.requests.handle("scan", async (_, body) => body);
    const order: string[] = [];
    const long = new Uint8Array(9 * PART_BYTES + 5).map((_, i) => i * 7);
    const [answer] = await Promise.all([
      a.requests.request("b", "scan", long, TIMEOUT).finally(() => order.push("long")),
      a.requests.request("b", "scan", Buffer.from("short"), TIMEOUT).finally(() => order.push("short")),
    ]);
    expect(Buffer.compare(answer, long)).to.equal(0);
    expect(order).to.deep.equal(["short", "long"]);
    for (const size of [0, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES]) expect((await a.requests.request("b", "scan", new Uint8Array(size), TIMEOUT)).length).to.equal(size);
  });

  it("a coded error of the handler arrives as it was thrown; what has no code is PEER_FAILED", async () => {
    const { a, b } = await pair();
    b.requests.handle("append", async () => {
      throw new CodedError({ code: "HEAD_FULL", kind: "resource_exhausted", message: "the head is full", details: { sizeBytes: 7 } });
    });
    b.requests.handle("status", async () => {
      throw new TypeError("a bug");
    });
    const error = await a.requests.request("b", "append", NOTHING, TIMEOUT).catch((thrown: CodedError) => thrown);
    expect(error).to.deep.include({ code: "HEAD_FULL", kind: "resource_exhausted", message: "the head is full", details: { sizeBytes: 7 } });
    expect(await outcome(a.requests.request("b", "status", NOTHING, TIMEOUT))).to.equal("PEER_FAILED");
    expect(await outcome(a.requests.request("b", "flush", NOTHING, TIMEOUT))).to.equal("PEER_METHOD_UNKNOWN");
  });

  it("time-out: it is PEER_TIMEOUT, the handler's signal is aborted, and an answer that comes late is dropped", async () => {
    const { rig, a, b } = await pair();
    let finish!: () => void;
    const signals: AbortSignal[] = [];
    b.requests.handle("scan", async (_, __, signal) => {
      signals.push(signal);
      await new Promise<void>((resolve) => (finish = resolve));
      return Buffer.from("late");
    });
    const late = outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT));
    await turns();
    rig.clock.advance(1000);
    expect(await late).to.equal("PEER_TIMEOUT");
    await turns();
    expect(signals[0]!.aborted).to.equal(true);
    finish();
    b.requests.handle("scan", async () => Buffer.from("new"));
    expect(Buffer.from(await a.requests.request("b", "scan", NOTHING, TIMEOUT)).toString()).to.equal("new");
  });

  it("abort: the request rejects with the signal's reason, and the handler's signal is aborted", async () => {
    const { a, b } = await pair();
    const signals: AbortSignal[] = [];
    b.requests.handle("scan", (_, __, signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    });
    const controller = new AbortController();
    const request = a.requests.request("b", "scan", NOTHING, { ...TIMEOUT, signal: controller.signal }).catch((error: Error) => error.message);
    await turns();
    controller.abort(new Error("the client went away"));
    expect(await request).to.equal("the client went away");
    await turns();
    expect(signals[0]!.aborted).to.equal(true);
    expect(await a.requests.request("b", "scan", NOTHING, { ...TIMEOUT, signal: controller.signal }).catch((error: Error) => error.message)).to.equal("the client went away");
  });

  it("a link that closes: what waits is PEER_UNREACHABLE, and the handler's signal is aborted", async () => {
    const { rig, a, b } = await pair();
    const signals: AbortSignal[] = [];
    b.requests.handle("scan", (_, __, signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    });
    const waiting = outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT));
    await turns();
    rig.network.break(a.address, b.address);
    expect(await waiting).to.equal("PEER_UNREACHABLE");
    expect(signals[0]!.aborted).to.equal(true);
    await turns();
    expect(await queueOf(b)).to.equal("");
  });

  it("nobody there: PEER_UNREACHABLE at once, the second time without a dial", async () => {
    const { a, b } = await pair();
    await b.links.stop();
    await turns();
    for (let i = 0; i < 2; i++) expect(await outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT))).to.equal("PEER_UNREACHABLE");
    expect(await outcome(a.requests.request("nobody", "scan", NOTHING, TIMEOUT))).to.equal("PEER_UNREACHABLE");
  });

  it("half-open: after three requests without a sign of life the link is closed, and the next request dials a new one", async () => {
    const { rig, a, b } = await pair();
    b.requests.handle("scan", async (_, body) => body);
    rig.network.cutBoth(a.address, b.address);
    for (let i = 0; i < 3; i++) {
      expect(a.links.isLinked("b")).to.equal(true);
      const request = outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT));
      await turns();
      rig.clock.advance(1000);
      expect(await request).to.equal("PEER_TIMEOUT");
    }
    await turns();
    expect(a.links.isLinked("b")).to.equal(false);
    rig.network.healBoth(a.address, b.address);
    const request = a.requests.request("b", "scan", NOTHING, { timeoutMs: 5000 });
    await turns();
    rig.clock.advance(1000); // b asks on the old link first
    await request;
  });

  it("a process that was stopped for a while, and finds its time-outs due before it has read the replies, keeps its links", async () => {
    const { rig, a, b } = await pair();
    b.requests.handle("scan", async (_, body) => body);
    rig.network.cut(b.address, a.address);
    const requests = Array.from({ length: 10 }, () => outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT)));
    await turns();
    rig.network.heal(b.address, a.address); // the replies are there: they are read after the timers
    rig.clock.advance(20_000);
    expect(new Set(await Promise.all(requests))).to.deep.equal(new Set(["PEER_TIMEOUT"]));
    await turns();
    expect(a.links.isLinked("b")).to.equal(true);
  });

  describe("a sign of life", () => {
    const hears = async ({ rig, a }: Awaited<ReturnType<typeof pair>>): Promise<boolean> => {
      const isHeard = a.requests.hears("b", 300);
      await turns();
      rig.clock.advance(300);
      return isHeard;
    };

    it("comes from a member whose handlers are at work, and leaves nothing on the clock", async () => {
      const { rig, a, b } = await pair();
      b.requests.handle("scan", () => new Promise(() => undefined));
      void outcome(a.requests.request("b", "scan", NOTHING, { timeoutMs: 10_000 }));
      const timerCount = rig.clock.timerCount;
      expect(await a.requests.hears("b", 300)).to.equal(true);
      expect(rig.clock.timerCount).to.equal(timerCount);
    });

    it("is anything that comes; a member that sends nothing, or to which there is no link, gives none", async () => {
      const both = await pair();
      const { rig, a, b } = both;
      rig.network.cut(a.address, b.address);
      expect(await hears(both), "the ping is lost").to.equal(false);
      const isHeard = a.requests.hears("b", 300);
      b.links.send("a", Buffer.from("a probe"));
      await turns();
      rig.clock.advance(300);
      expect(await isHeard, "the ping is lost, and something else comes").to.equal(true);
      rig.network.healBoth(a.address, b.address);
      await b.links.stop();
      await turns();
      expect(await hears(both), "no link").to.equal(false);
    });

    it("that came while this process was stopped counts, though the time is over", async () => {
      const { rig, a, b } = await pair();
      rig.network.cut(b.address, a.address);
      const isHeard = a.requests.hears("b", 300);
      await turns();
      rig.network.heal(b.address, a.address); // the answer is there: it is read after the timers
      rig.clock.advance(20_000);
      expect(await isHeard).to.equal(true);
    });
  });

  it("a peer that is slow but alive keeps its link: a frame in between starts the count anew", async () => {
    const { rig, a, b } = await pair();
    b.requests.handle("scan", () => new Promise(() => undefined));
    for (let i = 0; i < 10; i++) {
      const request = outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT));
      await turns();
      rig.clock.advance(1000);
      expect(await request).to.equal("PEER_TIMEOUT");
      b.links.send("a", Buffer.from("a probe"));
      await turns();
    }
    expect(a.links.isLinked("b")).to.equal(true);
  });

  describe("budgets", () => {
    it("requests under way and their bytes are bounded: beyond it they are PEER_BUSY at once, and other peers do not suffer", async () => {
      const rig = LinkRig.inMemory();
      const [a, b, c] = [await rig.start("a", { budget: BUDGET }), await rig.start("b"), await rig.start("c")];
      c.requests.handle("scan", async (_, body) => body);
      const answered: Promise<string>[] = [];
      const releases: (() => void)[] = [];
      b.requests.handle("scan", () => new Promise((resolve) => releases.push(() => resolve(NOTHING))));
      for (let i = 0; i < 4; i++) answered.push(outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT)));
      expect(await outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT))).to.equal("PEER_BUSY");
      await a.requests.request("c", "scan", NOTHING, TIMEOUT);
      await turns();
      for (const release of releases.splice(0)) release();
      expect(await Promise.all(answered)).to.deep.equal(["ok", "ok", "ok", "ok"]);
      const one = outcome(a.requests.request("b", "scan", new Uint8Array(600), TIMEOUT));
      expect(await outcome(a.requests.request("b", "scan", new Uint8Array(401), TIMEOUT))).to.equal("PEER_BUSY");
      const other = outcome(a.requests.request("b", "scan", new Uint8Array(400), TIMEOUT));
      await turns();
      for (const release of releases.splice(0)) release();
      expect(await Promise.all([one, other])).to.deep.equal(["ok", "ok"]);
    });

    it("the bytes of all peers together are bounded too, each way, and are given back", async () => {
      const rig = LinkRig.inMemory();
      const budget = { ...BUDGET, allBytesMax: 1500 };
      const a = await rig.start("a", { budget });
      const others = await Promise.all(["b", "c"].map((name) => rig.start(name)));
      const held: (() => void)[] = [];
      for (const { requests } of others) {
        requests.handle("scan", async () => {
          await new Promise<void>((resolve) => held.push(resolve));
          return NOTHING;
        });
      }
      const first = [a.requests.request("b", "scan", new Uint8Array(900), TIMEOUT), a.requests.request("c", "scan", new Uint8Array(600), TIMEOUT)];
      expect(await outcome(a.requests.request("c", "scan", new Uint8Array(1), TIMEOUT)), "within the budget of c, beyond that of all").to.equal("PEER_BUSY");
      await turns();
      for (const release of held.splice(0)) release();
      await Promise.all(first);
      const again = a.requests.request("c", "scan", new Uint8Array(900), TIMEOUT);
      await turns();
      for (const release of held.splice(0)) release();
      expect(await outcome(again)).to.equal("ok");
    });

    it("a peer's requests beyond the budget are answered with PEER_BUSY, and never reach the handler", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b", { budget: BUDGET })];
      const releases: (() => void)[] = [];
      b.requests.handle("scan", (_, body) => new Promise((resolve) => releases.push(() => resolve(body.subarray(0, 1)))));
      const outcomes = Promise.all([900, 200, 100, PART_BYTES * 3, 0, 0, 0].map((size) => outcome(a.requests.request("b", "scan", new Uint8Array(size), TIMEOUT))));
      await turns();
      expect(releases.length).to.equal(4);
      for (const release of releases.splice(0)) release();
      expect(await outcomes).to.deep.equal(["ok", "PEER_BUSY", "ok", "PEER_BUSY", "ok", "ok", "PEER_BUSY"]);
      await turns();
      const again = outcome(a.requests.request("b", "scan", new Uint8Array(1000), TIMEOUT));
      await turns();
      releases[0]!();
      expect(await again).to.equal("ok");
      expect(await queueOf(b)).to.equal('{direction="in",member="a"} 0 {direction="out",member="a"} 0');
    });

    it("a member that asks and takes no answers: its requests are refused at the bound, then its link is closed", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b", { budget: BUDGET })];
      b.requests.handle("scan", async () => new Uint8Array(600));
      await a.links.connect(b.address, never);
      const link = a.links.current("b")!;
      const down = new Promise<string>((resolve) => b.links.onLinkDown((_, reason) => resolve(reason)));
      rig.network.cut(b.address, a.address);
      for (let id = 0; id < 2000 && b.links.isLinked("a"); id++) {
        link.send("read", encodeFirst("request", "scan", id, NOTHING));
        if (id % 50 === 0) await turns();
      }
      expect(await down).to.include("takes no replies");
      expect(await b.metrics.text()).to.include('pyromesh_peer_refusals_total{reason="over-budget"} 1');
    });

    it("a reply that is too long is an error of its request, and the link stays", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a", { budget: { ...BUDGET, bytesMax: PART_BYTES * 2 } }), await rig.start("b")];
      b.requests.handle("scan", async (_, body) => new Uint8Array(body.length === 0 ? 10 : PART_BYTES * 3));
      expect(await outcome(a.requests.request("b", "scan", new Uint8Array(1), TIMEOUT))).to.equal("PEER_BUSY");
      expect(await outcome(a.requests.request("b", "scan", NOTHING, TIMEOUT))).to.equal("ok");
      b.requests.handle("digest", async () => new Uint8Array(64 * 2 ** 20 + 1));
      expect(await outcome(a.requests.request("b", "digest", NOTHING, TIMEOUT))).to.equal("PEER_BODY_TOO_LARGE");
      expect(await outcome(b.requests.request("a", "digest", new Uint8Array(64 * 2 ** 20 + 1), TIMEOUT))).to.equal("PEER_BODY_TOO_LARGE");
    });

    it("a long request that is given up half-way frees its bytes on both sides", async () => {
      const rig = LinkRig.inMemory();
      const [a, b] = [await rig.start("a"), await rig.start("b")];
      await a.links.connect(b.address, never);
      b.requests.handle("scan", async (_, body) => body);
      rig.network.cut(a.address, b.address);
      const controller = new AbortController();
      const given = a.requests.request("b", "scan", new Uint8Array(10 * PART_BYTES), { ...TIMEOUT, signal: controller.signal }).catch((error: Error) => error.message);
      await turns();
      controller.abort(new Error("given up"));
      expect(await given).to.equal("given up");
      rig.network.heal(a.address, b.address);
      expect((await a.requests.request("b", "scan", new Uint8Array(5), TIMEOUT)).length).to.equal(5);
      for (const node of [a, b]) expect(await queueOf(node)).not.to.match(/ [1-9]/);
    });
  });

  describe("hostile members", () => {
    for (const [what, frames] of [
      ["a body longer than the bound", [headerOnly("request", 2 ** 31)]],
      ["two requests with one id", [encodeFirst("request", "append", 1, new Uint8Array(PART_BYTES + 1)), encodeFirst("request", "append", 1, NOTHING)]],
      ["the rest of a request that never began", [encodeMore(false, 5, new Uint8Array(10), 0)]],
      ["the rest of a reply that never began", [encodeMore(true, 5, new Uint8Array(10), 0)]],
      ["more than the length of a body", [encodeFirst("request", "append", 1, new Uint8Array(PART_BYTES + 1)), encodeMore(false, 1, new Uint8Array(2), 0)]],
      ["fewer bytes than the first frame must have", [encodeFirst("request", "append", 1, new Uint8Array(100)).subarray(0, 50)]],
    ] as const) {
      it(`${what}: the link is closed`, async () => {
        const { a, b } = await pair();
        b.requests.handle("append", () => new Promise(() => undefined));
        const down = new Promise<string>((resolve) => b.links.onLinkDown((_, reason) => resolve(reason)));
        for (const frame of frames) a.links.current("b")!.send("push", frame);
        expect(await down).to.match(/^the peer sent/);
      });
    }

    it("a body that its handler cannot read is counted with the peer's refusals, and the link stays", async () => {
      const { a, b } = await pair();
      b.requests.handle("append", async () => Promise.reject(new CodedError({ code: "PEER_MALFORMED", kind: "invalid_argument", message: "no list" })));
      for (let count = 0; count < 3; count++) await outcome(a.requests.request("b", "append", NOTHING, TIMEOUT));
      expect(await b.metrics.text()).to.include('pyromesh_peer_refusals_total{reason="malformed"} 3');
      expect(a.links.current("b")).not.to.equal(undefined);
    });

    it("cancels and replies of nothing do no harm", async () => {
      const { a, b } = await pair();
      b.requests.handle("scan", async (_, body) => body);
      for (let id = 0; id < 100; id++) {
        a.links.current("b")!.send("read", encodeCancel(id));
        a.links.current("b")!.send("read", encodeFirst("reply", undefined, id, Buffer.from("x")));
      }
      await a.requests.request("b", "scan", NOTHING, TIMEOUT);
    });
  });

  it("metrics: durations by method and outcome, on both sides", async () => {
    const { a, b } = await pair();
    b.requests.handle("scan", async (_, body) => body);
    b.requests.handle("status", async () => Promise.reject(unavailable("NOT_READY", "not ready")));
    await a.requests.request("b", "scan", NOTHING, TIMEOUT);
    await outcome(a.requests.request("b", "status", NOTHING, TIMEOUT));
    await a.requests.request("b", "scan", new Uint8Array(100), TIMEOUT);
    for (const node of [a, b]) for (const direction of ["sent", "received"]) expect(await node.metrics.text()).to.include(`pyromesh_peer_body_bytes_total{method="scan",direction="${direction}"} 100`);
    const [asked, served] = [await a.metrics.text(), await b.metrics.text()];
    for (const line of ['count{method="scan",outcome="ok"} 2', 'count{method="status",outcome="error"} 1']) {
      expect(asked).to.include(`pyromesh_peer_request_duration_seconds_${line}`);
      expect(served).to.include(`pyromesh_peer_served_duration_seconds_${line}`);
    }
  });
});

async function pair(): Promise<{ rig: ReturnType<typeof LinkRig.inMemory>; a: LinkRigNode; b: LinkRigNode }> {
  const rig = LinkRig.inMemory();
  const [a, b] = [await rig.start("a"), await rig.start("b")];
  await a.links.connect(b.address, never);
  return { rig, a, b };
}

async function outcome(request: Promise<unknown>): Promise<string> {
  return request.then(
    () => "ok",
    (error: CodedError) => error.code ?? String(error),
  );
}

/** What is under way in microtasks is over. */
async function turns(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

/** The lines of the queue metric, without its name. */
async function queueOf({ metrics }: LinkRigNode): Promise<string> {
  return [...(await metrics.text()).matchAll(/^pyromesh_peer_queue_bytes(\{.*)$/gm)].map(([, rest]) => rest!.replace(/member="(\w+)",direction="(\w+)"/, 'direction="$2",member="$1"')).sort().join(" ");
}

function headerOnly(kind: "request", length: number): Uint8Array {
  const frame = encodeFirst(kind, "append", 1, new Uint8Array(PART_BYTES));
  new DataView(frame.buffer).setUint32(6, length, true);
  return frame;
}
