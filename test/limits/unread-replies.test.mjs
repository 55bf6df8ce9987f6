/** Clients that request large replies and do not read them: what they cost a real node, other clients, and its stop. */
import { readFileSync } from "node:fs";
import net from "node:net";
import { expect } from "chai";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";

const MB = 2 ** 20;
const CLIENT_COUNT = 60;
const QUERIER = "querier.v1.QuerierService";

describe("replies that nobody reads", function () {
  this.timeout(120_000);
  const data = freshDataDir();
  const sockets = [];
  let node;
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await node?.kill();
    data.remove();
  });

  it(`${CLIENT_COUNT} of them take a bounded part of memory, and delay neither pushes nor the stop`, async () => {
    node = await startNode({ dataDir: data.dir });
    const nowS = Math.floor(Date.now() / 1000);
    const push = (text) => fetch(`${node.url}/ingest?name=api&from=${nowS - 10}&until=${nowS}&format=folded`, { method: "POST", headers: { "content-type": "application/octet-stream" }, body: text });
    // Few functions with names of the greatest length: the replies are large and cheap to make.
    for (let profile = 0; profile < 4; profile++) {
      const lines = Array.from({ length: 60 }, (_, n) => `main;${profile}_${n}_${"f".repeat(65_000)} ${n + 1}`);
      expect((await push(lines.join("\n"))).status).to.equal(200);
    }
    const range = { start: (nowS - 3600) * 1000, end: (nowS + 60) * 1000 };
    const types = await call(node, `${QUERIER}/ProfileTypes`, range);
    const body = JSON.stringify({ ...range, profileTypeID: types.body.profileTypes[0].ID, labelSelector: "{}", maxNodes: 1_000_000 });
    const path = `/${QUERIER}/SelectMergeStacktraces`;
    const askedOnce = await fetch(`${node.url}${path}`, { method: "POST", headers: { "content-type": "application/json", "accept-encoding": "identity" }, body });
    const replyBytes = (await askedOnce.arrayBuffer()).byteLength;
    expect(replyBytes).to.be.greaterThan(10 * MB);

    const idleBytes = residentBytes(node.pid);
    // One after the other, and all of each is read: what they leave behind is collected.
    let inTurnBytes = 0;
    for (let n = 0; n < 30; n++) {
      await (await fetch(`${node.url}${path}`, { method: "POST", headers: { "content-type": "application/json", "accept-encoding": "identity" }, body })).arrayBuffer();
      inTurnBytes = Math.max(inTurnBytes, residentBytes(node.pid));
    }
    const { hostname, port } = new URL(node.url);
    const ask = () => {
      const socket = net.connect(Number(port), hostname).pause();
      socket.on("error", () => undefined);
      socket.write(`POST ${path} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      sockets.push(socket);
      return socket;
    };
    for (let n = 0; n < CLIENT_COUNT; n++) ask();
    let peakBytes = 0;
    const pushMs = [];
    // Long enough for all requests to be worked on, those that found memory and those that were refused.
    const startMs = performance.now();
    while (performance.now() - startMs < 3000) {
      const sentMs = performance.now();
      expect((await push(`main;beside_${pushMs.length} 1`)).status).to.equal(200);
      pushMs.push(performance.now() - sentMs);
      peakBytes = Math.max(peakBytes, residentBytes(node.pid));
    }
    const metrics = await (await fetch(`${node.url}/metrics`)).text();
    const [held, heldMax] = ["pyromesh_reply_bytes", "pyromesh_reply_bytes_max"].map((name) => Number(new RegExp(`^${name} (.*)$`, "m").exec(metrics)[1]));

    const stopMs = performance.now();
    const { code } = await node.stop();
    const stoppedMs = performance.now() - stopMs;
    console.log(
      `      replies of ${(replyBytes / MB).toFixed(0)} MB: 30 in turn +${((inTurnBytes - idleBytes) / MB).toFixed(0)} MB, ${CLIENT_COUNT} unread +${((peakBytes - idleBytes) / MB).toFixed(0)} MB, ${pushMs.length} pushes, the slowest ${Math.max(...pushMs).toFixed(0)} ms, stop ${stoppedMs.toFixed(0)} ms`,
    );
    expect(held).to.be.at.most(Math.max(heldMax, 2 * replyBytes));
    expect(inTurnBytes - idleBytes).to.be.at.most(250 * MB);
    expect(peakBytes - idleBytes).to.be.at.most(300 * MB);
    expect(code).to.equal(0);
    expect(stoppedMs).to.be.at.most(14_000);
  });
});

function residentBytes(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;
}
