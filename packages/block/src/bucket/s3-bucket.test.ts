import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLogger, systemClock, systemRandom } from "@pyromesh/base";
import { assert } from "chai";
import type { Bucket, BucketErrorCode } from "./bucket.ts";
import { BucketError } from "./bucket.ts";
import { openBucket } from "./open-bucket.ts";
import type { S3BucketOptions } from "./s3-bucket.ts";
import { S3Bucket } from "./s3-bucket.ts";
import type { Radosgw } from "../testing/index.ts";
import { describeBucket, RADOSGW_MISSING, sendPage, startRadosgw } from "../testing/index.ts";

const never = new AbortController().signal;
const modules = { dataDir: "/nowhere", clock: systemClock, random: systemRandom, logger: silentLogger };

/** The AWS default chain, as a test sets it; put back afterwards. */
function withCredentials(accessKey: string, secretKey: string): () => void {
  const before = { id: process.env.AWS_ACCESS_KEY_ID, secret: process.env.AWS_SECRET_ACCESS_KEY };
  process.env.AWS_ACCESS_KEY_ID = accessKey;
  process.env.AWS_SECRET_ACCESS_KEY = secretKey;
  return () => {
    delete process.env.AWS_ACCESS_KEY_ID;
    delete process.env.AWS_SECRET_ACCESS_KEY;
    if (before.id !== undefined) process.env.AWS_ACCESS_KEY_ID = before.id;
    if (before.secret !== undefined) process.env.AWS_SECRET_ACCESS_KEY = before.secret;
  };
}

async function refused(work: Promise<unknown>, code: BucketErrorCode): Promise<BucketError> {
  const outcome = await work.then(() => undefined, (error: unknown) => error);
  assert.instanceOf(outcome, BucketError, String(outcome));
  assert.equal((outcome as BucketError).code, code, (outcome as BucketError).message);
  return outcome as BucketError;
}

describe("s3 bucket on a real server (Ceph radosgw)", function () {
  this.timeout(120_000);
  let server: Radosgw | undefined;
  let restore = (): void => {};
  let name = "";
  before(async function () {
    server = await startRadosgw();
    if (server === undefined) {
      console.log(`      ${RADOSGW_MISSING}`);
      this.skip();
    }
    restore = withCredentials(server.accessKey, server.secretKey);
  });
  after(async () => {
    restore();
    await server?.stop();
  });

  const url = (bucket: string): string => `s3://${bucket}/some/prefix?endpoint=${server!.endpoint}&region=us-east-1`;
  describeBucket("s3", {
    async open() {
      name = await server!.makeBucket();
      return openBucket(url(name), modules);
    },
    openAgain: () => openBucket(url(name), modules),
  });

  it("two prefixes of one bucket do not see each other", async () => {
    name = await server!.makeBucket();
    const one = await openBucket(`s3://${name}/one?endpoint=${server!.endpoint}`, modules);
    const oneB = await openBucket(`s3://${name}/one-b?endpoint=${server!.endpoint}`, modules);
    await one.put("k", Buffer.from("1"), {}, never);
    await refused(oneB.get("k", never), "BUCKET_NOT_FOUND");
    for await (const page of oneB.list("", {}, never)) assert.fail(`listed ${page[0]?.key}`);
    await one.close();
    await oneB.close();
  });

  it("a bucket that is not there is BUCKET_MISSING, for every call that can tell", async () => {
    const bucket = await openBucket(`s3://no-such-bucket?endpoint=${server!.endpoint}`, modules);
    await refused(bucket.check(never), "BUCKET_MISSING");
    await refused(bucket.get("k", never), "BUCKET_MISSING");
    await refused(bucket.put("k", Buffer.from("x"), {}, never), "BUCKET_MISSING");
    await refused(bucket.put("k", Buffer.from("x"), { ifAbsent: true }, never), "BUCKET_MISSING");
    await bucket.close();
  });

  it("a wrong secret, and an unknown key, are BUCKET_FORBIDDEN at once", async () => {
    name = await server!.makeBucket();
    for (const [id, secret] of [[server!.accessKey, "wrong"], ["unknown", "wrong"]] as const) {
      const putBack = withCredentials(id, secret);
      const bucket = await openBucket(url(name), modules);
      const error = await refused(bucket.check(never), "BUCKET_FORBIDDEN");
      assert.include(error.message, "AWS default chain");
      await refused(bucket.put("k", Buffer.from("x"), {}, never), "BUCKET_FORBIDDEN");
      await bucket.close();
      putBack();
    }
  });

  it("figures: 50 KB put and get, 32 MiB put and get", async () => {
    name = await server!.makeBucket();
    const bucket = await openBucket(url(name), modules);
    const bytes = systemRandom.bytes(50 * 1024);
    const timed = async (work: () => Promise<unknown>): Promise<number> => {
      const startMs = performance.now();
      await work();
      return performance.now() - startMs;
    };
    const puts: number[] = [];
    const gets: number[] = [];
    const ranges: number[] = [];
    for (let i = 0; i < 60; i++) {
      puts.push(await timed(() => bucket.put(`perf/${i}`, bytes, { ifAbsent: true }, never)));
      gets.push(await timed(() => bucket.get(`perf/${i}`, never)));
      ranges.push(await timed(() => bucket.getRange(`perf/${i}`, 1000, 4096, never)));
    }
    const median = (times: number[]): string => times.toSorted((a, b) => a - b)[times.length >> 1]!.toFixed(1);
    const big = new Uint8Array(32 * 2 ** 20).fill(7);
    const bigPutMs = await timed(() => bucket.put("perf/big", big, {}, never));
    const bigGetMs = await timed(() => bucket.get("perf/big", never));
    console.log(
      `      50 KB: put ${median(puts)} ms, get ${median(gets)} ms, 4 KB range ${median(ranges)} ms (medians of 60); ` +
        `32 MiB: put ${(32_000 / bigPutMs).toFixed(0)} MiB/s, get ${(32_000 / bigGetMs).toFixed(0)} MiB/s`,
    );
    await bucket.close();
  });
});

describe("s3 bucket on a server that misbehaves", () => {
  let server: Server;
  let answer: (request: IncomingMessage, response: ServerResponse, number: number) => void;
  let requests: { readonly method: string; readonly url: string; readonly headers: IncomingMessage["headers"] }[];
  let restore = (): void => {};
  let bucket: Bucket;

  beforeEach(async () => {
    requests = [];
    restore = withCredentials("id", "secret");
    server = createServer((request, response) => {
      requests.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers });
      const number = requests.length;
      request.resume();
      request.on("end", () => answer(request, response, number));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    bucket = open({});
  });
  afterEach(async () => {
    restore();
    await bucket.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const open = (options: Partial<S3BucketOptions>): Bucket =>
    new S3Bucket(
      {
        bucket: "b",
        prefix: "",
        endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        region: "us-east-1",
        isPathStyle: true,
        requestTimeoutMs: 150,
        backoffMs: 1,
        ...options,
      },
      modules,
    );
  const xml = (response: ServerResponse, status: number, code: string): void => {
    response.writeHead(status, { "content-type": "application/xml" }).end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`);
  };

  it("500 and 503 are tried again and then work", async () => {
    answer = (_request, response, number) => {
      if (number < 3) xml(response, number === 1 ? 500 : 503, number === 1 ? "InternalError" : "SlowDown");
      else response.writeHead(200, { "content-length": 2 }).end("ok");
    };
    assert.equal(Buffer.from(await bucket.get("k", never)).toString(), "ok");
    assert.lengthOf(requests, 3);
  });

  it("an outage ends after four tries with BUCKET_UNAVAILABLE, which may be tried again", async () => {
    answer = (_request, response) => xml(response, 503, "SlowDown");
    const error = await refused(bucket.put("k", Buffer.from("x"), {}, never), "BUCKET_UNAVAILABLE");
    assert.isTrue(error.isRetriable);
    assert.equal(error.kind, "unavailable");
    assert.lengthOf(requests, 4);
  });

  it("403 is final at the first try", async () => {
    answer = (_request, response) => xml(response, 403, "AccessDenied");
    await refused(bucket.get("k", never), "BUCKET_FORBIDDEN");
    assert.lengthOf(requests, 1);
  });

  it("a clock that is off is told as such", async () => {
    answer = (_request, response) => xml(response, 403, "RequestTimeTooSkewed");
    assert.include((await refused(bucket.get("k", never), "BUCKET_FORBIDDEN")).message, "time of this machine");
  });

  it("dateMs: what the store's answer says, to the second; a store that says nothing has no clock", async () => {
    answer = (_request, response, number) => {
      response.sendDate = false;
      if (number === 1) response.setHeader("date", "Mon, 02 Mar 2026 14:30:00 GMT");
      sendPage(response, [], { isTruncated: false });
    };
    assert.equal(await bucket.dateMs!(never), Date.UTC(2026, 2, 2, 14, 30)); // an S3 bucket has it
    assert.isUndefined(await bucket.dateMs!(never));
  });

  it("nobody listening is BUCKET_UNAVAILABLE", async () => {
    const other = open({ endpoint: "http://127.0.0.1:9", triesMax: 2 });
    await refused(other.check(never), "BUCKET_UNAVAILABLE");
    await other.close();
  });

  it("a server that never answers is given up after the time limit", async () => {
    answer = () => {};
    const once = open({ triesMax: 1 });
    const error = await refused(once.get("k", never), "BUCKET_UNAVAILABLE");
    assert.include(error.message, "no answer within 150 ms");
    await once.close();
  });

  it("a body that stalls is given up and read again", async () => {
    answer = (_request, response, number) => {
      response.writeHead(200, { "content-length": 4 });
      response.write("ab");
      if (number > 1) response.end("cd");
    };
    assert.equal(Buffer.from(await bucket.get("k", never)).toString(), "abcd");
    assert.lengthOf(requests, 2);
  });

  it("a body that is cut off is read again, never handed out short", async () => {
    answer = (_request, response, number) => {
      response.writeHead(200, { "content-length": 4 });
      if (number > 1) response.end("abcd");
      else response.write("ab", () => response.destroy());
    };
    assert.equal(Buffer.from(await bucket.get("k", never)).toString(), "abcd");
  });

  it("a body without a length is refused: it could have any size", async () => {
    answer = (_request, response) => {
      response.writeHead(200);
      response.write("ab");
      response.end();
    };
    assert.include((await refused(bucket.get("k", never), "BUCKET_UNAVAILABLE")).message, "how long");
  });

  it("a body that says it is huge is refused before it is read", async () => {
    answer = (_request, response) => {
      response.writeHead(200, { "content-length": 2 ** 40 });
      response.write("ab");
    };
    // On a busy machine a reply may take longer than the 150 ms of the others here, and would be asked for again.
    const unhurried = open({ requestTimeoutMs: 60_000 });
    await refused(unhurried.get("k", never), "BUCKET_OBJECT_TOO_LARGE");
    assert.lengthOf(requests, 1);
    await unhurried.close();
  });

  it("a server that ignores ranges is never taken for one that answered them", async () => {
    answer = (_request, response) => response.writeHead(200, { "content-length": 10 }).end("0123456789");
    await refused(bucket.getRange("k", 2, 3, never), "BUCKET_UNAVAILABLE");
  });

  it("501 to a conditional put: looked for first, then put plainly, and remembered", async () => {
    const kept = new Set<string>();
    answer = (request, response) => {
      if (request.headers["if-none-match"] !== undefined) xml(response, 501, "NotImplemented");
      else if (request.method === "HEAD") response.writeHead(kept.has(request.url ?? "") ? 200 : 404, { "content-length": 0 }).end();
      else {
        kept.add((request.url ?? "").split("?")[0]!);
        response.writeHead(200).end();
      }
    };
    assert.deepEqual(await bucket.put("k", Buffer.from("x"), { ifAbsent: true }, never), { isCreated: true });
    assert.deepEqual(await bucket.put("k", Buffer.from("x"), { ifAbsent: true }, never), { isCreated: false });
    assert.deepEqual(requests.map(({ method }) => method), ["PUT", "HEAD", "PUT", "HEAD"]);
  });

  it("409 to a conditional put (two at once, says AWS) is tried again", async () => {
    answer = (_request, response, number) => (number === 1 ? xml(response, 409, "ConditionalRequestConflict") : xml(response, 412, "PreconditionFailed"));
    assert.deepEqual(await bucket.put("k", Buffer.from("x"), { ifAbsent: true }, never), { isCreated: false });
    assert.lengthOf(requests, 2);
  });

  it("every put carries its length, its MD5 and its hash, and no trailing checksum", async () => {
    answer = (_request, response) => response.writeHead(200).end();
    await bucket.put("k", Buffer.from("hello"), {}, never);
    const { headers } = requests[0]!;
    assert.equal(headers["content-length"], "5");
    assert.equal(headers["content-md5"], "XUFAKrxLKna5cZ2REBfFkg==");
    assert.equal(headers["x-amz-content-sha256"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert.notProperty(headers, "x-amz-trailer");
    assert.notProperty(headers, "transfer-encoding");
  });

  it("a caller who goes away ends the request with the caller's reason, without another try", async () => {
    const controller = new AbortController();
    const reason = new Error("the caller went away");
    answer = () => controller.abort(reason);
    const outcome = await open({ requestTimeoutMs: 60_000 }).get("k", controller.signal).then(() => undefined, (error: unknown) => error);
    assert.strictEqual(outcome, reason);
    assert.lengthOf(requests, 1);
  });

  describe("list", () => {
    const listed = async (options: Partial<S3BucketOptions> = {}): Promise<string[]> => {
      const keys: string[] = [];
      for await (const page of open(options).list("v1/", {}, never)) keys.push(...page.map(({ key }) => key));
      return keys;
    };
    const page = (...keys: string[]): { key: string; sizeBytes: number }[] => keys.map((key) => ({ key, sizeBytes: 1 }));
    const queryOf = (at: number): URLSearchParams => new URL(requests[at]!.url, "http://fake").searchParams;

    it("a page without keys that says that more follow is not the end: its token is followed", async () => {
      answer = (_request, response, number) => {
        if (number === 1) sendPage(response, page("v1/a"), { isTruncated: true, token: "one" });
        else if (number < 4) sendPage(response, [], { isTruncated: true, token: `after ${number}` });
        else if (number === 4) sendPage(response, page("v1/b"), { isTruncated: true, token: "four" });
        else sendPage(response, page("v1/c"), { isTruncated: false });
      };
      assert.deepEqual(await listed(), ["v1/a", "v1/b", "v1/c"]);
      assert.deepEqual([0, 1, 2, 3, 4].map((at) => queryOf(at).get("continuation-token")), [null, null, "after 2", "after 3", null]);
      assert.deepEqual([0, 1, 2, 3, 4].map((at) => queryOf(at).get("start-after")), [null, "v1/a", "v1/a", "v1/a", "v1/b"]);
    });

    it("an answer that does not say whether it is the last page is none", async () => {
      for (const body of ["", "<html>a gateway's page</html>", `<?xml version="1.0"?><ListBucketResult></ListBucketResult>`]) {
        requests = [];
        answer = (_request, response) => response.writeHead(200, { "content-type": "application/xml" }).end(body);
        await refused(listed(), "BUCKET_UNAVAILABLE");
        assert.lengthOf(requests, 4, "it is tried again");
      }
    });

    it("a marker of the prefix itself does not end the list, though it is alone on its page", async () => {
      answer = (_request, response, number) => {
        if (number === 1) sendPage(response, page("some/prefix/"), { isTruncated: true, token: "next" });
        else sendPage(response, page("some/prefix/v1/a"), { isTruncated: false });
      };
      assert.deepEqual(await listed({ prefix: "some/prefix" }), ["v1/a"]);
    });

    it("keys of another prefix are a failed LIST: the store did not do what it was asked", async () => {
      answer = (_request, response) => sendPage(response, page("elsewhere/v1/a"), { isTruncated: false });
      await refused(listed({ prefix: "some/prefix" }), "BUCKET_UNAVAILABLE");
    });
  });
});
