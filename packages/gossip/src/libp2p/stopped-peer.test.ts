import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { silentLogger, systemClock, type CodedError } from "@pyromesh/base";
import { LinkRig, type LinkRigNode } from "../testing/link-rig.ts";
import type { PeerNetwork } from "../links/peer-network.ts";
import { loadLibp2pNetwork } from "./load-libp2p.ts";

const never = new AbortController().signal;
const PROGRAM = fileURLToPath(new URL("../testing/peer-process.js", import.meta.url));

/** A process that was stopped has work to do when it goes on, on a machine that has other work. */
const BACK_WITHIN_MS = 10_000;

describe("peers in processes of their own", () => {
  const children: ChildProcess[] = [];
  let rig: LinkRig<PeerNetwork>;
  let a: LinkRigNode;
  const addresses = new Map<string, string>();
  /** Called for each connection that was no node's. */
  let onBad: () => void = () => undefined;

  const startChild = async (name: string): Promise<ChildProcess> => {
    const child = fork(PROGRAM, [name]);
    children.push(child);
    const [address] = (await once(child, "message")) as [string];
    addresses.set(name, address);
    return child;
  };

  beforeEach(async () => {
    const inner = await loadLibp2pNetwork({ clock: systemClock, logger: silentLogger });
    const network: PeerNetwork = {
      resolve: (host, signal) => inner.resolve(host, signal),
      open: (options, handlers) =>
        inner.open(options, {
          ...handlers,
          onBadConnection: (address, reason) => {
            handlers.onBadConnection(address, reason);
            onBad();
          },
        }),
    };
    rig = new LinkRig({ clock: systemClock, network, host: "127.0.0.1" });
    a = await rig.start("a", { modules: { addressOf: (member) => addresses.get(member) } });
  });
  afterEach(async () => {
    await rig.stop();
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  it("a peer that is stopped costs no more than its budget, holds up no other peer, and is back when it goes on", async function () {
    this.timeout(60_000);
    const [b] = await Promise.all([startChild("b"), startChild("c")]);
    await Promise.all([a.requests.request("b", "append", new Uint8Array(1), { timeoutMs: 10_000 }), a.requests.request("c", "append", new Uint8Array(1), { timeoutMs: 10_000 })]);
    b.kill("SIGSTOP");
    const body = new Uint8Array(256 * 1024);
    const heldBytes = process.memoryUsage().arrayBuffers;
    const outcomes: Promise<string>[] = [];
    for (const method of ["append", "scan"] as const) for (let i = 0; i < 200; i++) outcomes.push(outcomeOf(a.requests.request("b", method, body, { timeoutMs: 4000 })));
    for (let i = 0; i < 50; i++) expect((await a.requests.request("c", "append", body, { timeoutMs: 10_000 })).length).to.equal(body.length);
    expect(process.memoryUsage().arrayBuffers - heldBytes, "bytes held for the stopped peer, and those of garbage").to.be.below(64 * 2 ** 20);
    const counts = new Map<string, number>();
    for (const outcome of await Promise.all(outcomes)) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    // 256 bodies are the budget. After three time-outs in a row the link is closed, and the others end with it.
    expect(counts.get("PEER_BUSY")).to.equal(144);
    expect(counts.get("PEER_TIMEOUT")! + (counts.get("PEER_UNREACHABLE") ?? 0)).to.equal(256);
    b.kill("SIGCONT");
    // It finds its old link closed and takes the new one, in either order: a request between the two ends with the link that it was sent on.
    const untilMs = systemClock.monotonicMs() + BACK_WITHIN_MS;
    let outcome: string;
    do outcome = await outcomeOf(a.links.connect(addresses.get("b")!, never).then(() => a.requests.request("b", "append", body, { timeoutMs: 5000 })));
    while (outcome !== "ok" && systemClock.monotonicMs() < untilMs);
    expect(outcome).to.equal("ok");
  });

  it("a peer that is killed: what waits for it fails at once", async function () {
    this.timeout(60_000);
    const b = await startChild("b");
    await a.requests.request("b", "append", new Uint8Array(1), { timeoutMs: 10_000 });
    b.kill("SIGSTOP");
    const waiting = outcomeOf(a.requests.request("b", "append", new Uint8Array(1), { timeoutMs: 20_000 }));
    b.kill("SIGKILL");
    expect(await waiting).to.equal("PEER_UNREACHABLE");
  });

  // A flood of 3,200 connections counted 184: those that were closed for their number were not.
  it("a flood of connections: each that is closed counts, those over the rate as busy", async function () {
    this.timeout(60_000);
    const [host, port] = [a.address.split(":")[0]!, Number(a.address.split(":")[1])];
    const count = 120;
    let badCount = 0;
    const allReported = new Promise<void>((resolve) => (onBad = () => (++badCount === count ? resolve() : undefined)));
    await Promise.all(
      Array.from({ length: count }, async () => {
        const socket = connect(port, host);
        socket.on("error", () => undefined);
        socket.write("GET / HTTP/1.1\r\n\r\n");
        await once(socket, "close").catch(() => undefined);
      }),
    );
    await allReported;
    const counts = new Map([...(await a.metrics.text()).matchAll(/pyromesh_peer_refusals_total\{reason="(.+?)"\} (\d+)/g)].map(([, reason, value]) => [reason, Number(value)]));
    expect((counts.get("busy") ?? 0) + (counts.get("no-link") ?? 0)).to.equal(count);
    expect(counts.get("busy")).to.be.greaterThan(0);
  });

  it("noise, half a handshake and silence on the port do no harm, and cost no more than a few seconds", async function () {
    this.timeout(60_000);
    const [host, port] = [a.address.split(":")[0]!, Number(a.address.split(":")[1])];
    const noise = [Buffer.alloc(100_000, 0xff), Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Buffer.from("\x13/multistream/1.0.0\n"), Buffer.alloc(0)];
    let badCount = 0;
    const allReported = new Promise<void>((resolve) => (onBad = () => (++badCount === noise.length ? resolve() : undefined)));
    const closed = noise.map(async (bytes) => {
      const socket = connect(port, host);
      socket.on("error", () => undefined);
      socket.write(bytes);
      await once(socket, "close").catch(() => undefined);
    });
    await startChild("b");
    await a.requests.request("b", "append", new Uint8Array(1), { timeoutMs: 10_000 });
    await Promise.all(closed);
    await allReported;
    expect(await a.metrics.text()).to.include(`pyromesh_peer_refusals_total{reason="no-link"} ${noise.length}`);
    expect((await a.links.connect(addresses.get("b")!, never)).name).to.equal("b");
  });
});

async function outcomeOf(request: Promise<unknown>): Promise<string> {
  return request.then(
    () => "ok",
    (error: CodedError) => error.code ?? String(error),
  );
}
