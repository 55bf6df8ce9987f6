import { expect } from "chai";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { once } from "node:events";
import { openBucketProxy } from "./bucket-proxy.mjs";
import { barsOf, hasPassed } from "./chaos.mjs";
import { Ledger } from "./ledger.mjs";
import { Links, openLinkProxy } from "./link-proxy.mjs";

describe("the proxies of the chaos run", () => {
  it("cuts one direction of one pair, silently, and gives back what was held", async () => {
    const got = [];
    const server = createTcpServer((socket) =>
      socket.on("data", (bytes) => {
        got.push(String(bytes));
        socket.write(`echo ${String(bytes)}`);
      }),
    );
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const links = new Links();
    // This process is the dialler: the proxy finds it by its socket.
    const proxy = await openLinkProxy({ member: "b", targetPort: server.address().port, links, pidsOf: () => [["a", process.pid]] });
    const socket = connect({ host: "127.0.0.1", port: proxy.port });
    await once(socket, "connect");
    socket.write("one");
    expect(String((await once(socket, "data"))[0])).to.equal("echo one");
    links.set("b", "a", { isCut: true });
    socket.write("two");
    while (got.length < 2) await new Promise((resolve) => setImmediate(resolve));
    let isAnswered = false;
    socket.once("data", () => (isAnswered = true));
    links.set("c", "a", { isCut: true }); // another pair: it wakes nothing here
    await new Promise((resolve) => setImmediate(resolve));
    expect(isAnswered).to.equal(false);
    links.heal();
    if (!isAnswered) await once(socket, "data");
    expect(got).to.deep.equal(["one", "two"]);
    socket.destroy();
    await proxy.stop();
    server.close();
  });

  it("does a put and says that it failed", async () => {
    const puts = [];
    const server = createServer((req, res) =>
      req.resume().on("end", () => {
        puts.push(req.method);
        res.end("done");
      }),
    );
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const proxy = await openBucketProxy(`http://127.0.0.1:${server.address().port}`);
    proxy.set({ kind: "put-unsure" });
    expect((await fetch(`${proxy.endpoint}/x`, { method: "PUT", body: "1" })).status).to.equal(500);
    expect((await fetch(`${proxy.endpoint}/x`)).status).to.equal(200);
    expect(puts).to.deep.equal(["PUT", "GET"]);
    proxy.set({ kind: "refuse" });
    expect((await fetch(`${proxy.endpoint}/x`)).status).to.equal(503);
    expect(puts).to.have.length(2);
    await proxy.stop();
    server.close();
  });
});

describe("the ledger of the chaos run", () => {
  it("tells lost, doubled and refused pushes apart, and lets unknown ones be there or not", () => {
    const ledger = new Ledger();
    const [acked, unknown, refused, doubled] = [ledger.begin(), ledger.begin(), ledger.begin(), ledger.begin()];
    ledger.acked(acked);
    ledger.refused(refused);
    ledger.acked(doubled);
    const sentMs = performance.now() + 1;
    expect(ledger.check(new Map([[acked, acked + 1], [doubled, doubled + 1]]), { service: undefined, sentMs, by: "n" })).to.deep.equal([]);
    expect(ledger.check(new Map([[acked, acked + 1], [doubled, doubled + 1], [unknown, unknown + 1]]), { service: undefined, sentMs, by: "n" })).to.deep.equal([]);
    ledger.check(new Map([[refused, refused + 1], [doubled, 2 * (doubled + 1)], [99, 100]]), { service: undefined, sentMs, by: "n" });
    expect(["lost", "doubled", "refused-but-there", "never-sent"].map((kind) => ledger.count(kind))).to.deep.equal([1, 1, 1, 1]);
  });

  it("a query that fails within a second of the fault is not late; one under a fault of links, or to the member itself, is counted apart", () => {
    const ledger = new Ledger();
    const failed = (kind, atMs, options = {}) => ledger.failed(kind, "503", { sentMs: atMs - 10, url: "u", ...options }, atMs);
    ledger.memberFault(5_000);
    failed("query", 5_900);
    failed("query", 6_100);
    failed("push", 9_000);
    failed("push", 9_000, { wasCutOff: true });
    ledger.excuse(true);
    failed("query", 20_000);
    ledger.excuse(false);
    expect([ledger.failures, ledger.lateQueries, ledger.excused, ledger.cutOff]).to.deep.equal([{ push: 1, query: 2 }, 1, { push: 0, query: 1 }, { push: 1, query: 0 }]);
  });

  it("the verdict names each bar that does not hold", () => {
    const held = { acked: 9, lost: 0, doubled: 0, refused: 0, wrongAnswers: 0, failedPushes: 0, failedQueries: 1, lateQueries: 0, failure: undefined };
    expect(hasPassed(held)).to.equal(true);
    for (const broken of [{ acked: 0 }, { lost: 1 }, { doubled: 1 }, { refused: 1 }, { wrongAnswers: 1 }, { failedPushes: 1 }, { lateQueries: 1 }, { failure: "it did not heal" }]) {
      const report = { ...held, ...broken };
      expect(barsOf(report).filter(([, , holds]) => !holds), JSON.stringify(broken)).to.have.length(1);
      expect(hasPassed(report)).to.equal(false);
    }
  });
});
