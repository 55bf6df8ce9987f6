import { expect } from "chai";
import { runCommand } from "../testing/command-run.ts";

const MEMBER = { state: "active", isSelf: false, isSuspect: false, zone: "", share: 1 / 3, incarnation: 1, build: "0.1.0" };
const STATUS = {
  cluster: "prod",
  self: "a",
  replication: 3,
  acks: 2,
  isInContact: true,
  writesRefusedBecause: null,
  queriesRefusedBecause: null,
  digest: "d",
  members: [
    { ...MEMBER, name: "a", isSelf: true, zone: "eu-1", clusterAddress: "a:7946", httpAddress: "a:4040", aNewerField: 1 },
    { ...MEMBER, name: "b", isSuspect: true, clusterAddress: "b:7946", httpAddress: "b:4040" },
    { ...MEMBER, name: "c", state: "dead", share: 0, clusterAddress: "c:7946", httpAddress: "c:4040" },
  ],
  gone: [{ ...MEMBER, name: "z", state: "left", clusterAddress: "z:7946", httpAddress: "z:4040" }],
  lostStores: [{ member: "c", storeId: "0c", isCleared: false }],
};
const HEALTH = {
  mayStop: false,
  reasons: ["c is dead: start it again"],
  notes: ["replication is set to 5 on b, and to 3 on a"],
  members: [
    { name: "a", problems: [], ownRecords: 3, keptRecords: 2048, backlogBytes: 1_500_000, takeovers: 1 },
    { name: "b", problems: [], ownRecords: 0, keptRecords: 0, backlogBytes: 0, takeovers: 0 },
    { name: "c", problems: ["it does not answer"] },
  ],
};
const GOOD = { mayStop: true, reasons: [], members: [] };

const reply = (body: object, status = 200): Response => new Response(JSON.stringify(body), { status });
const held = (ownRecords: number, backlogBytes: number): Response => reply({ ...GOOD, members: [{ name: "a", problems: [], ownRecords, keptRecords: 0, backlogBytes, takeovers: 0 }] });

describe("pyromesh cluster", () => {
  it("status: a table for people", async () => {
    const { exitCode, out, calls } = await runCommand(["cluster", "status", "--url", "http://a:4040"], { replies: [reply(STATUS), reply(HEALTH, 503)] });
    expect(exitCode).to.equal(0);
    expect(calls.map(({ method, url }) => `${method} ${url}`)).to.deep.equal(["GET http://a:4040/members?format=json", "GET http://a:4040/api/v1/cluster/health"]);
    expect(out).to.equal(
      [
        "cluster prod, as a (*) sees it: 2 of 3 members active",
        "a record is to be kept by 3 members, of which 2 are active, and a push is answered once 2 have it on disk",
        "",
        "MEMBER  STATE            ZONE  HTTP    CLUSTER  SHARE   TO FLUSH  KEPT FOR OTHERS  TO UPLOAD  TAKEOVERS  BUILD",
        "a *     active           eu-1  a:4040  a:7946   33.3 %  3         2048             1.43 MB    1          0.1.0",
        "b       active, suspect  -     b:4040  b:7946   33.3 %  0         0                0 B        0          0.1.0",
        "c       dead             -     c:4040  c:7946   0.0 %   ?         ?                ?          ?          0.1.0",
        "",
        "left: z",
        "lost store of c: 0c, not cleared: it counts as one that does not answer",
        "no node should be stopped yet:",
        "  c is dead: start it again",
        "replication is set to 5 on b, and to 3 on a",
        "",
      ].join("\n"),
    );
  });

  it("status: what each record is kept by is said of members that are there", async () => {
    const [self] = STATUS.members;
    const full = await runCommand(["cluster", "status"], { replies: [reply({ ...STATUS, members: [1, 2, 3].map((i) => ({ ...self, name: `n${i}` })) }), reply(GOOD)] });
    expect(full.out).to.include("\na record is kept by 3 members, and a push is answered once 2 have it on disk\n");
    const first = await runCommand(["cluster", "status"], { replies: [reply({ ...STATUS, members: [self] }), reply(GOOD)] });
    expect(first.out).to.include("\na record is to be kept by 3 members, of which 1 is active, and a push is answered once 2 have it on disk\n");
  });

  it("status --json: both answers as they came", async () => {
    const { out } = await runCommand(["cluster", "status", "--json"], { replies: [reply(STATUS), reply(GOOD)] });
    expect(JSON.parse(out)).to.deep.equal({ status: STATUS, health: GOOD });
  });

  it("status of a node alone says so", async () => {
    const { out } = await runCommand(["cluster", "status"], { replies: [reply({ ...STATUS, cluster: null, isInContact: false, writesRefusedBecause: "it is starting" }), reply(GOOD)] });
    expect(out).to.include("a is alone: it has no cluster").and.include("out of contact").and.include("it takes no pushes: it is starting");
  });

  it("health: exit code 1 while no node should be stopped", async () => {
    const bad = await runCommand(["cluster", "health"], { replies: [reply(HEALTH, 503)] });
    expect([bad.exitCode, bad.out]).to.deep.equal([1, "no node should be stopped yet:\n  c is dead: start it again\nreplication is set to 5 on b, and to 3 on a\n"]);
    const good = await runCommand(["cluster", "health"], { replies: [reply(GOOD)] });
    expect([good.exitCode, good.out]).to.deep.equal([0, "the next node may be stopped\n"]);
    const json = await runCommand(["cluster", "health", "--json"], { replies: [reply(HEALTH, 503)] });
    expect([json.exitCode, JSON.parse(json.out)]).to.deep.equal([1, HEALTH]);
  });

  it("health: a node that is starting is an error, with its words", async () => {
    const { exitCode, notes } = await runCommand(["cluster", "health"], { replies: [reply({ code: "unavailable", message: "this node is starting" }, 503)] });
    expect([exitCode, notes]).to.deep.equal([1, "pyromesh: the server refused (503): this node is starting (REFUSED)\n"]);
  });

  it("forget: names the member, by force where asked", async () => {
    const { out, calls } = await runCommand(["cluster", "forget", "10.0.0.3:7946"], { replies: [reply({ forgotten: "x" })] });
    expect([out, `${calls[0]!.method} ${calls[0]!.url}`]).to.deep.equal(["forgotten: 10.0.0.3:7946\n", "POST http://127.0.0.1:4040/api/v1/cluster/forget?name=10.0.0.3%3A7946"]);
    expect((await runCommand(["cluster", "forget", "c", "--force"], { replies: [reply({})] })).calls[0]!.url).to.match(/name=c&force=true$/);
    const refused = await runCommand(["cluster", "forget", "b"], { replies: [reply({ code: "failed_precondition", message: "b is alive: stop it first" }, 400)] });
    expect([refused.exitCode, refused.notes]).to.deep.equal([1, "pyromesh: the server refused (400): b is alive: stop it first (REFUSED)\n"]);
  });

  it("leave: waits until the node is gone", async () => {
    const { exitCode, notes, calls, sleepsMs } = await runCommand(["cluster", "leave"], { replies: [reply(STATUS), reply({}, 202), held(5, 0), held(5, 0), held(0, 99), reply(GOOD), new TypeError("fetch failed")] });
    expect(exitCode).to.equal(0);
    expect(calls[1]!.method).to.equal("POST");
    expect(notes).to.equal("a is leaving: it flushes what it holds, and its process ends\na: 5 records to flush, 0 kept for others, 0 B to upload\na: 0 records to flush, 0 kept for others, 99 B to upload\na has left\na has ended\n");
    expect(sleepsMs).to.deep.equal([1000, 1000, 1000, 1000]);
    expect((await runCommand(["cluster", "leave", "--no-wait"], { replies: [reply(STATUS), reply({}, 202)] })).calls.length).to.equal(2);
  });

  it("drain: waits until the node holds nothing", async () => {
    const { exitCode, notes } = await runCommand(["cluster", "drain"], { replies: [reply(STATUS), reply({}, 202), held(5, 0), held(0, 0)] });
    const begun = "a is draining: it takes no more pushes and flushes what it holds\na: 5 records to flush, 0 kept for others, 0 B to upload\n";
    expect([exitCode, notes]).to.deep.equal([0, `${begun}a holds nothing any more that is not in the bucket: stop it when you like, or take the drain back with "pyromesh cluster resume"\n`]);
  });

  it("drain: a node that ends before it holds nothing is an error", async () => {
    const { exitCode, notes } = await runCommand(["cluster", "drain"], { replies: [reply(STATUS), reply({}, 202), held(5, 0), new TypeError("fetch failed")] });
    expect([exitCode, notes.split("\n").slice(-3)]).to.deep.equal([1, ["a has ended", "pyromesh: a ended before all that it held was in the bucket: its data directory has the rest, so start it again (NODE_ENDED)", ""]]);
  });

  // "pyromesh cluster leave && rm -r data" removed what a busy node still held.
  it("leave: a question that is refused is no sign that the node has ended", async () => {
    const busy = reply({ code: "unavailable", message: "too many requests" }, 503);
    const { exitCode, notes } = await runCommand(["cluster", "leave"], { replies: [reply(STATUS), reply({}, 202), held(5, 0), busy, busy, held(0, 0), new TypeError("fetch failed")] });
    expect([exitCode, notes.split("\n").slice(2)]).to.deep.equal([0, ["a: 0 records to flush, 0 kept for others, 0 B to upload", "a has ended", ""]]);
    const failed = await runCommand(["cluster", "leave"], { replies: [reply(STATUS), reply({}, 202), busy] });
    expect([failed.exitCode, failed.calls.length, failed.notes]).to.satisfy(([code, count, text]: [number, number, string]) => code === 1 && count === 12 && text.endsWith("(503): too many requests (REFUSED)\n"));
  });

  it("resume: takes it back", async () => {
    const { out, calls } = await runCommand(["cluster", "resume"], { replies: [reply({ resumed: "a" })] });
    expect([out, calls[0]!.url]).to.deep.equal(["it takes pushes again\n", "http://127.0.0.1:4040/api/v1/cluster/resume"]);
  });

  it("an answer of something else is refused", async () => {
    const { exitCode, notes } = await runCommand(["cluster", "status"], { replies: [reply({ hello: 1 }), reply(GOOD)] });
    expect([exitCode, notes]).to.satisfy(([code, text]: [number, string]) => code === 1 && text.includes("is this a Pyromesh?"));
  });
});
