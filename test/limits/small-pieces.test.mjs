/** Bodies of which each byte comes in a chunk or a frame of its own: how much memory they take of a real node. */
import { readFileSync } from "node:fs";
import net from "node:net";
import { expect } from "chai";
import { freshDataDir, startNode } from "../harness/node-process.mjs";
import { Http2Peer } from "../harness/http2-peer.mjs";
import { DATA, END_HEADERS, frame, HEADERS, literalFields } from "../../packages/api/dist/testing/http2-frames.js";

const MB = 2 ** 20;
/** The promise: RSS grows by at most 250 MB over the idle node. */
const GROWTH_MB_MAX = 250;
const PUSH = "/push.v1.PusherService/Push";
const POST_NOPE = literalFields([[":method", "POST"], [":scheme", "http"], [":path", "/nope"], [":authority", "127.0.0.1"]]);

describe("bodies in pieces of one byte", function () {
  this.timeout(120_000);
  let data;
  let node;
  const sockets = [];
  beforeEach(async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    data = freshDataDir();
    node = await startNode({ dataDir: data.dir });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await node?.kill();
    data?.remove();
  });

  /** While `send` runs a probe is asked again and again, and the greatest RSS is noted. */
  async function growthDuring(send) {
    const idleBytes = residentBytes(node.pid);
    let peakBytes = idleBytes;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        expect((await fetch(`${node.url}/ready`)).status).to.equal(200);
        peakBytes = Math.max(peakBytes, residentBytes(node.pid));
      }
    })();
    await send();
    isOver = true;
    await watch;
    const growthMb = (peakBytes - idleBytes) / MB;
    console.log(`      at most ${growthMb.toFixed(0)} MB more`);
    return growthMb;
  }

  it("in chunks: four of them of a million bytes take little more than that", async () => {
    const piece = Buffer.from("1\r\nx\r\n".repeat(10_000));
    const growthMb = await growthDuring(() =>
      Promise.all(
        Array.from({ length: 4 }, async () => {
          const socket = net.connect(Number(new URL(node.url).port), "127.0.0.1");
          socket.on("error", () => undefined);
          sockets.push(socket);
          socket.write(`POST ${PUSH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/proto\r\ntransfer-encoding: chunked\r\n\r\n`);
          for (let n = 0; n < 100; n++) await new Promise((resolve) => socket.write(piece, resolve));
        }),
      ),
    );
    expect(growthMb).to.be.at.most(GROWTH_MB_MAX);
  });

  it("in frames, of requests whose short replies nobody reads: 20 connections of 64 take little", async () => {
    const growthMb = await growthDuring(() =>
      Promise.all(
        Array.from({ length: 20 }, async () => {
          const peer = await Http2Peer.open(node.url, { windowBytes: 0 });
          sockets.push(peer);
          for (let stream = 1; stream < 128; stream += 2) {
            const frames = Array.from({ length: 3000 }, () => frame(DATA, 0, stream, Buffer.from("x")));
            await peer.write(frame(HEADERS, END_HEADERS, stream, POST_NOPE), ...frames);
          }
        }),
      ),
    );
    expect(growthMb).to.be.at.most(GROWTH_MB_MAX);
  });
});

function residentBytes(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;
}
