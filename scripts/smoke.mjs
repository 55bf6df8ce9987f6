/**
 * The smoke test: runs `pyromesh serve` on the oldest and the newest Node.js that package.json names, each on an empty data dir. It waits
 * until the node is ready, pushes once to /ingest, queries the sum, restarts the node, queries again, sends SIGTERM and expects exit code
 * 0.
 *
 * The Node.js binaries are npm packages of exact versions, cached outside the tree. Where a platform has none, its run is skipped and
 * counted as skipped; with CI=true that is a failure. The last line is `N passed, N failed, N skipped`.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { Function as PprofFunction, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";

/** The oldest is the first release of `engines` whose packages are still published, the newest one of its last line. */
const NODE_VERSIONS = ["20.19.6", "24.21.0"];
const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
/** The value of the pushed profile: a number that nothing else would return. */
const SUM = 123_456_789;

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const cacheDir = process.env["PYROMESH_TEST_CACHE"] ?? path.join(process.env["XDG_CACHE_HOME"] ?? path.join(homedir(), ".cache"), "pyromesh-test");

let passed = 0;
let failed = 0;
let skipped = 0;
for (const version of NODE_VERSIONS) await checkVersion(version);
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 ? 1 : 0;

async function checkVersion(version) {
  const binary = installNode(version);
  if (binary === undefined) {
    const isCi = process.env["CI"] === "true";
    console.log(`smoke: Node.js ${version}: ${isCi ? "FAILED" : "skipped"}: npm has no binary of it for ${process.platform}-${process.arch}`);
    if (isCi) failed++;
    else skipped++;
    return;
  }
  const dataDir = mkdtempSync(path.join(tmpdir(), "pyromesh-smoke-"));
  try {
    await step(`Node.js ${version}: an empty data dir to a sum read back`, () => firstRun(binary, dataDir));
    await step(`Node.js ${version}: the sum is there after a restart`, () => secondRun(binary, dataDir));
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function step(name, run) {
  try {
    await run();
    passed++;
    console.log(`smoke: ${name}: passed`);
  } catch (error) {
    failed++;
    console.log(`smoke: ${name}: FAILED: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Undefined where there is no binary for this machine. */
function installNode(version) {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = path.join(cacheDir, `node-${version}`);
  const binary = path.join(folder, "node_modules", name, "bin/node");
  if (!existsSync(binary)) spawnSync("npm", ["install", "--prefix", folder, "--no-save", "--no-audit", "--no-fund", `${name}@${version}`], { stdio: ["ignore", 2, 2] });
  if (!existsSync(binary)) return undefined;
  const { stdout, error } = spawnSync(binary, ["--version"], { encoding: "utf8" });
  if (error !== undefined || stdout.trim() !== `v${version}`) throw new Error(`${binary} does not run as Node.js ${version}`);
  return binary;
}

async function firstRun(binary, dataDir) {
  await withNode(binary, dataDir, async (url) => {
    const seconds = Math.floor(Date.now() / 1000);
    const pushed = await fetch(`${url}/ingest?name=smoke%7Bzone%3Deu%7D&format=pprof&from=${seconds - 10}&until=${seconds}`, { method: "POST", body: cpuProfile() });
    expect(pushed.status === 200, `/ingest answered ${pushed.status}: ${await pushed.text()}`);
    await expectSum(url);
    const page = await fetch(`${url}/`);
    expect(page.status === 200 && (await page.text()).includes("<html"), `/ answered ${page.status}, not the page`);
  });
}

async function secondRun(binary, dataDir) {
  await withNode(binary, dataDir, expectSum);
}

async function expectSum(url) {
  const request = { profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: '{service_name="smoke"}', start: Date.now() - 600_000, end: Date.now() + 60_000 };
  const reply = await fetch(`${url}/querier.v1.QuerierService/SelectMergeStacktraces`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(request) });
  const text = await reply.text();
  expect(reply.status === 200, `the query answered ${reply.status}: ${text}`);
  const { flamegraph } = JSON.parse(text);
  expect(flamegraph.total === String(SUM), `the query summed ${flamegraph.total}, not ${SUM}`);
  expect(flamegraph.names.includes("leaf"), `the query does not name the function: ${flamegraph.names.join(", ")}`);
}

/** Runs `use` with a node of its own and then stops it. The node must exit with 0. */
async function withNode(binary, dataDir, use) {
  const args = [path.join(root, "packages/node/bin/pyromesh.js"), "serve", "--data-dir", path.join(dataDir, "data"), "--http-addr", "127.0.0.1:0"];
  const child = spawn(binary, args, { cwd: dataDir, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, UV_THREADPOOL_SIZE: "16" } });
  let log = "";
  child.stderr.on("data", (chunk) => {
    log = `${log}${chunk}`.slice(-20_000);
  });
  const ended = new Promise((resolve) => {
    child.on("exit", (code, signal) => resolve(signal ?? code));
  });
  try {
    const url = await ready(child, () => log);
    await use(url);
    child.kill("SIGTERM");
    const exit = await Promise.race([ended, sleep(STOP_TIMEOUT_MS, "nothing in time", { ref: false })]);
    expect(exit === 0, `after SIGTERM it ended with ${exit}`);
  } catch (error) {
    throw new Error(`${error.message}\n--- the node's log ends with\n${log.split("\n").slice(-15).join("\n")}`, { cause: error });
  } finally {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  }
}

/** Returns the address from the log line, once /ready answers 200. */
async function ready(child, log) {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    expect(child.exitCode === null && child.signalCode === null, `it ended with ${child.signalCode ?? child.exitCode} before it was ready`);
    const url = /"url":"(http:[^"]+)"/.exec(log())?.[1];
    if (url !== undefined && (await fetch(`${url}/ready`).catch(() => undefined))?.status === 200) return url;
    await sleep(50);
  }
  throw new Error(`not ready within ${READY_TIMEOUT_MS / 1000} s`);
}

function expect(isTrue, message) {
  if (!isTrue) throw new Error(message);
}

/** One stack with one value, encoded by a library that is not ours. */
function cpuProfile() {
  const strings = new StringTable();
  const type = new ValueType({ type: strings.dedup("cpu"), unit: strings.dedup("nanoseconds") });
  const profile = new Profile({
    sampleType: [type],
    periodType: type,
    period: 10_000_000,
    sample: [new Sample({ locationId: [1], value: [SUM] })],
    location: [new Location({ id: 1, line: [new Line({ functionId: 1, line: 7 })] })],
    function: [new PprofFunction({ id: 1, name: strings.dedup("leaf") })],
    stringTable: strings,
    timeNanos: BigInt(Date.now()) * 1_000_000n,
    durationNanos: 10_000_000_000n,
  });
  return gzipSync(profile.encode());
}
