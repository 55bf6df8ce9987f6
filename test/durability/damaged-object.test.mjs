/** The real node on a bucket whose objects are truncated, repaired and swapped while it runs. */
import { copyFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";
import { numberedProfile } from "../harness/numbered-push.mjs";

const HOUR_MS = 3_600_000;
const TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const HEAL_MS_MAX = 60_000;
const WHOLE_AGAIN = /an object that was damaged is whole again/;

describe("durability: an object of the bucket is damaged", function () {
  this.timeout(150_000);
  let data;
  let node;
  const nowMs = Date.now();

  beforeEach(() => {
    data = freshDataDir();
  });
  afterEach(async () => {
    await node?.kill();
    data.remove();
  });

  const start = async (flags = [], env = {}) => {
    node = await startNode({ dataDir: data.dir, flags: ["--flush-interval", "1h", ...flags], env });
  };
  const push = async (n, tenant) => {
    const labels = [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: "shop" }];
    const rawProfile = Buffer.from(numberedProfile(n, nowMs)).toString("base64");
    const reply = await call(node, "push.v1.PusherService/Push", { series: [{ labels, samples: [{ rawProfile }] }] }, tenant === undefined ? {} : { "x-scope-orgid": tenant });
    expect(reply.status).to.equal(200);
  };
  const flush = async () => expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
  const query = (headers = {}) =>
    call(node, "querier.v1.QuerierService/SelectMergeStacktraces", { profileTypeID: TYPE, labelSelector: "{}", start: String(nowMs - 2 * HOUR_MS), end: String(nowMs + HOUR_MS) }, headers);
  const total = ({ status, body }) => [status, Number(body.flamegraph?.total ?? 0)];
  const unreadable = async () => Number(/^pyromesh_unreadable_objects (\d+)$/m.exec(await (await fetch(`${node.url}/metrics`)).text())[1]);
  /** Within a minute of its repair. */
  const untilWholeAgain = async () => {
    const startMs = performance.now();
    await node.logged(WHOLE_AGAIN);
    expect(performance.now() - startMs).to.be.below(HEAL_MS_MAX);
  };
  const segments = () =>
    readdirSync(path.join(data.dir, "bucket"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".seg"))
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort();

  it("torn, it is refused with a time; repaired, it is answered again within a minute, and from that time on", async () => {
    await start();
    await push(6);
    await flush();
    const [file] = segments();
    const whole = readFileSync(file);
    truncateSync(file, whole.length >> 1);
    const refused = await query();
    expect([refused.status, refused.body.code]).to.deep.equal([503, "unavailable"]);
    expect(Number(refused.headers.get("retry-after"))).to.be.within(1, 30);
    expect(refused.headers.get("x-pyromesh-partial")).to.equal("possible");
    expect(await unreadable()).to.equal(1);
    const partial = await query({ "x-pyromesh-partial": "allow" });
    expect(total(partial)).to.deep.equal([200, 0]);
    expect(partial.headers.get("x-pyromesh-missing")).to.include(path.basename(file));

    await sleep(4000); // longer than two checks of the damaged object, after 1 s and 3 s
    const late = await query();
    expect(late.status).to.equal(503);
    writeFileSync(file, whole);
    await sleep(Number(late.headers.get("retry-after")) * 1000);
    expect(total(await query()), "at the time that was told").to.deep.equal([200, 7]);
    await untilWholeAgain();
    expect(await unreadable()).to.equal(0);
  });

  it("an object that was torn when the node began, and has another size now, heals too", async () => {
    await start();
    await push(6);
    await flush();
    await node.stop();
    const [file] = segments();
    const whole = readFileSync(file);
    truncateSync(file, whole.length - 5);
    await start();
    expect((await query()).status).to.equal(503);
    writeFileSync(file, whole);
    await untilWholeAgain();
    expect(total(await query())).to.deep.equal([200, 7]);
  });

  it("one tenant's segment under another's key is served to nobody, and query_allow_partial answers without it", async () => {
    writeFileSync(path.join(data.dir, "pyromesh.yaml"), "overrides:\n  lenient:\n    query_allow_partial: true\n");
    await start(["--multitenancy", "--config", path.join(data.dir, "pyromesh.yaml")]);
    await push(1, "strict1");
    await push(100, "lenient");
    await flush();
    const [ofLenient, ofStrict] = ["lenient", "strict1"].map((tenant) => segments().find((file) => file.includes(`${path.sep}${tenant}${path.sep}`)));
    const own = readFileSync(ofLenient);
    copyFileSync(ofStrict, ofLenient);
    const answer = await query({ "x-scope-orgid": "lenient" });
    expect(total(answer), "no header was sent").to.deep.equal([200, 0]);
    expect(answer.headers.get("x-pyromesh-missing")).to.match(/v1\/lenient\//);
    expect(total(await query({ "x-scope-orgid": "strict1" }))).to.deep.equal([200, 2]);
    expect((await query({ "x-scope-orgid": "lenient|strict1" })).status, "of both tenants one does not allow it").to.equal(503);

    copyFileSync(ofLenient, ofStrict);
    writeFileSync(ofStrict, own);
    await node.stop();
    await start(["--multitenancy", "--config", path.join(data.dir, "pyromesh.yaml")]);
    const refused = await query({ "x-scope-orgid": "strict1" });
    expect(refused.status).to.equal(503);
    expect(refused.body.message).not.to.include("push-100");
  });
});
