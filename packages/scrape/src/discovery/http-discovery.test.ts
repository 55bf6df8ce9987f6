import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { scrapeConfigs } from "../config/read-scrape-configs.ts";
import type { HttpConfig } from "../config/scrape-config.ts";
import { DiscoveryWorld, jsonReply, textReply } from "../testing/discovery-world.ts";
import { httpDiscovery } from "./http-discovery.ts";

const CONFIG = scrapeConfigs([{ job_name: "a", http_sd_configs: [{ url: "http://sd/t", basic_auth: { username: "u", password: "p" } }] }])[0]!.discoveries[0] as HttpConfig;

async function started(answer: DiscoveryWorld["answer"]) {
  const world = new DiscoveryWorld();
  world.answer = answer;
  const discovery = httpDiscovery(CONFIG, world);
  discovery.start((groups) => world.told.push(groups));
  await world.settle();
  return { world, discovery };
}

describe("http discovery", () => {
  it("asks at the refresh interval, with the settings of its own, and tells what changed", async () => {
    const { world, discovery } = await started(() => jsonReply([{ targets: ["a:1"], labels: { x: "y" } }]));
    expect(world.told).to.deep.equal([[{ targets: [{ __address__: "a:1" }], labels: { x: "y", __meta_url: "http://sd/t" } }]]);
    expect(world.asked[0]).to.deep.include({ url: "http://sd/t", settings: CONFIG.http });
    expect(world.asked[0]!.headers).to.deep.include({ accept: "application/json", "x-prometheus-refresh-interval-seconds": "60" });
    await world.advance(60_000);
    expect([world.asked.length, world.told.length]).to.deep.equal([2, 1]);
    world.answer = () => jsonReply([{ targets: ["b:1"] }]);
    await world.advance(60_000);
    expect(world.addresses()).to.deep.equal(["b:1"]);
    discovery.stop();
    expect(world.clock.timerCount).to.equal(0);
  });

  it("reads an answer in gzip", async () => {
    const body = gzipSync(JSON.stringify([{ targets: ["a:1"] }]));
    const world = new DiscoveryWorld();
    world.answer = () => ({ status: 200, headers: { "content-type": "application/json; charset=utf-8", "content-encoding": "gzip" }, body: (async function* () { yield body; })() });
    await new Promise<void>((resolve) => {
      httpDiscovery(CONFIG, world).start((groups) => {
        world.told.push(groups);
        resolve();
      });
    });
    expect(world.addresses()).to.deep.equal(["a:1"]);
  });

  const WRONG: readonly (readonly [string, DiscoveryWorld["answer"], string])[] = [
    ["another status", () => textReply(503, "[]", "application/json"), "the server answered 503"],
    ["another type", () => textReply(200, "[]", "text/html"), "should have application/json"],
    ["no JSON", () => textReply(200, "[", "application/json"), "JSON"],
    ["no list", () => jsonReply({}), "not a list of groups"],
    ["too much", () => textReply(200, " ".repeat(17 * 2 ** 20), "application/json"), "the body has more than"],
    ["no reply", () => Promise.reject(new Error("connection refused")), "connection refused"],
  ];
  for (const [what, answer, reason] of WRONG) {
    it(`keeps its groups where ${what} comes back, and says so`, async () => {
      const { world } = await started(() => jsonReply([{ targets: ["a:1"] }]));
      world.answer = answer;
      await world.advance(60_000);
      expect(world.addresses()).to.deep.equal(["a:1"]);
      expect(world.logged.at(-1)).to.include(reason);
      expect(world.failed).to.deep.equal(['{"mechanism":"http"}']);
    });
  }

  it("gives up a request that takes too long, and asks again", async () => {
    const { world } = await started(() => jsonReply([{ targets: ["a:1"] }]));
    world.answer = () => new Promise(() => {});
    await world.advance(60_000);
    await world.advance(30_000);
    expect(world.asked.at(-1)!.signal.aborted).to.equal(true);
    expect(world.logged.at(-1)).to.include("no answer within 30 s");
    world.answer = () => jsonReply([{ targets: ["b:1"] }]);
    await world.advance(60_000);
    expect(world.addresses()).to.deep.equal(["b:1"]);
  });

  it("that is stopped ends its request and tells nothing more", async () => {
    const { world, discovery } = await started(() => new Promise(() => {}));
    discovery.stop();
    await world.settle();
    expect([world.asked[0]!.signal.aborted, world.told, world.logged, world.clock.timerCount]).to.deep.equal([true, [], [], 0]);
  });
});
