/**
 * A real S3 server for tests: Ceph's radosgw with its data in memory, by `scripts/radosgw.sh`.
 * One a process: it starts in some 2 s and is shared by all suites; it stops when this process ends, however it ends.
 */
import { execFile } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Radosgw {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Makes a bucket of its own and returns its name. */
  makeBucket(): Promise<string>;
  stop(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL("../../../../scripts/radosgw.sh", import.meta.url));
export const RADOSGW_MISSING = "radosgw is not installed, so the S3 tests are skipped: install it with `scripts/radosgw.sh install` (Debian or Ubuntu, as root, 270 MB)";

/** Undefined where radosgw is not installed; with CI=true that is an error, so that no S3 test is skipped in silence. */
export async function startRadosgw(): Promise<Radosgw | undefined> {
  const isInstalled = (process.env.PATH ?? "").split(path.delimiter).some((dir) => existsSync(path.join(dir, "radosgw")));
  if (!isInstalled) {
    if (process.env.CI === "true") throw new Error(`${RADOSGW_MISSING}. CI=true must not skip them`);
    return undefined;
  }
  const dir = await mkdtemp(path.join(tmpdir(), "rgw-"));
  const port = await freePort();
  const { stdout } = await run(SCRIPT, ["start", dir, `${port}`, `${process.pid}`], { timeout: 60_000 });
  const settings = Object.fromEntries(stdout.trim().split("\n").map((line) => line.split("=", 2))) as Record<string, string>; // NAME=value lines
  const { ENDPOINT: endpoint = "", ACCESS_KEY: accessKey = "", SECRET_KEY: secretKey = "" } = settings;
  let bucketCount = 0;
  return {
    endpoint,
    accessKey,
    secretKey,
    async makeBucket() {
      const bucket = `test-${process.pid}-${++bucketCount}`;
      await putBucket(endpoint, bucket, accessKey, secretKey);
      return bucket;
    },
    async stop() {
      await run(SCRIPT, ["stop", dir], { timeout: 60_000 });
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Makes a bucket with a request signed by hand: the S3 client stays in its one file, which makes no buckets. */
async function putBucket(endpoint: string, bucket: string, accessKey: string, secretKey: string): Promise<void> {
  const url = new URL(`${endpoint}/${bucket}`);
  const stamp = new Date(Date.now()).toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${stamp.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const payload = createHash("sha256").digest("hex");
  const headers = `host:${url.host}\nx-amz-content-sha256:${payload}\nx-amz-date:${stamp}\n`;
  const names = "host;x-amz-content-sha256;x-amz-date";
  const canonical = ["PUT", url.pathname, "", headers, names, payload].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", stamp, scope, createHash("sha256").update(canonical).digest("hex")].join("\n");
  const hmac = (key: string | Buffer, data: string): Buffer => createHmac("sha256", key).update(data).digest();
  const key = scope.split("/").reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${secretKey}`);
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope}, SignedHeaders=${names}, Signature=${hmac(key, toSign).toString("hex")}`;
  const reply = await fetch(url, { method: "PUT", headers: { authorization, "x-amz-content-sha256": payload, "x-amz-date": stamp } });
  if (!reply.ok) throw new Error(`making bucket ${bucket} was answered ${reply.status}: ${await reply.text()}`);
}
