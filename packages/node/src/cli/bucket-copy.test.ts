import { silentLogger, systemClock, systemRandom } from "@pyromesh/base";
import { IDENTITY_KEY, makeIdentity, MemoryBucket, readIdentity } from "@pyromesh/block";
import type { Bucket } from "@pyromesh/block";
import { expect } from "chai";
import { copyBucket } from "./bucket-copy.ts";

const never = new AbortController().signal;
const IDENTITY = { bucketId: "ab".repeat(16), clusterName: "", firstFormatStores: [], createdAtMs: 1 };

describe("bucket copy", () => {
  let from: Bucket;
  let to: Bucket;
  beforeEach(async () => {
    const modules = { dataDir: "", clock: systemClock, random: systemRandom, logger: silentLogger };
    from = new MemoryBucket(modules);
    to = new MemoryBucket(modules);
    await makeIdentity(from, IDENTITY, never);
    for (let index = 0; index < 40; index++) await from.put(`v1/${String(index).padStart(2, "0")}`, new Uint8Array(index + 1).fill(index), {}, never);
  });

  const copy = (): ReturnType<typeof copyBucket> => copyBucket(from, to, () => {}, never);
  const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => "copied", (error: { readonly code: string }) => error.code);

  it("every object with its bytes, and the identity", async () => {
    expect(await copy()).to.deep.equal({ bucketId: IDENTITY.bucketId, copied: 40, copiedBytes: (40 * 41) / 2, known: 0 });
    for (let index = 0; index < 40; index++) expect(await to.get(`v1/${String(index).padStart(2, "0")}`, never)).to.deep.equal(new Uint8Array(index + 1).fill(index));
    expect(await readIdentity(to, never)).to.deep.equal(IDENTITY);
  });

  it("one that was broken off has no identity, and goes on where it was", async () => {
    const put = to.put.bind(to);
    let puts = 0;
    to.put = (...args) => (++puts > 20 ? Promise.reject(new Error("cut")) : put(...args));
    expect(await copy().then(() => "copied", (error: Error) => error.message)).to.equal("cut");
    expect(await readIdentity(to, never)).to.equal(undefined);
    to.put = put;
    const again = await copy();
    expect(again.copied + again.known).to.equal(40);
    expect(again.known).to.be.within(16, 20);
    expect(await readIdentity(to, never)).to.deep.equal(IDENTITY);
  });

  it("a second one copies what is new", async () => {
    await copy();
    await from.put("v1/new", new Uint8Array(3), {}, never);
    await to.put("v1/of-the-cluster", new Uint8Array(3), {}, never);
    expect(await copy()).to.include({ copied: 1, copiedBytes: 3, known: 40 });
  });

  it("an object that was deleted meanwhile is left out", async () => {
    const get = from.get.bind(from);
    from.get = async (key, signal) => {
      if (key === "v1/05") await from.delete(key, never);
      return get(key, signal);
    };
    expect((await copy()).copied).to.equal(39);
  });

  it("is refused from a bucket that nobody used, and into another one, or one that holds something else", async () => {
    await to.put("v1/05x", new Uint8Array(1), {}, never);
    expect(await codeOf(copy())).to.equal("BUCKET_NOT_EMPTY");
    await to.delete("v1/05x", never);
    await makeIdentity(to, { ...IDENTITY, bucketId: "cd".repeat(16) }, never);
    expect(await codeOf(copy())).to.equal("BUCKET_IS_ANOTHER");
    await from.delete(IDENTITY_KEY, never);
    expect(await codeOf(copy())).to.equal("BUCKET_IDENTITY_GONE");
  });

  it("an object with other bytes is named, and nothing is replaced", async () => {
    await to.put("v1/07", new Uint8Array([9]), {}, never);
    expect(await codeOf(copy())).to.equal("BUCKET_COPY_DIFFERS");
    expect([...(await to.get("v1/07", never))]).to.deep.equal([9]);
    expect(await readIdentity(to, never)).to.equal(undefined);
  });
});
