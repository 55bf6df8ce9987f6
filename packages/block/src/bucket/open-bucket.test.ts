import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { silentLogger, systemClock, systemRandom } from "@pyromesh/base";
import { assert } from "chai";
import { openBucket, parseBucketUrl } from "./open-bucket.ts";

describe("bucket URLs", () => {
  it("nothing is a folder in the data dir", () => {
    assert.deepEqual(parseBucketUrl(undefined, "/data"), { kind: "file", dir: "/data/bucket" });
    assert.deepEqual(parseBucketUrl("", "/data"), { kind: "file", dir: "/data/bucket" });
  });

  it("file:// takes the path as it stands, a relative one from the working directory", () => {
    assert.deepEqual(parseBucketUrl("file:///a b/c%20d", "/data"), { kind: "file", dir: "/a b/c%20d" });
    assert.deepEqual(parseBucketUrl("file://some/dir", "/data"), { kind: "file", dir: path.resolve("some/dir") });
  });

  it("s3:// takes bucket, prefix, endpoint, region and path style", () => {
    assert.deepEqual(parseBucketUrl("s3://b-1/some/prefix/?endpoint=http://localhost:9000&region=eu-1&path-style=false", "/data"), {
      kind: "s3",
      bucket: "b-1",
      prefix: "some/prefix",
      endpoint: "http://localhost:9000",
      region: "eu-1",
      isPathStyle: false,
    });
  });

  it("path style is the default with an endpoint of one's own, and not on AWS", () => {
    assert.include(parseBucketUrl("s3://bucket?endpoint=http://h:1", "/d"), { isPathStyle: true });
    assert.include(parseBucketUrl("s3://bucket", "/d"), { isPathStyle: false, prefix: "" });
    assert.include(parseBucketUrl("s3://bucket?path-style=true", "/d"), { isPathStyle: true });
  });

  it("what is not understood is refused with what to write", () => {
    for (const [url, advice] of [
      ["gs://bucket", "file://, s3:// or memory:"],
      ["bucket", "file://, s3:// or memory:"],
      ["file://", "name a folder"],
      ["s3://", "name a bucket"],
      ["s3:///prefix", "name a bucket"],
      ["s3://bucket/a//b", "prefix without empty"],
      ["s3://bucket/../b", "prefix without empty"],
      [`s3://bucket/${"p".repeat(121)}`, "at most 120 bytes"],
      ["s3://bucket?endpiont=http://h", '"endpiont"'],
      ["s3://bucket?endpoint=h:1", "http://host:port"],
      ["s3://bucket?endpoint=nonsense", "http://host:port"],
      ["s3://bucket?path-style=yes", "path-style=true"],
    ] as const) {
      assert.throws(() => parseBucketUrl(url, "/d"), advice, url);
    }
  });

  it("credentials in a URL are refused, and not repeated in the error", () => {
    for (const url of ["s3://key:secret@bucket", "s3://bucket?endpoint=http://key:secret@host"]) {
      try {
        parseBucketUrl(url, "/d");
        assert.fail("accepted");
      } catch (error) {
        assert.include((error as Error).message, "AWS default chain");
        assert.notInclude((error as Error).message, "secret@");
      }
    }
  });

  it("each kind opens", async () => {
    const dataDir = await mkdtemp(path.join(tmpdir(), "pyromesh-open-"));
    const modules = { dataDir, clock: systemClock, random: systemRandom, logger: silentLogger };
    for (const [url, name] of [[undefined, `file://${dataDir}/bucket`], ["memory:", "memory:"], ["s3://bucket/p?endpoint=http://127.0.0.1:9", "s3://bucket/p"]] as const) {
      const bucket = await openBucket(url, modules);
      assert.equal(bucket.name, name);
      await bucket.close();
    }
    assert.deepEqual(await readdir(dataDir), [], "and makes no folder");
    await rm(dataDir, { recursive: true });
  });
});
