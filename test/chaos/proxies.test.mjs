import { expect } from "chai";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { once } from "node:events";
import { openBucketProxy } from "./bucket-proxy.mjs";
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
});
