import type { CodedError } from "@pyromesh/base";
import { assert } from "chai";
import { addFirstFormatStores, decodeIdentity, encodeIdentity, IDENTITY_KEY, makeIdentity, readIdentity } from "./bucket-identity.ts";
import type { BucketIdentity } from "./bucket-identity.ts";
import { MemoryBucket } from "./memory-bucket.ts";
import { OBJECT_PREFIX } from "../listing/object-path.ts";
import { ManualClock } from "../testing/index.ts";

const never = new AbortController().signal;
const IDENTITY: BucketIdentity = { bucketId: "0123456789abcdef".repeat(2), clusterName: "eu", firstFormatStores: ["f".repeat(32)], createdAtMs: 1772460000000 };
const codeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => "done", (error: CodedError) => error.code);

describe("bucket identity", () => {
  let bucket: MemoryBucket;
  beforeEach(() => {
    bucket = new MemoryBucket({ clock: new ManualClock() });
  });

  it("stands in the bucket as documented, outside of the objects", () => {
    assert.equal(
      Buffer.from(encodeIdentity(IDENTITY)).toString(),
      `{"format":1,"bucketId":"0123456789abcdef0123456789abcdef","clusterName":"eu","firstFormatStores":["ffffffffffffffffffffffffffffffff"],"createdAtMs":1772460000000}\n`,
    );
    assert.deepEqual(decodeIdentity(encodeIdentity(IDENTITY), "b"), IDENTITY);
    const founded = { ...IDENTITY, founderStore: "a".repeat(32) };
    assert.deepEqual(decodeIdentity(encodeIdentity(founded), "b"), founded);
    assert.isFalse(IDENTITY_KEY.startsWith(OBJECT_PREFIX));
  });

  it("none is undefined; the second who makes one gets the first's", async () => {
    assert.isUndefined(await readIdentity(bucket, never));
    assert.deepEqual(await makeIdentity(bucket, IDENTITY, never), IDENTITY);
    assert.deepEqual(await makeIdentity(bucket, { ...IDENTITY, bucketId: "a".repeat(32) }, never), IDENTITY);
    assert.deepEqual(await readIdentity(bucket, never), IDENTITY);
  });

  it("one that is cut short, damaged, or of a later format is refused, never taken for none", async () => {
    const whole = Buffer.from(encodeIdentity(IDENTITY)).toString();
    const damaged = ["", "[]", "null", whole.slice(0, -3), whole.replace(`"format":1`, `"format":2`), whole.replace("0123", "012"), whole.replace(`"eu"`, "7"), whole.replace("[", `["x",`), whole.replace("1772460000000", `"x"`), whole.replace(`"createdAtMs"`, `"founderStore":"x","createdAtMs"`)];
    for (const text of damaged) {
      await bucket.put(IDENTITY_KEY, Buffer.from(text), {}, never);
      assert.equal(await codeOf(readIdentity(bucket, never)), "BUCKET_IDENTITY_UNREADABLE", text);
    }
  });

  it("stores of the first format are added, those that are there once", async () => {
    await makeIdentity(bucket, IDENTITY, never);
    await addFirstFormatStores(bucket, ["f".repeat(32), "e".repeat(32)], never);
    assert.deepEqual((await readIdentity(bucket, never))?.firstFormatStores, ["f".repeat(32), "e".repeat(32)]);
  });
});
