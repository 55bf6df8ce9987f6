/**
 * Bodies that decompress to a thousand times their size, sent to a real node: how much memory they take, and how long other requests
 * wait.
 */
import { readFileSync } from "node:fs";
import http from "node:http";
import { deflateSync, gzipSync } from "node:zlib";
import { compress, init } from "@bokuweb/zstd-wasm";
import { expect } from "chai";
import { freshDataDir, startNode } from "../harness/node-process.mjs";
import { numberedProfile } from "../harness/numbered-push.mjs";
import { longestTurnMs, TURN_COST_ENV } from "../harness/turn-cost.mjs";

const MIB = 2 ** 20;
const PUSH = "/push.v1.PusherService/Push";
/** The promise: RSS grows by at most 250 MB over the idle node. */
const GROWTH_MB_MAX = 250;
/** The promise: /ready answers within 500 ms. It takes three turns of the main thread, and other processes use this machine. */
const TURN_MS_MAX = 150;

/** A field of wire type 2. */
function lengthField(number, content) {
  const head = [number * 8 + 2];
  let left = content.length;
  for (; left >= 128; left = Math.floor(left / 128)) head.push((left % 128) + 128);
  return Buffer.concat([Buffer.from([...head, left]), content]);
}

function pushOf(raw) {
  const label = (name, value) => lengthField(1, Buffer.concat([lengthField(1, Buffer.from(name)), lengthField(2, Buffer.from(value))]));
  return lengthField(1, Buffer.concat([label("__name__", "process_cpu"), label("service_name", "shop"), lengthField(2, lengthField(1, raw))]));
}

function send(url, path, { headers, body }) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}${path}`, { method: "POST", headers, agent: false }, (reply) => {
      reply.resume().on("end", () => resolve({ status: reply.statusCode, retryAfter: reply.headers["retry-after"] }));
    });
    request.on("error", reject).end(body);
  });
}

/** A zstd frame that does not say its size: blocks of 128 KiB of zeros, four bytes each. */
function silentZstd(blockCount) {
  const block = (isLast) => Buffer.from([...[0, 8, 16].map((shift) => ((((128 * 1024) << 3) | 2 | (isLast ? 1 : 0)) >> shift) & 0xff), 0]);
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]), ...Array.from({ length: blockCount }, (_, i) => block(i === blockCount - 1))]);
}

function rssMb({ pid }) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}

const gz = (bytes) => gzipSync(bytes);

/** Bombs by how they are compressed; `count` at once, each refused with one of `statuses`. */
const KINDS = {
  gzip() {
    const gzip = { "content-encoding": "gzip" };
    const json = { "content-type": "application/json", ...gzip };
    const proto = { "content-type": "application/proto", ...gzip };
    return [
      { name: "JSON: 64 MiB of brackets", headers: json, body: gz(Buffer.alloc(64 * MIB, "[")), count: 20, statuses: [413] },
      { name: "JSON: brackets behind a trailer that lies", headers: json, body: Buffer.concat([gz(Buffer.alloc(64 * MIB, "[")), gz(Buffer.from(" "))]), count: 4, statuses: [413, 503] },
      { name: "JSON: 14 MB of zeros in a list", headers: json, body: gz(Buffer.from(`{"x":[${"0,".repeat(7e6)}0]}`)), count: 10, statuses: [400, 503] },
      { name: "protobuf: 250 MB of nothing", headers: proto, body: gz(Buffer.alloc(250e6)), count: 20, statuses: [413] },
      { name: "protobuf: a profile of 45 MB of zeros", headers: proto, body: gz(pushOf(Buffer.alloc(45e6))), count: 20, statuses: [400, 503] },
      { name: "protobuf: 16 million labels", headers: proto, body: gz(Buffer.concat(Array(16_000).fill(lengthField(1, Buffer.concat(Array(1000).fill(Buffer.from([10, 0]))))))), count: 2, statuses: [400, 503] },
      { name: "a profile of 64 MB inside", headers: { "content-type": "application/proto" }, body: pushOf(gz(Buffer.alloc(64e6))), count: 20, statuses: [400] },
      { name: "a query: 4 MiB of brackets", path: "/querier.v1.QuerierService/LabelNames", headers: json, body: gz(Buffer.alloc(4 * MIB, "[")), count: 20, statuses: [413] },
    ];
  },
  zstd() {
    const zstd = { "content-type": "application/proto", "content-encoding": "zstd" };
    return [
      { name: "zstd: 250 MB of nothing", headers: zstd, body: silentZstd(2000), count: 20, statuses: [413, 503] },
      { name: "zstd: a profile of 10 MB of zeros", headers: zstd, body: compress(pushOf(Buffer.alloc(10e6))), count: 20, statuses: [400, 503] },
      { name: "zstd: a profile of 20 MB of zeros", headers: zstd, body: compress(pushOf(Buffer.alloc(20e6))), count: 20, statuses: [413] },
    ];
  },
  deflate() {
    const deflate = { "content-type": "application/proto", "content-encoding": "deflate" };
    // 503: counting waits for memory too.
    return [{ name: "deflate: 250 MB of nothing", headers: deflate, body: deflateSync(Buffer.alloc(250e6)), count: 20, statuses: [413, 503] }];
  },
  otlp() {
    const body = gz(Buffer.concat([lengthField(1, Buffer.alloc(0)), lengthField(2, Buffer.alloc(15.9e6, Buffer.from([0x2a, 0])))]));
    return [{ name: "OTLP: 8 million strings", path: "/v1development/profiles", headers: { "content-type": "application/x-protobuf", "content-encoding": "gzip" }, body, count: 10, statuses: [400, 503] }];
  },
};

describe("hostile bodies at a real node", function () {
  this.timeout(120_000);
  before(() => init()); // once: a second time it would begin with another memory, beside the first
  let data;
  let node;
  afterEach(async () => {
    await node?.kill();
    data?.remove();
  });

  it("bombs of every kind, all at once, take little memory and delay nobody, and a good push among them is stored", async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    await storm(KINDS.gzip());
  });

  it("so do bombs in zstd", async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    await storm(KINDS.zstd());
  });

  it("so do bombs in deflate", async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    await storm(KINDS.deflate());
  });

  it("so do OTLP exports whose dictionary has 8 million strings", async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    await storm(KINDS.otlp());
  });

  it("so do all of these in one storm", async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    const all = Object.values(KINDS).flatMap((make) => make());
    // In one storm there may be no memory for any of them at its turn.
    await storm(all.map((kind) => ({ ...kind, statuses: [...kind.statuses, 503] })));
  });

  it("so do OTLP exports of 15.5 MB that are not compressed", async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    const body = Buffer.concat([lengthField(1, Buffer.alloc(0)), lengthField(2, Buffer.alloc(15.5e6, Buffer.from([0x2a, 0])))]);
    await storm([{ name: "OTLP: 8 million strings, as they are", path: "/v1development/profiles", headers: { "content-type": "application/x-protobuf" }, body, count: 32, statuses: [400, 503] }]);
  });

  it("so do bodies of other formats", async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    await storm([
      { name: "speedscope: 4 MB of lists", path: "/ingest?name=a&format=speedscope", headers: {}, body: gzipSync(Buffer.from(`{"profiles":[{"samples":[${"[],".repeat(1.3e6)}[]]}]}`)), count: 10, statuses: [422, 503] },
      { name: "a trie that spells gigabytes", path: "/ingest?name=a&format=trie", headers: {}, body: gzipSync(Buffer.concat([...Array.from({ length: 1e6 }, () => Buffer.from([1, 0x66, 1, 1])), Buffer.from([1, 0x66, 1, 0])])), count: 10, statuses: [422, 503] },
    ]);
  });

  /** All at once, as often as each says, with a good push among them. */
  async function storm(all) {
    data = freshDataDir();
    node = await startNode({ dataDir: data.dir, env: TURN_COST_ENV });
    const idleMb = rssMb(node);
    // First one of each: the first run of any code compiles it, which must not count as the cost of a bomb.
    for (const { path = PUSH, headers, body } of all) await send(node.url, path, { headers, body });
    await longestTurnMs(node);

    let peakMb = idleMb;
    let slowestReadyMs = 0;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        const startMs = performance.now();
        expect((await fetch(`${node.url}/ready`)).status).to.equal(200);
        slowestReadyMs = Math.max(slowestReadyMs, performance.now() - startMs);
        peakMb = Math.max(peakMb, rssMb(node));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const bombs = all.flatMap(({ name, path = PUSH, headers, body, count, statuses }) =>
      Array.from({ length: count }, async () => {
        const { status, retryAfter } = await send(node.url, path, { headers, body });
        expect(statuses, `${name}: ${status}`).to.include(status);
        if (status === 503) expect(Number(retryAfter)).to.be.at.least(1);
      }),
    );
    const good = send(node.url, PUSH, { headers: { "content-type": "application/proto" }, body: pushOf(numberedProfile(1, Date.now())) });
    expect((await good).status).to.equal(200);
    await Promise.all(bombs);
    isOver = true;
    await watch;
    const turnMs = await longestTurnMs(node);
    console.log(`      idle ${Math.round(idleMb)} MB, at most ${Math.round(peakMb - idleMb)} MB more; slowest /ready ${Math.round(slowestReadyMs)} ms, longest turn ${turnMs} ms`);
    expect(peakMb - idleMb).to.be.at.most(GROWTH_MB_MAX);
    expect(turnMs).to.be.at.most(TURN_MS_MAX);
  }
});
