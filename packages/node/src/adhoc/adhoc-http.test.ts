/** AdHocProfileService from outside, over HTTP in memory, on a whole node. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { inPlaceCompression, MemoryNetwork } from "@pyromesh/api/testing";
import type { MemoryReply } from "@pyromesh/api/testing";
import { Metrics, seededRandom, silentLogger, systemClock } from "@pyromesh/base";
import { MemoryBucket } from "@pyromesh/block";
import { FaultyBucket } from "@pyromesh/block/testing";
import { expect } from "chai";
import { composeNode } from "../compose-node.ts";
import type { ComposedNode } from "../compose-node.ts";
import { loadConfig } from "../config/load-config.ts";
import { dataDirDisk } from "../process/node-disk.ts";
import { InPlaceThreads } from "../testing/index.ts";

const SERVICE = "/adhocprofiles.v1.AdHocProfileService";
const PORT = 4040;
const FOLDED = "main;work 3\nmain;wait 4\n";

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly json: Record<string, never> & { readonly id: string; readonly profiles: readonly { readonly id: string; readonly name: string }[]; readonly code: string; readonly message: string; readonly flamebearerProfile: string };
}

describe("ad hoc profiles over HTTP", function () {
  this.timeout(20_000);
  let dir: string;
  let bucket: FaultyBucket;
  let network: MemoryNetwork;
  let node: ComposedNode | undefined;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "pyromesh-adhoc-"));
    bucket = new FaultyBucket(new MemoryBucket({ clock: systemClock }), { clock: systemClock });
    network = new MemoryNetwork({ deliver: queueMicrotask });
  });
  afterEach(async () => {
    await node?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function compose(flags: Readonly<Record<string, string>> = {}): Promise<ComposedNode> {
    const settings = Object.entries({ data_dir: dir, ...flags }).map(([key, value]): [string, string[]] => [key, [value]]);
    const random = seededRandom(7);
    const modules = { clock: systemClock, random, logger: silentLogger };
    node = await composeNode(loadConfig({ flags: new Map(settings), env: {}, readFile: () => "" }), {
      ...modules,
      metrics: new Metrics(),
      network,
      disk: dataDirDisk(dir, modules),
      openBucket: async () => bucket,
      openThreads: () => new InPlaceThreads({ random, deliver: (_, run) => queueMicrotask(run) }),
      compression: inPlaceCompression(queueMicrotask),
      machine: { coreCount: 1, memoryBytes: 2 ** 30, openFilesMax: undefined },
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      endProcess: () => {},
    });
    return node;
  }

  async function call(method: string, message: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    const body = typeof message === "string" ? message : JSON.stringify(message);
    const reply = (await network.send(PORT, { method: "POST", target: `${SERVICE}/${method}`, headers: { "content-type": "application/json", ...headers }, body: [Buffer.from(body)] }).reply) as MemoryReply;
    return { status: reply.status, headers: reply.headers as never, json: JSON.parse(Buffer.from(reply.body).toString()) as never };
  }

  const upload = (file: Uint8Array | string = FOLDED, name = "a.folded", headers = {}): Promise<Reply> => call("Upload", { name, profile: Buffer.from(file).toString("base64") }, headers);

  it("Upload, List, Get and Diff, as JSON", async () => {
    await (await compose()).start();
    const left = await upload();
    expect([left.status, left.json["profileType"]], JSON.stringify(left.json)).to.deep.equal([200, "samples"]);
    const right = await upload(gzipSync("main;work 5\n"), "b.txt.gz");
    expect((await call("List", {})).json.profiles.map(({ name }) => name).sort()).to.deep.equal(["a.folded", "b.txt.gz"]);
    expect((await call("Get", { id: left.json.id })).json).to.deep.equal(left.json);
    expect((await call("Get", { id: left.json.id, profile_type: "samples", max_nodes: "1" })).json.flamebearerProfile).to.contain('"other"');
    const diff = await call("Diff", { leftId: left.json.id, rightId: right.json.id });
    expect(JSON.parse(diff.json.flamebearerProfile)).to.deep.include({ leftTicks: 7, rightTicks: 5 });
  });

  it("a GET asks for what a POST does, and uploads nothing", async () => {
    await (await compose()).start();
    const { id } = (await upload()).json;
    const get = (method: string, message: object): Promise<MemoryReply | undefined> => network.send(PORT, { method: "GET", target: `${SERVICE}/${method}?connect=v1&encoding=json&message=${encodeURIComponent(JSON.stringify(message))}` }).reply;
    expect(JSON.parse(Buffer.from((await get("Get", { id }))!.body).toString())).to.deep.include({ id });
    expect((await get("Upload", { name: "x", profile: "bWFpbiAxCg==" }))!.status).to.equal(405);
  });

  it("the same in protobuf, with the file's base64 as a text field", async () => {
    await (await compose()).start();
    const field = (number: number, content: Uint8Array): Buffer => Buffer.concat([Buffer.from([number * 8 + 2, content.length]), content]);
    const base64 = Buffer.from(Buffer.from(FOLDED).toString("base64"));
    for (const [what, body, status] of [
      ["whole", Buffer.concat([field(1, Buffer.from("a")), field(2, base64), Buffer.from([24, 5])]), 200],
      ["torn", Buffer.concat([field(1, Buffer.from("a")), field(2, base64)]).subarray(0, -3), 400],
      ["no base64", field(2, Buffer.from("a\\u0041==")), 400],
      ["below zero nodes", Buffer.concat([field(2, base64), Buffer.from([24, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1])]), 400],
      ["empty", Buffer.alloc(0), 400],
    ] as const) {
      const reply = await network.send(PORT, { method: "POST", target: `${SERVICE}/Upload`, headers: { "content-type": "application/proto" }, body: [body] }).reply;
      expect(reply?.status, what).to.equal(status);
    }
    expect((await call("List", {})).json.profiles.length).to.equal(1);
  });

  it("what is wrong with a request is said", async () => {
    await (await compose()).start();
    for (const [message, code] of [
      [{ name: "a" }, "PROFILE_EMPTY"],
      [{ name: "a", profile: "%%%" }, "base64"],
      [{ profile: "bWFpbiAxCg==", maxNodes: -1 }, "max_nodes"],
      [{ profile: "bWFpbiAxCg==", maxNodes: 1, max_nodes: 2 }, "twice"],
      [{ profile: 3 }, "string"],
      ["{", "JSON"],
      [{ profile: Buffer.from("no count").toString("base64") }, "no count"],
    ] as const) {
      const reply = await call("Upload", message);
      expect([reply.status, reply.json.code], JSON.stringify(message)).to.deep.equal([400, "invalid_argument"]);
      if (code !== "PROFILE_EMPTY") expect(reply.json.message).to.contain(code === "no count" ? "count" : code);
    }
    expect((await call("Get", { id: "../x" })).status).to.equal(400);
    expect([(await call("Get", { id: "nope" })).status, (await call("Get", { id: "01HMXV8BF4EH71NBYZNPPVGJ2X-x" })).status]).to.deep.equal([404, 404]);
    expect((await call("Diff", {})).status).to.equal(400);
    expect((await call("List", {})).json.profiles).to.equal(undefined);
  });

  it("a tenant is asked for, and one at a time", async () => {
    await (await compose({ multitenancy: "true" })).start();
    const as = (tenant: string): Record<string, string> => ({ "x-scope-orgid": tenant });
    expect((await upload()).status).to.equal(401);
    const { id } = (await upload(FOLDED, "a", as("a"))).json;
    expect((await call("Get", { id }, as("b"))).status).to.equal(404);
    expect((await call("Get", { id }, as("a|b"))).status).to.equal(400);
    expect((await call("Get", { id }, as("a"))).status).to.equal(200);
  });

  it("the limits of a push hold for it", async () => {
    await (await compose({ "limits.max_profile_size_bytes": "1000" })).start();
    const bomb = await upload(gzipSync(Buffer.alloc(100_000, "main 1\n")));
    expect([bomb.status, bomb.json.message]).to.deep.equal([400, "the profile is larger than 1000 bytes once decompressed: send a smaller one or raise limits.max_profile_size_bytes"]);
    expect((await upload()).status).to.equal(200);
    expect((await call("Upload", "x".repeat(17 * 2 ** 20))).status).to.equal(413);
  });

  it("a bucket that is down is 503 with a sentence, and what was kept is there once it is back", async () => {
    await (await compose()).start();
    const { id } = (await upload()).json;
    bucket.goDown();
    for (const reply of [await upload(), await call("Get", { id }), await call("List", {}), await call("Diff", { leftId: id, rightId: id })]) {
      expect([reply.status, reply.json.code], reply.json.message).to.deep.equal([503, "unavailable"]);
      expect(reply.json.message.length).to.be.greaterThan(20);
    }
    bucket.heal();
    expect((await call("List", {})).json.profiles.length).to.equal(1);
  });

  it("two people at once get their own", async () => {
    await (await compose()).start();
    const replies = await Promise.all(Array.from({ length: 8 }, (_, index) => upload(`main;work ${index + 1}\n`, `p${index}`)));
    expect(replies.map(({ status }) => status)).to.deep.equal(Array.from({ length: 8 }, () => 200));
    const got = await Promise.all(replies.map(({ json }) => call("Get", { id: json.id })));
    expect(got.map(({ json }) => (JSON.parse(json.flamebearerProfile) as { flamebearer: { numTicks: number } }).flamebearer.numTicks)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("a node that was started again has them still", async () => {
    await (await compose()).start();
    const { id } = (await upload()).json;
    await node!.stop();
    await (await compose()).start();
    expect((await call("Get", { id })).status).to.equal(200);
    expect((await call("List", {})).json.profiles.map((entry) => entry.id)).to.deep.equal([id]);
  });
});
