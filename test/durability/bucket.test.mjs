/**
 * The real node on a real S3 server that becomes unavailable: pushes are accepted, data that waits is read from local disk, memory stays
 * flat, and the backlog is uploaded without help. The fault lasts 10 s and uploads are retried four times as fast as usual;
 * PYROMESH_TEST_FAULT_S=300 is the long run at the usual speed.
 */
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { Transform } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { RADOSGW_MISSING, startRadosgw } from "../../packages/block/dist/testing/index.js";
import { freshDataDir, startNode } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const FAULT_MS = Number(process.env.PYROMESH_TEST_FAULT_S ?? 10) * 1000;
const BUCKET_SPEED = process.env.PYROMESH_TEST_FAULT_S === undefined ? 4 : 1;
const PUSHES_PER_SECOND = 50;
const HOUR_MS = 3_600_000;
const ANON_GROWTH_MB_MAX = 100;
const FAULT_NAMES = { drop: "no answer at all", slow: "uploads take many seconds" };

/** A slow connection: 2 KB a second in each direction, so that a segment takes longer to upload than its pushes took to arrive. */
const SLOW_CHUNK_BYTES = 512;
const SLOW_CHUNK_MS = 250;

/** A proxy in front of the S3 server. While `fault` is set it answers itself, or passes each body on slowly. */
function faultyProxy(target) {
  const proxy = { fault: undefined, server: undefined, port: 0 };
  proxy.server = createServer((incoming, outgoing) => {
    const { fault } = proxy;
    if (fault === "drop") return incoming.socket.destroy();
    if (typeof fault === "number") {
      incoming.resume();
      return outgoing.writeHead(fault, { "content-type": "application/xml" }).end("<Error><Code>Fault</Code></Error>");
    }
    const onward = request({ host: target.hostname, port: target.port, method: incoming.method, path: incoming.url, headers: incoming.headers }, (reply) => {
      outgoing.writeHead(reply.statusCode, reply.headers);
      reply.pipe(trickle(proxy)).pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(trickle(proxy)).pipe(onward);
  });
  return new Promise((resolve) => {
    proxy.server.listen(0, "127.0.0.1", () => {
      proxy.port = proxy.server.address().port;
      resolve(proxy);
    });
  });
}

/** Passes everything on at once when the fault ends, also in the middle of a body. */
function trickle(proxy) {
  return new Transform({
    async transform(chunk, _encoding, done) {
      let at = 0;
      for (; proxy.fault === "slow" && at < chunk.length; at += SLOW_CHUNK_BYTES) {
        await sleep(SLOW_CHUNK_MS);
        this.push(chunk.subarray(at, at + SLOW_CHUNK_BYTES));
      }
      done(null, chunk.subarray(Math.min(at, chunk.length)));
    },
  });
}

const anonMb = (pid) => Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
const backlog = async (node) => Number(/^pyromesh_flush_backlog_segments (\d+)/m.exec(await (await fetch(`${node.url}/metrics`)).text())[1]);

describe("durability: the bucket fails", function () {
  this.timeout(FAULT_MS * 4 + 180_000);
  let rados;
  let bucketName;
  let proxy;
  let data;
  let node;

  before(async function () {
    rados = await startRadosgw();
    if (rados === undefined) {
      console.log(`  ${RADOSGW_MISSING}`);
      this.skip();
    }
    proxy = await faultyProxy(new URL(rados.endpoint));
    bucketName = await rados.makeBucket();
  });
  after(async () => {
    proxy?.server.close();
    proxy?.server.closeAllConnections();
    await rados?.stop();
  });
  beforeEach(() => {
    data = freshDataDir();
  });
  afterEach(async () => {
    await node?.kill();
    data.remove();
  });

  for (const fault of ["drop", "slow", 500, 503, 403]) {
    it(`pushes go on, memory stays, the backlog drains: ${FAULT_NAMES[fault] ?? fault}`, async () => {
      const endpoint = encodeURIComponent(`http://127.0.0.1:${proxy.port}`);
      const bucket = `s3://${bucketName}/fault-${fault}?endpoint=${endpoint}&region=us-east-1&path-style=true`;
      const env = { AWS_ACCESS_KEY_ID: rados.accessKey, AWS_SECRET_ACCESS_KEY: rados.secretKey };
      proxy.fault = undefined;
      node = await startNode({ dataDir: data.dir, flags: ["--bucket", bucket, "--flush-interval", "2s"], env, bucketSpeed: BUCKET_SPEED });
      const nowMs = Date.now();
      const acked = new Set();
      let n = 0;
      const pushFor = async (durationMs) => {
        const startMs = Date.now();
        for (let sent = 0; Date.now() - startMs < durationMs; sent++) {
          const dueMs = startMs + (sent * 1000) / PUSHES_PER_SECOND;
          if (dueMs > Date.now()) await sleep(dueMs - Date.now());
          const mine = n++;
          expect(await pushNumbered(node, mine, nowMs), `push ${mine}`).to.equal(200);
          acked.add(mine);
        }
      };
      await pushFor(6000);
      const beforeMb = anonMb(node.pid);
      proxy.fault = fault;
      await pushFor(FAULT_MS);
      expect(await backlog(node), "segments wait").to.be.greaterThan(fault === "slow" ? 2 : 0);
      expect(anonMb(node.pid) - beforeMb).to.be.lessThan(ANON_GROWTH_MB_MAX);
      proxy.fault = undefined;
      for (const endMs = Date.now() + 60_000; (await backlog(node)) > 0; ) {
        expect(Date.now(), "the backlog drains within a minute").to.be.lessThan(endMs);
        await sleep(200);
      }
      expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
      const { counted, recordCount } = await countedPushes(node, nowMs - HOUR_MS, nowMs + HOUR_MS);
      expect(recordCount).to.equal(acked.size);
      for (const mine of acked) expect(counted.get(mine)).to.equal(mine + 1);
    });
  }
});
