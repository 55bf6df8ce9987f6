/**
 * Makes a golden data dir: `node test/golden/make.mjs <pyromesh.js of a build> <folder>`.
 *
 * Forty numbered pushes at fixed times, ten in each state that a data dir of that build can hold at once:
 *   0..9 in the bucket, 10..19 sealed on disk and not uploaded, 20..29 in a cut that is not sealed, 30..39 open.
 * The states are reached as a user could reach them: the build is killed after a seal, then started with a bucket that does not
 * answer, and kept from sealing by a file that stands where the folder of the cut's window belongs.
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
const DOWN = "s3://nowhere/golden?endpoint=http%3A%2F%2F127.0.0.1%3A9&region=us-east-1&path-style=true";

const [bin, target] = process.argv.slice(2);
const root = mkdtempSync(path.join(tmpdir(), "pyromesh-golden-"));
const data = path.join(root, "data");
const bucket = path.join(root, "bucket");

async function start(bucketUrl, env = {}) {
  const flags = ["--data-dir", data, "--http-addr", "127.0.0.1:0", "--flush-interval", "1h", "--bucket", bucketUrl, "--limits.reject-older-than", "0", "--limits.ingestion-rate-mb", "0"];
  const child = spawn(process.execPath, [bin, "serve", ...flags], {
    env: { ...process.env, AWS_ACCESS_KEY_ID: "golden", AWS_SECRET_ACCESS_KEY: "golden", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "close");
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      const found = /"url":"(http:[^"]+)".*"msg":"listening"/.exec(line);
      if (found !== null) resolve(found[1]);
    });
    void exited.then(() => reject(new Error("the build ended before it listened")));
  });
  return { url, exited, kill: () => (child.kill("SIGKILL"), exited) };
}

async function pushTen(node, from, windowMs) {
  for (let n = from; n < from + 10; n++) {
    const status = await pushNumbered(node, n, windowMs + n * 1000);
    if (status !== 200) throw new Error(`push ${n} was answered ${status}`);
  }
}

const flush = (node) => fetch(`${node.url}/flush`, { method: "POST" }).catch(() => undefined);
const inFile = `file://${bucket}`;

let node = await start(inFile);
await pushTen(node, 0, WINDOW_MS);
if ((await flush(node))?.status !== 200) throw new Error("the first flush failed");
await node.kill();

node = await start(inFile, { PYROMESH_CRASH_AT: "flush-after-seal" });
await pushTen(node, 10, WINDOW_MS);
await flush(node);
await node.exited;

node = await start(DOWN);
await pushTen(node, 20, WINDOW_MS + HOUR_MS);
const obstacle = path.join(data, "sealed/v1/anonymous", CUT_WINDOW);
mkdirSync(path.dirname(obstacle), { recursive: true });
writeFileSync(obstacle, "");
await flush(node);
await pushTen(node, 30, WINDOW_MS + HOUR_MS);
await sleep(200);
await node.kill();
rmSync(obstacle);
for (const name of ["db/LOG", "db/LOG.old", "db/LOCK", "holder"]) rmSync(path.join(data, "head", name), { force: true }); // text for humans about this machine
for (const name of readdirSync(data)) if (!["head", "sealed"].includes(name)) rmSync(path.join(data, name), { recursive: true });
rmSync(target, { recursive: true, force: true });
cpSync(data, path.join(target, "data"), { recursive: true });
cpSync(bucket, path.join(target, "bucket"), { recursive: true });
rmSync(root, { recursive: true });
