/**
 * Makes a golden data dir: `node test/golden/make.mjs <pyromesh.js of a build> <folder>`.
 *
 * Forty numbered pushes at fixed times, ten in each state that a data dir of that build can hold at once:
 *   0..9 in the bucket, 10..19 sealed on disk and not uploaded, 20..29 in a cut that is not sealed, 30..39 open.
 * The states are reached as a full or broken disk could reach them: a file stands where the bucket makes its temporary files, so that
 * nothing is uploaded, and later one where the folder of the cut's window belongs, so that nothing is sealed. Then the build is killed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { pushNumbered } from "../harness/numbered-push.mjs";

/** The hour of the pushes. Those of the cut are in the hour after it. */
const WINDOW_MS = Date.UTC(2026, 0, 2, 3);
const CUT_WINDOW = "20260102T04";
const HOUR_MS = 3_600_000;
const [bin, target] = process.argv.slice(2);
const root = mkdtempSync(path.join(tmpdir(), "pyromesh-golden-"));
const data = path.join(root, "data");
const bucket = path.join(root, "bucket");

async function start() {
  const flags = ["--data-dir", data, "--http-addr", "127.0.0.1:0", "--flush-interval", "1h", "--bucket", `file://${bucket}`, "--limits.reject-older-than", "0", "--limits.ingestion-rate-mb", "0"];
  const child = spawn(process.execPath, [bin, "serve", ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  const exited = once(child, "close");
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      const found = /"url":"(http:[^"]+)".*"msg":"listening"/.exec(line);
      if (found !== null) resolve(found[1]);
    });
    void exited.then(() => reject(new Error("the build ended before it listened")));
  });
  while (!(await fetch(`${url}/ready`)).ok) await sleep(50);
  return { url, kill: () => (child.kill("SIGKILL"), exited) };
}

async function pushTen(node, from, windowMs) {
  for (let n = from; n < from + 10; n++) {
    const status = await pushNumbered(node, n, windowMs + n * 1000);
    if (status !== 200) throw new Error(`push ${n} was answered ${status}`);
  }
}

const flush = (node) => fetch(`${node.url}/flush`, { method: "POST" }).catch(() => undefined);
/** A file where a folder belongs. Returns how to take it away. */
function obstruct(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.dirname(folder), { recursive: true });
  writeFileSync(folder, "");
  return () => rmSync(folder);
}

const node = await start();
await pushTen(node, 0, WINDOW_MS);
if ((await flush(node))?.status !== 200) throw new Error("the first flush failed");
const freeBucket = obstruct(path.join(bucket, "%tmp"));
await pushTen(node, 10, WINDOW_MS);
await flush(node);
await pushTen(node, 20, WINDOW_MS + HOUR_MS);
const freeSealed = obstruct(path.join(data, "sealed/v1/anonymous", CUT_WINDOW));
await flush(node);
await pushTen(node, 30, WINDOW_MS + HOUR_MS);
await node.kill();
freeBucket();
freeSealed();
for (const name of ["db/LOG", "db/LOG.old", "db/LOCK", "holder"]) rmSync(path.join(data, "head", name), { force: true }); // words for people, of this machine
for (const name of readdirSync(data)) if (!["head", "sealed"].includes(name)) rmSync(path.join(data, name), { recursive: true });
rmSync(target, { recursive: true, force: true });
cpSync(data, path.join(target, "data"), { recursive: true });
cpSync(bucket, path.join(target, "bucket"), { recursive: true });
rmSync(root, { recursive: true });
