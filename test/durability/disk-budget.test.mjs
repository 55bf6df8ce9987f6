/**
 * The real node with a small --head-disk-budget. The size of its folders is measured all the time and never exceeds the budget; no
 * acknowledged push is lost; and pushes are accepted again without help once there is room.
 */
import { randomBytes } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { Function as PprofFunction, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { measureFolder } from "../../packages/head/dist/disk/disk-use.js";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";

const MB = 2 ** 20;
const HOUR_MS = 3_600_000;
const BUDGET_BYTES = 8 * MB;
const FLAGS = ["--head-disk-budget", "8MB", "--flush-interval", "1s"];
/** Names per profile. They are random, so they compress to no less than three quarters. */
const NAME_COUNT = 3;
const NAME_BYTES = 48_000;

describe("durability: the disk budget", function () {
  this.timeout(180_000);
  let data;
  let node;
  let nowMs;
  let pushedCount;
  let stopWatching;

  beforeEach(async () => {
    data = freshDataDir();
    nowMs = Date.now();
    pushedCount = 0;
    node = await startNode({ dataDir: data.dir, flags: FLAGS });
    stopWatching = watch();
  });
  afterEach(async () => {
    await stopWatching();
    await node?.kill();
    data.remove();
  });

  /** Measures the folders until the returned function is called, which resolves with their largest size. */
  function watch() {
    let isWatching = true;
    const most = (async () => {
      let max = 0;
      while (isWatching) {
        max = Math.max(max, (await measureFolder(path.join(data.dir, "head"))) + (await measureFolder(path.join(data.dir, "sealed"))));
        await sleep(10);
      }
      return max;
    })();
    return () => {
      isWatching = false;
      return most;
    };
  }

  function profile(n) {
    const strings = new StringTable();
    const id = (text) => strings.dedup(text);
    const period = new ValueType({ type: id("cpu"), unit: id("nanoseconds") });
    const ids = Array.from({ length: NAME_COUNT }, (_, index) => index + 1);
    return new Profile({
      sampleType: [period],
      periodType: period,
      period: 1,
      timeNanos: BigInt(nowMs) * 1_000_000n + BigInt(n),
      function: ids.map((each) => new PprofFunction({ id: each, name: id(randomBytes((NAME_BYTES * 3) / 4).toString("base64")) })),
      location: ids.map((each) => new Location({ id: each, line: [new Line({ functionId: each, line: 1 })] })),
      sample: [new Sample({ locationId: ids, value: [1] })],
      stringTable: strings,
    }).encode();
  }

  const push = async (n) => {
    const labels = [
      { name: "__name__", value: "process_cpu" },
      { name: "service_name", value: `service-${n % 3}` },
    ];
    const rawProfile = Buffer.from(profile(n)).toString("base64");
    const reply = await call(node, "push.v1.PusherService/Push", { series: [{ labels, samples: [{ rawProfile }] }] });
    expect(reply.status, JSON.stringify(reply.body)).to.be.oneOf([200, 503]);
    if (reply.status === 503) expect(reply.body.message).to.include("the head holds");
    return reply.status === 200;
  };
  const pushUntilTaken = async () => {
    const n = pushedCount++;
    while (!(await push(n))) await sleep(50);
  };
  const pushMany = (count) => Promise.all(Array.from({ length: 4 }, async (_, worker) => {
    for (let i = worker; i < count; i += 4) await pushUntilTaken();
  }));
  const metric = async (name) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(await (await fetch(`${node.url}/metrics`)).text())?.[1]);
  const countRecords = async () => {
    const query = { profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: "{}", start: String(nowMs - HOUR_MS), end: String(nowMs + HOUR_MS) };
    const reply = await call(node, "querier.v1.QuerierService/SelectMergeStacktraces", query);
    expect(reply.status).to.equal(200);
    return Number(reply.headers.get("x-pyromesh-records"));
  };

  it("three times the budget passes through, all of it taken at last, and the folders never hold more than the budget", async () => {
    await pushMany(Math.ceil((3 * BUDGET_BYTES) / (NAME_COUNT * NAME_BYTES)));
    expect(await countRecords()).to.equal(pushedCount);
    expect(await metric("pyromesh_head_disk_budget_bytes")).to.equal(BUDGET_BYTES);
    expect(await metric("pyromesh_head_disk_bytes")).to.be.within(1, BUDGET_BYTES);
    expect(await stopWatching()).to.be.within(1, BUDGET_BYTES);
  });

  it("without a bucket it seals until the budget is full, refuses then, holds no more; with it again, pushes are taken by themselves", async () => {
    const bucket = path.join(data.dir, "bucket");
    renameSync(bucket, `${bucket}-away`);
    writeFileSync(bucket, "");
    // A running seal frees space, and the measured size may be old. The disk is full when 20 pushes in a row are refused with nothing
    // left to seal.
    for (let refusedInARow = 0; refusedInARow < 20; ) {
      if (await push(pushedCount)) {
        pushedCount++;
        refusedInARow = 0;
      } else {
        refusedInARow = (await metric("pyromesh_head_records")) === 0 ? refusedInARow + 1 : 0;
        await sleep(50);
      }
    }
    expect(await metric("pyromesh_flush_backlog_bytes"), "half of the budget holds segments").to.be.within(BUDGET_BYTES / 2, BUDGET_BYTES);
    renameSync(bucket, `${bucket}-file`);
    renameSync(`${bucket}-away`, bucket);
    await pushMany(20);
    expect(await countRecords()).to.equal(pushedCount);
    expect(await stopWatching()).to.be.within(1, BUDGET_BYTES);
  });
});
