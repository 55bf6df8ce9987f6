/**
 * Ad hoc profiles on a real node with real workers: people upload at once, the node is killed and started again, on a folder and on a store with the
 * API of S3; uploads that are made to hurt cost little.
 */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { FakeS3 } from "../../packages/block/dist/testing/index.js";
import { corpusFile, hasCorpus } from "../compat/corpus.mjs";
import { freshDataDir, startNode } from "../harness/node-process.mjs";
import { longestTurnMs, TURN_COST_ENV } from "../harness/turn-cost.mjs";

const MIB = 2 ** 20;
const SERVICE = "adhocprofiles.v1.AdHocProfileService";
/** As for pushes (test/limits). */
const GROWTH_MB_MAX = 250;
const TURN_MS_MAX = 150;

describe("operation: ad hoc profiles", function () {
  this.timeout(120_000);
  let data;
  let node;
  beforeEach(() => {
    data = freshDataDir();
  });
  afterEach(async () => {
    await node?.kill();
    data.remove();
  });

  const start = async (flags = [], env = {}) => {
    node = await startNode({ dataDir: data.dir, flags, env });
  };
  const call = async (method, message) => {
    const reply = await fetch(`${node.url}/${SERVICE}/${method}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(message) });
    return { status: reply.status, retryAfter: reply.headers.get("retry-after"), ...(await reply.json()) };
  };
  const upload = (file, name = "a") => call("Upload", { name, profile: Buffer.from(file).toString("base64") });
  const graphOf = ({ flamebearerProfile }) => JSON.parse(flamebearerProfile).flamebearer;
  const people = async () => {
    const uploads = await Promise.all(Array.from({ length: 12 }, (_, n) => upload(`main;work ${n + 1}\n`, `p${n}`)));
    expect(uploads.map(({ status }) => status)).to.deep.equal(Array.from({ length: 12 }, () => 200));
    return uploads;
  };
  const expectAll = async (uploads) => {
    expect((await call("List", {})).profiles.map(({ id }) => id).sort()).to.deep.equal(uploads.map(({ id }) => id).sort());
    for (const [n, { id }] of uploads.entries()) expect(graphOf(await call("Get", { id })).numTicks).to.equal(n + 1);
    expect(graphOf(await call("Diff", { leftId: uploads[0].id, rightId: uploads[4].id })).numTicks).to.equal(6);
  };

  it("several people at once; killed and started again, the node has what it answered for", async () => {
    await start();
    const uploads = await people();
    await expectAll(uploads);
    await node.kill();
    await start();
    await expectAll(uploads);
    expect((await (await fetch(`${node.url}/metrics`)).text()).includes("pyromesh_adhoc_profiles_deleted_total 0")).to.equal(true);
  });

  it("the same on a store with the API of S3, which nothing of segments sees", async () => {
    const s3 = await FakeS3.start();
    try {
      const env = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };
      await start(["--bucket", s3.url()], env);
      const uploads = await people();
      await expectAll(uploads);
      expect([...s3.objects.keys()].filter((key) => key.startsWith("adhoc/anonymous/")).length).to.equal(12);
      await node.kill();
      await start(["--bucket", s3.url()], env);
      await expectAll(uploads);
      s3.hook = (_request, response) => (response.writeHead(503).end(), true);
      for (const reply of [await upload("main 1\n"), await call("List", {}), await call("Get", { id: uploads[0].id })]) expect([reply.status, reply.code]).to.deep.equal([503, "unavailable"]);
    } finally {
      await s3.stop();
    }
  });

  it("a recording of Java and pprofs of the corpus are drawn by each of their types", async function () {
    if (!hasCorpus("jfr")) this.skip();
    await start(["--limits.max-profile-size-bytes", "0"]);
    const java = await upload(corpusFile("jfr", "cortex-dev-01__kafka-0__cpu_lock_alloc__0.jfr.gz"), "kafka.jfr.gz");
    expect([java.status, java.profileTypes]).to.deep.equal([200, ["alloc_in_new_tlab_objects", "alloc_in_new_tlab_bytes", "cpu"]]);
    for (const profileType of java.profileTypes) {
      const drawn = await call("Get", { id: java.id, profileType });
      expect([drawn.profileType, graphOf(drawn).numTicks > 0]).to.deep.equal([profileType, true]);
    }
  });

  it("a recording of 30 MB is refused with a sentence, and costs its sender alone", async () => {
    await start(["--limits.max-profile-size-bytes", "0"]);
    const recording = Buffer.alloc(30 * MIB, "FLR\0");
    const asJson = await upload(recording, "big.jfr");
    expect([asJson.status, asJson.code], "of JSON 16 MB are taken").to.deep.equal([413, "invalid_argument"]);
    const packed = await upload(gzipSync(recording), "big.jfr.gz");
    expect([packed.status, packed.message]).to.deep.equal([400, "the profile is larger than 16777216 bytes once decompressed, more than can be decoded: profile for a shorter time"]);
    expect((await call("List", {})).profiles).to.equal(undefined);
  });

  it("uploads that are made to hurt, all at once, take little memory and delay nobody, and good ones among them are kept", async function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    await start([], TURN_COST_ENV);
    const flamebearer = (levels) => JSON.stringify({ version: 1, flamebearer: { names: ["total", "a"], levels, numTicks: 1, maxSelf: 1 }, metadata: { format: "single" } });
    const bombs = [
      gzipSync(Buffer.alloc(250e6)),
      Buffer.concat([gzipSync(Buffer.alloc(64 * MIB, "[")), gzipSync(" ")]),
      gzipSync(`{"profiles":[{"samples":[${"[],".repeat(1.3e6)}[]]}]}`),
      gzipSync(flamebearer([[0, 1e6, 0, 0], Array.from({ length: 250_000 }, () => [0, 1, 0, 9]).flat()])),
      gzipSync(flamebearer(Array.from({ length: 200_000 }, () => [0, 1, 0, 1]))),
      gzipSync(Array.from({ length: 15_000 }, (_, n) => `${"f;".repeat(120)}${n} 1`).join("\n")),
    ].map((bytes) => JSON.stringify({ name: "bomb", profile: bytes.toString("base64") }));
    const send = async (body) => {
      const reply = await fetch(`${node.url}/${SERVICE}/Upload`, { method: "POST", headers: { "content-type": "application/json" }, body });
      return { status: reply.status, retryAfter: reply.headers.get("retry-after"), text: await reply.text() };
    };
    const rssMb = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${node.pid}/status`, "utf8"))[1]) / 1024;
    const idleMb = rssMb();
    // One of each before: the first run of any code compiles it, which must not count as the cost of a bomb.
    for (const body of bombs) await send(body);
    await longestTurnMs(node);
    let peakMb = idleMb;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        expect((await fetch(`${node.url}/ready`)).status).to.equal(200);
        peakMb = Math.max(peakMb, rssMb());
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const rounds = (count) => Array.from({ length: count }, () => bombs.map(send)).flat();
    // The good one is the thirteenth: of one tenant's 37 at once the queue takes 34, and the last three may be refused.
    const [good, ...outcomes] = await Promise.all([...rounds(2), upload("main;work 3\n", "good"), ...rounds(4)]).then((all) => [all[2 * bombs.length], ...all.toSpliced(2 * bombs.length, 1)]);
    isOver = true;
    await watch;
    expect(good.status, JSON.stringify(good)).to.equal(200);
    for (const { status, retryAfter, text } of outcomes) {
      expect([200, 400, 413, 429, 503], text.slice(0, 200)).to.include(status);
      if (status === 503) expect(Number(retryAfter)).to.be.at.least(1);
    }
    const turnMs = await longestTurnMs(node);
    console.log(`      idle ${Math.round(idleMb)} MB, at most ${Math.round(peakMb - idleMb)} MB more; longest turn ${turnMs} ms`);
    expect(peakMb - idleMb).to.be.at.most(GROWTH_MB_MAX);
    expect(turnMs).to.be.at.most(TURN_MS_MAX);
  });
});
