/**
 * What a node does when the bucket answers wrongly (docs/configuration.md, "Which bucket it is"), with a fresh data directory and with
 * one that has a bucket. The real node, on an S3 server whose answers a test changes.
 */
import { expect } from "chai";
import { FakeS3, refuse, sendPage } from "../../packages/block/dist/testing/index.js";
import { freshDataDir, spawnNode, startNode, untilReady } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const ENV = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "not-the-right-one" };
const FAULTS = {
  "wrong credentials (403)": (_request, response) => (refuse(response, 403, "SignatureDoesNotMatch"), true),
  "no such bucket (404)": (_request, response) => (refuse(response, 404, "NoSuchBucket"), true),
  "cannot be reached": (_request, response) => (response.destroy(), true),
};

describe("bucket: the start", function () {
  this.timeout(120_000);
  let data;
  let s3;
  let node;
  let nowMs;

  beforeEach(async () => {
    data = freshDataDir();
    s3 = await FakeS3.start();
    nowMs = Date.now();
  });
  afterEach(async () => {
    await node?.kill();
    await s3.stop();
    data.remove();
  });

  const options = () => ({ dataDir: data.dir, flags: ["--bucket", s3.url(), "--flush-interval", "1h"], env: ENV, bucketSpeed: 5 });
  const counted = async () => [...(await countedPushes(node, nowMs - 3_600_000, nowMs + 3_600_000)).counted.keys()].sort((a, b) => a - b);
  const flush = async () => expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
  const ready = async () => {
    const reply = await fetch(`${node.url}/ready`);
    return { status: reply.status, text: await reply.text() };
  };
  const untilAnswered = async (expected) => {
    for (;;) {
      const keys = await counted().catch(() => undefined);
      if (keys !== undefined) return expect(keys).to.deep.equal(expected);
    }
  };

  for (const [fault, hook] of Object.entries(FAULTS)) {
    it(`${fault}, with data of its own (one record, or a bucket and no record): ready, pushes taken, queries refused; back, all is counted`, async () => {
      for (const isFlushed of [true, false]) {
        node = await startNode(options());
        expect(await pushNumbered(node, 0, nowMs)).to.equal(200);
        if (isFlushed) await flush();
        await node.stop();
        s3.hook = hook;
        node = await startNode(options());
        expect(await pushNumbered(node, 1, nowMs)).to.equal(200);
        expect(await counted().catch((error) => String(error))).to.match(/answered 503.*CATALOG_INCOMPLETE|answered 503.*bucket/);
        s3.hook = () => false;
        await untilAnswered([0, 1]);
        await node.stop();
      }
    });

    if (fault === "cannot be reached") {
      it(`${fault}, with a fresh data directory: alive, not ready and says why, pushes 503; back, it is ready`, async () => {
        s3.hook = hook;
        node = await spawnNode(options());
        for (;;) {
          const { status, text } = await ready();
          expect(status).to.equal(503);
          if (/waiting for the bucket: .*could not/.test(text)) break;
        }
        expect((await fetch(`${node.url}/-/healthy`)).status).to.equal(200);
        expect(await pushNumbered(node, 0, nowMs)).to.equal(503);
        s3.hook = () => false;
        await untilReady(node);
        expect(await pushNumbered(node, 0, nowMs)).to.equal(200);
        await flush();
        expect(s3.objects.has("pyromesh-bucket.json")).to.equal(true);
      });
    } else {
      it(`${fault}, with a fresh data directory: the start ends with 1 and names the setting`, async () => {
        s3.hook = hook;
        node = await spawnNode(options()).catch((error) => ({ failed: String(error), kill: async () => {} }));
        const words = node.failed ?? ((await node.exited).code === 1 ? node.log.join("\n") : "another exit code");
        expect(words).to.include("--bucket s3://fake").and.include("BUCKET_REFUSED").and.not.include(ENV.AWS_SECRET_ACCESS_KEY);
      });
    }
  }

  it("a LIST whose pages are empty in between finds all there is", async () => {
    node = await startNode(options());
    for (const n of [0, 1, 2]) {
      expect(await pushNumbered(node, n, nowMs)).to.equal(200);
      await flush();
    }
    await node.stop();
    let count = 0;
    s3.hook = ({ key, method, query }, response) => {
      if (key !== "" || method !== "GET" || query.has("continuation-token")) return false;
      sendPage(response, [], { isTruncated: true, token: `page ${count++}` });
      return true;
    };
    node = await startNode(options());
    expect(await counted()).to.deep.equal([0, 1, 2]);
    expect(count).to.be.greaterThan(0);
    // A page without its continuation token is a failed LIST. What the node knows stays.
    s3.hook = ({ key, method }, response) => {
      if (key !== "" || method !== "GET") return false;
      sendPage(response, [], { isTruncated: true });
      return true;
    };
    expect(await counted()).to.deep.equal([0, 1, 2]);
  });
});
