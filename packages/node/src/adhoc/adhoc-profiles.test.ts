import { gzipSync } from "node:zlib";
import type { AdHocAnswer } from "@pyromesh/api";
import { CodedError, parseTenantId, seededRandom } from "@pyromesh/base";
import { MemoryBucket } from "@pyromesh/block";
import { FaultyBucket, ManualClock } from "@pyromesh/block/testing";
import { DEFAULT_PROFILE_LIMITS, PprofWriter } from "@pyromesh/profile";
import { expect } from "chai";
import type { Compute } from "../compute/compute.ts";
import { openLocalCompute } from "../testing/local-compute.ts";
import { KeptAdHocProfiles } from "./adhoc-profiles.ts";
import type { AdHocLimits } from "./adhoc-profiles.ts";

const never = new AbortController().signal;
const [A, B] = [parseTenantId("a"), parseTenantId("b")];
const DRAWING = { maxNodes: 100, form: "json" } as const;
const FOLDED = Buffer.from("main;work 3\nmain;wait 4\n");

interface Shown {
  readonly id: string;
  readonly name: string;
  readonly uploadedAt: string;
  readonly profileType: string;
  readonly profileTypes: readonly string[];
  readonly flamebearerProfile: string;
}

function shown({ bytes }: AdHocAnswer): Shown {
  return JSON.parse(Buffer.from(bytes).toString()) as Shown;
}

function graphOf(answer: AdHocAnswer): { flamebearer: { names: string[]; numTicks: number }; metadata: { format: string; name: string; units: string }; leftTicks?: number; rightTicks?: number } {
  return JSON.parse(shown(answer).flamebearerProfile);
}

function pprofOf(...types: readonly string[]): Uint8Array {
  const writer = new PprofWriter({ sampleTypes: types.map((type) => ({ type, unit: "count" })), periodType: { type: "cpu", unit: "nanoseconds" }, period: 1, timeNs: 0n, durationNs: 0n });
  writer.sample([writer.frame("main")], types.map((_, index) => index + 1));
  return writer.finish();
}

class Kept {
  readonly clock = new ManualClock(Date.UTC(2026, 2, 2, 14, 30));
  readonly memory = new MemoryBucket({ clock: this.clock });
  readonly bucket = new FaultyBucket(this.memory, { clock: this.clock });
  readonly compute: Compute = openLocalCompute({ random: seededRandom(3), clock: this.clock });
  limits: AdHocLimits = { ...DEFAULT_PROFILE_LIMITS, adHocCountMax: 0, adHocBytesMax: 0 };
  ensureOurs: () => Promise<void> = () => Promise.resolve();
  readonly profiles = new KeptAdHocProfiles({ bucket: this.bucket, guarded: this.bucket, ensureOurs: () => this.ensureOurs(), clock: this.clock, compute: this.compute, limitsOf: () => this.limits, random: seededRandom(4) });

  upload(file: Uint8Array = FOLDED, name = "a.folded", tenant = A): Promise<AdHocAnswer> {
    return this.profiles.upload(tenant, { ...DRAWING, name, file }, never);
  }

  get(id: string, profileType?: string, tenant = A): Promise<AdHocAnswer> {
    return this.profiles.get(tenant, { ...DRAWING, id, profileType }, never);
  }

  diff(leftId: string, rightId: string, profileType?: string): Promise<AdHocAnswer> {
    return this.profiles.diff(A, { ...DRAWING, leftId, rightId, profileType }, never);
  }

  async keys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const page of this.memory.list("", {}, never)) for (const { key } of page) keys.push(key);
    return keys;
  }
}

function failureOf(running: Promise<unknown>): Promise<CodedError> {
  return running.then(
    () => new CodedError({ code: "NONE", kind: "internal", message: "" }),
    (thrown: unknown) => (thrown instanceof CodedError ? thrown : new CodedError({ code: String(thrown), kind: "internal", message: "" })),
  );
}

describe("ad hoc profiles", () => {
  let kept: Kept;
  beforeEach(() => (kept = new Kept()));
  afterEach(() => kept.compute.stop());

  it("an upload is drawn, kept under its tenant, listed, and drawn again", async () => {
    const uploaded = shown(await kept.upload());
    expect(await kept.keys()).to.deep.equal([`adhoc/a/${uploaded.id}`]);
    expect([uploaded.name, uploaded.uploadedAt, uploaded.profileType, uploaded.profileTypes]).to.deep.equal(["a.folded", String(kept.clock.nowMs()), "samples", ["samples"]]);
    expect(shown(await kept.get(uploaded.id))).to.deep.equal(uploaded);
    expect(graphOf(await kept.get(uploaded.id)).flamebearer.numTicks).to.equal(7);
    expect(await kept.profiles.list(A, never)).to.deep.equal([{ id: uploaded.id, name: "a.folded", uploadedAtMs: kept.clock.nowMs() }]);
  });

  it("gzipped or not, and what the graph says of itself is what render says", async () => {
    expect(shown(await kept.upload(gzipSync(FOLDED))).flamebearerProfile).to.equal(shown(await kept.upload()).flamebearerProfile);
    const { flamebearerProfile } = shown(await kept.upload());
    expect(flamebearerProfile).to.match(/^\{"version":1,"flamebearer":\{"names":\["total","main","work","wait"\],"levels":\[\[0,7,0,0\].*"metadata":\{"format":"single","spyName":"","sampleRate":100,"units":"objects","name":"samples"\},"timeline":null,"groups":null,"heatmap":null\}$/);
    const again = shown(await kept.upload(Buffer.from(flamebearerProfile), "saved.json"));
    expect(again.flamebearerProfile, "a graph that was saved is the same again").to.equal(flamebearerProfile);
  });

  it("of several types one is drawn: the wanted one, else the first", async () => {
    const { id, profileTypes } = shown(await kept.upload(pprofOf("alloc_objects", "inuse_objects"), "mem.pb"));
    expect(profileTypes).to.deep.equal(["alloc_objects", "inuse_objects"]);
    expect(graphOf(await kept.get(id, "inuse_objects")).flamebearer.numTicks).to.equal(2);
    expect(shown(await kept.get(id, "nope")).profileType).to.equal("alloc_objects");
  });

  it("the newest is listed first", async () => {
    for (const name of ["one", "two", "three"]) {
      await kept.upload(FOLDED, name);
      kept.clock.advance(5);
    }
    expect((await kept.profiles.list(A, never)).map(({ name }) => name)).to.deep.equal(["three", "two", "one"]);
  });

  it("no tenant sees another's, by no id", async () => {
    const { id } = shown(await kept.upload());
    expect((await failureOf(kept.get(id, undefined, B))).code).to.equal("ADHOC_NOT_FOUND");
    expect(await kept.profiles.list(B, never)).to.deep.equal([]);
    for (const odd of [`../a/${id}`, `../../adhoc/a/${id}`, `a/${id}`, `..%2fa%2f${id}`, "", `${id}\0`, `./${id}`]) {
      expect((await failureOf(kept.get(odd, undefined, B))).kind, odd).to.equal("invalid_argument");
    }
    expect(kept.bucket.calls.filter(({ key }) => key.startsWith("adhoc/b/")).length, "nothing was asked for but what is its own").to.equal(kept.bucket.calls.filter(({ operation }) => operation === "head" || operation === "list").length - 1);
  });

  it("a diff is of two uploads of one type", async () => {
    const left = shown(await kept.upload(pprofOf("alloc_objects", "inuse_objects"))).id;
    const right = shown(await kept.upload(pprofOf("inuse_objects", "alloc_objects"))).id;
    const graph = graphOf(await kept.diff(left, right, "inuse_objects"));
    expect([graph.metadata.format, graph.metadata.name, graph.leftTicks, graph.rightTicks]).to.deep.equal(["double", "inuse_objects", 2, 1]);
    const mismatch = await failureOf(kept.diff(left, right));
    expect([mismatch.code, mismatch.kind]).to.deep.equal(["ADHOC_TYPES_DIFFER", "invalid_argument"]);
    expect(mismatch.message).to.contain('profile_type one of "alloc_objects", "inuse_objects"');
    const folded = shown(await kept.upload()).id;
    expect((await failureOf(kept.diff(left, folded))).message).to.contain('the types "alloc_objects", "inuse_objects" and the right one "samples"');
    expect(graphOf(await kept.diff(left, left)).leftTicks).to.equal(1);
  });

  it("a diff says which side is not there", async () => {
    const { id } = shown(await kept.upload());
    const gone = id.replace(/^.{9}/, "01HMXV8BF");
    const missing = await failureOf(kept.diff(id, gone));
    expect([missing.code, missing.kind, missing.message.slice(0, 13)]).to.deep.equal(["ADHOC_NOT_FOUND", "not_found", "right profile"]);
    expect((await failureOf(kept.diff("../x", id))).message).to.match(/^left id "..\/x" is invalid/);
  });

  it("of a diff whose left side is not there the right one is not read: nothing goes on behind the place in the queue", async () => {
    const { id } = shown(await kept.upload());
    const gone = id.replace(/^.{9}/, "01HMXV8BF");
    kept.bucket.calls.length = 0;
    expect((await failureOf(kept.diff(gone, id))).message).to.match(/^left profile/);
    expect(kept.bucket.calls.map(({ operation, key }) => [operation, key])).to.deep.equal([["head", `adhoc/a/${gone}`]]);
  });

  it("a file is bounded as it is sent, too: what is kept can be read back", async () => {
    const packed = gzipSync(FOLDED);
    // A gzip header may hold a comment of any length.
    const commented = (commentBytes: number): Uint8Array => Buffer.concat([packed.subarray(0, 3), Buffer.from([16]), packed.subarray(4, 10), Buffer.alloc(commentBytes, "x"), Buffer.alloc(1), packed.subarray(10)]);
    kept.limits = { ...kept.limits, profileSizeBytesMax: 0 };
    const refused = await failureOf(kept.upload(commented(16 * 2 ** 20)));
    expect([refused.code, refused.kind]).to.deep.equal(["PROFILE_TOO_LARGE", "invalid_argument"]);
    const { id } = shown(await kept.upload(commented(2 ** 20)));
    expect(graphOf(await kept.get(id)).flamebearer.numTicks).to.equal(7);
    kept.limits = { ...kept.limits, profileSizeBytesMax: 2 ** 20 };
    expect((await failureOf(kept.upload(commented(2 ** 20)))).message).to.contain("may have 1048576: send a smaller one or raise limits.max_profile_size_bytes");
    expect((await kept.keys()).length).to.equal(1);
  });

  it("what cannot be read is refused and not kept", async () => {
    for (const file of [Buffer.from("no count"), Buffer.from('{"a":1}'), Buffer.from([10, 3, 1]), gzipSync(FOLDED).subarray(0, 20)]) {
      expect((await failureOf(kept.upload(file))).kind).to.equal("invalid_argument");
    }
    expect((await failureOf(kept.upload(FOLDED, "x".repeat(200)))).code).to.equal("ADHOC_NAME_TOO_LONG");
    expect(await kept.keys()).to.deep.equal([]);
  });

  it("a bomb is refused by what it says of itself, and where it lies", async () => {
    kept.limits = { ...kept.limits, profileSizeBytesMax: 1000 };
    const honest = gzipSync(Buffer.alloc(5_000_000, "main 1\n"));
    const liar = Uint8Array.from(honest);
    liar.set([1, 0, 0, 0], liar.length - 4);
    for (const file of [honest, liar, Buffer.alloc(2000, "main 1\n")]) expect((await failureOf(kept.upload(file))).code).to.equal("PROFILE_TOO_LARGE");
    expect(await kept.keys()).to.deep.equal([]);
  });

  it("a tenant keeps so many, and so many bytes, and others are not touched", async () => {
    kept.limits = { ...kept.limits, adHocCountMax: 2 };
    await kept.upload();
    await kept.upload();
    const refused = await failureOf(kept.upload());
    expect([refused.code, refused.kind]).to.deep.equal(["ADHOC_TOO_MANY", "failed_precondition"]);
    expect(refused.message).to.contain("max_adhoc_profiles");
    await kept.upload(FOLDED, "b", B);
    kept.limits = { ...kept.limits, adHocCountMax: 0, adHocBytesMax: 100 };
    expect((await failureOf(kept.upload())).message).to.contain("max_adhoc_profiles_bytes");
    expect((await kept.keys()).length).to.equal(3);
  });

  it("10,000 are the most, whatever the limits say, and all of them are listed", async function () {
    this.timeout(20_000);
    const { id } = shown(await kept.upload());
    const object = await kept.memory.get(`adhoc/a/${id}`, never);
    for (let i = 1; i < 10_000; i++) await kept.memory.put(`adhoc/a/${id}${i}`, object, {}, never);
    expect((await failureOf(kept.upload())).code).to.equal("ADHOC_TOO_MANY");
    expect((await kept.profiles.list(A, never)).length).to.equal(10_000);
    // Somebody else put more.
    for (let i = 0; i < 1500; i++) await kept.memory.put(`adhoc/a/7${id.slice(1)}${i}`, object, {}, never);
    const listed = await kept.profiles.list(A, never);
    expect([listed.length, listed[0]!.id[0]]).to.deep.equal([10_000, "7"]);
  });

  it("what others put into the bucket is no upload, and is told", async () => {
    const { id } = shown(await kept.upload());
    const key = `adhoc/a/${id}`;
    const object = await kept.memory.get(key, never);
    for (const bytes of [new Uint8Array(0), Buffer.from("noise"), object.subarray(0, 20), Buffer.alloc(16 * 2 ** 20 + 17)]) {
      await kept.memory.put(key, bytes, {}, never);
      const damaged = await failureOf(kept.get(id));
      expect([damaged.code, damaged.kind], `${bytes.length} bytes`).to.deep.equal(["ADHOC_DAMAGED", "data_loss"]);
    }
    await kept.memory.put("adhoc/a/notes.txt", object, {}, never);
    expect((await kept.profiles.list(A, never)).map((entry) => entry.id)).to.deep.equal([id]);
    await kept.memory.put(key, object, {}, never);
    expect(shown(await kept.get(id)).id, "the bytes are back").to.equal(id);
  });

  it("a bucket that is down is 503 for each call, and nothing half is kept", async () => {
    const { id } = shown(await kept.upload());
    kept.bucket.goDown();
    for (const call of [kept.upload(), kept.get(id), kept.diff(id, id), kept.profiles.list(A, never)]) expect((await failureOf(call)).kind).to.equal("unavailable");
    kept.bucket.schedule(({ operation }) => (operation === "put" ? { kind: "status", status: 503 } : undefined));
    expect((await failureOf(kept.upload())).code).to.equal("BUCKET_UNAVAILABLE");
    kept.bucket.heal();
    expect(await kept.keys()).to.deep.equal([`adhoc/a/${id}`]);
  });

  it("a bucket that is another one answers nothing: what is missing there is not gone", async () => {
    const { id } = shown(await kept.upload());
    await kept.memory.delete(`adhoc/a/${id}`, never);
    kept.ensureOurs = () => Promise.reject(new CodedError({ code: "BUCKET_UNAVAILABLE", kind: "unavailable", message: "another" }));
    for (const call of [kept.get(id), kept.diff(id, id), kept.profiles.list(A, never)]) expect((await failureOf(call)).kind).to.equal("unavailable");
  });

  it("who went away gets nothing done", async () => {
    const gone = AbortSignal.abort(new Error("gone"));
    expect((await failureOf(kept.profiles.upload(A, { ...DRAWING, name: "", file: FOLDED }, gone))).code).to.contain("gone");
    expect(await kept.keys()).to.deep.equal([]);
  });
});
