import { expect } from "chai";
import { ANONYMOUS, CodedError, Metrics, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import type { HttpGet, HttpReply } from "../http/http-get.ts";
import type { ScrapeConfig } from "../config/scrape-config.ts";
import type { ScrapeTarget } from "../target.ts";
import { NothingStored } from "./nothing-stored.ts";
import { ScrapeMetrics } from "./scrape-metrics.ts";
import type { TargetHold } from "./target-holds.ts";
import type { ScrapedAnswer } from "./target-scraper.ts";
import { TargetScraper } from "./target-scraper.ts";
import { Turnstile } from "./turnstile.ts";

const JOB: ScrapeConfig = {
  jobName: "app",
  tenant: ANONYMOUS,
  intervalMs: 15_000,
  timeoutMs: 10_000,
  scheme: "http",
  params: {},
  http: { authorization: undefined, tls: { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined, isInsecure: false }, isRedirectFollowed: true },
  profiles: [],
  pathPrefix: "",
  bodySizeBytesMax: 1_000,
  discoveries: [],
  relabelRules: [],
};

function targetOf(change: Partial<ScrapeTarget["profile"]> = {}): ScrapeTarget {
  return { key: "app a", job: JOB, url: "http://a:1/debug/pprof/allocs", labels: [{ name: "service_name", value: "app" }], discovered: [], intervalMs: 15_000, timeoutMs: 10_000, profile: { name: "memory", path: "/debug/pprof/allocs", delta: false, isCumulative: true, ...change } };
}

/** One target of a program that answers what the test says. */
class World {
  readonly clock = new ManualClock();
  readonly stored: ScrapedAnswer[] = [];
  readonly asked: HttpGet[] = [];
  hold: TargetHold | undefined = { sinceMs: 0 };
  wasUnbroken = true;
  /** Resolves when the others have said whether it was. */
  confirmed = Promise.resolve();
  answer: (get: HttpGet) => Promise<HttpReply> = () => Promise.resolve(reply("profile"));
  store: () => Promise<void> = () => Promise.resolve();
  mayTake = true;
  keptBytes = 0;
  readonly turns = { quick: new Turnstile(1), measuring: new Turnstile(1), silent: new Turnstile(1) };
  readonly metrics = new Metrics();
  readonly scraper: TargetScraper;

  constructor(target: ScrapeTarget = targetOf()) {
    const metrics = new ScrapeMetrics({ metrics: this.metrics, targets: () => [], keptBytes: () => 0 });
    this.scraper = new TargetScraper(target, {
      clock: this.clock,
      fetch: (get) => {
        this.asked.push(get);
        return this.answer(get);
      },
      holds: { want: () => {}, watch: () => this.hold && { wasUnbroken: () => this.confirmed.then(() => this.wasUnbroken) }, holdOf: () => this.hold, ownerOf: () => undefined, onChange: () => {} },
      memory: { take: () => this.mayTake, give: () => {}, keep: (addedBytes) => (addedBytes > 0 && !this.mayTake ? false : ((this.keptBytes += addedBytes), true)) },
      turns: this.turns,
      metrics,
      store: (answer) => {
        this.stored.push(answer);
        return this.store();
      },
    });
  }

  /** Time passes, and what it starts goes as far as it can. */
  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  get bodies(): (readonly [string | undefined, string])[] {
    return this.stored.map(({ body, counters }) => [counters?.before && text(counters.before), text(body)]);
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

function reply(body: string, { status = 200, headers = {} }: { readonly status?: number; readonly headers?: Record<string, string> } = {}): HttpReply {
  return { status, headers, body: (async function* () { yield Buffer.from(body); })() };
}

describe("target scraper", () => {
  it("asks once an interval, and hands each answer on with the one before", async () => {
    const world = new World();
    let count = 0;
    world.answer = () => Promise.resolve(reply(`profile ${++count}`));
    for (let i = 0; i < 3; i++) await world.pass(15_000);
    expect(world.bodies).deep.equal([[undefined, "profile 1"], ["profile 1", "profile 2"], ["profile 2", "profile 3"]]);
    expect(world.scraper.state).include({ health: "up", lastError: "", isWaiting: false });
    expect(world.scraper.state.nextScrapeMs! - world.clock.nowMs()).within(1, 15_000);
  });

  it("what does not count from the program's start is handed on by itself", async () => {
    const world = new World(targetOf({ isCumulative: false }));
    for (let i = 0; i < 2; i++) await world.pass(15_000);
    expect(world.stored.map(({ counters }) => counters)).deep.equal([undefined, undefined]);
    expect(world.scraper.keptBytes).equal(0);
  });

  it("without a hold it asks nobody, and after one it begins anew", async () => {
    const world = new World();
    await world.pass(15_000);
    world.hold = undefined;
    await world.pass(60_000);
    expect([world.asked.length, world.scraper.state.isWaiting, world.scraper.keptBytes]).deep.equal([1, true, 0]);
    world.hold = { sinceMs: 1 };
    await world.pass(500);
    expect(world.asked.length).equal(2);
    await world.pass(15_000);
    expect(world.bodies.map(([before]) => before)).deep.equal([undefined, undefined, "profile"]);
  });

  it("an answer that came after the hold ended is dropped, and so is one under another hold", async () => {
    for (const after of [undefined, { sinceMs: 1 }]) {
      const world = new World();
      world.answer = () => {
        world.hold = after;
        return Promise.resolve(reply("profile"));
      };
      await world.pass(15_000);
      expect(world.stored).deep.equal([]);
      expect(world.scraper.state.lastError).match(/hold on the target ended/);
    }
  });

  it("an answer is stored only once the hold is known to have been unbroken, and what was read under a broken one is compared with nothing", async () => {
    const world = new World();
    await world.pass(15_000);
    world.wasUnbroken = false;
    await world.pass(15_000);
    expect([world.stored.length, world.scraper.state.health]).deep.equal([1, "down"]);
    expect(world.scraper.state.lastError).match(/hold on the target ended/);
    expect(await world.metrics.text()).include('outcome="lost"} 1');
    world.wasUnbroken = true;
    world.hold = { sinceMs: 3 };
    await world.pass(15_000);
    expect(world.bodies.map(([before]) => before)).deep.equal([undefined, undefined]);
  });

  it("a hold that was lost between two scrapes makes the next one a first, though the node has it again", async () => {
    const world = new World();
    await world.pass(15_000);
    world.hold = { sinceMs: 2 };
    await world.pass(15_000);
    expect(world.bodies.map(([before]) => before)).deep.equal([undefined, undefined]);
  });

  it("what could not be stored is sent again as it is, and given up after an interval; the next difference begins behind it", async () => {
    const world = new World();
    let count = 0;
    world.answer = () => Promise.resolve(reply(`profile ${++count}`));
    await world.pass(15_000);
    world.store = () => Promise.reject(unavailable("NOT_TAKING_WRITES", "the disk is full"));
    for (let i = 0; i < 80 && world.scraper.state.health !== "down"; i++) await world.pass(500);
    const tries = world.bodies.slice(1);
    expect(tries.length).within(3, 8);
    for (const [before, body] of tries) expect([before, body]).deep.equal(["profile 1", "profile 2"]);
    expect(world.scraper.state).include({ health: "down", lastError: "the disk is full (what the program answered is lost)" });
    world.store = () => Promise.resolve();
    for (let i = 0; i < 80 && world.scraper.state.health === "down"; i++) await world.pass(500);
    expect(world.bodies.at(-1)).deep.equal(["profile 2", "profile 3"]);
  });

  const LIMITED = new NothingStored(new CodedError({ code: "RATE_LIMITED", kind: "resource_exhausted", message: "over ingestion_rate_mb" }), { isAnswerAtFault: false });
  const OVERLOADED = new NothingStored(unavailable("OVERLOADED", "this node works on 100 pushes"), { isAnswerAtFault: false });
  const NO_PROFILE = new NothingStored(new CodedError({ code: "PROFILE_MALFORMED", kind: "invalid_argument", message: "the body is no pprof" }), { isAnswerAtFault: true });

  /** Answers are `profile 1`, `profile 2`, ... */
  function numbered(target?: ScrapeTarget): World {
    const world = new World(target);
    let count = 0;
    world.answer = () => Promise.resolve(reply(`profile ${++count}`));
    return world;
  }

  for (const [name, error] of [["a rate limit", LIMITED], ["an overload", OVERLOADED]] as const) {
    it(`a scrape that ${name} refuses loses no cumulative value: the next difference covers both`, async () => {
      const world = numbered();
      await world.pass(15_000);
      world.store = () => Promise.reject(error);
      while (!world.scraper.state.lastError) await world.pass(500);
      expect(world.scraper.state.lastError).match(/\(its cumulative values are not lost: the next scrape covers them\)$/);
      world.store = () => Promise.resolve();
      while (world.scraper.state.lastError) await world.pass(500);
      expect([world.bodies.at(-1)![0], Number(world.bodies.at(-1)![1].slice(8))]).deep.equal(["profile 1", 3]);
      await world.pass(15_000);
      expect(world.bodies.at(-1)).deep.equal(["profile 3", "profile 4"]);
      expect([world.keptBytes, world.scraper.keptBytes]).deep.equal([9, 9]);
      expect(await world.metrics.text()).include('pyromesh_scrapes_total{job="app",outcome="postponed"} 1');
    });
  }

  it("one that was refused after a try of which nobody knows the end: the next difference begins behind it", async () => {
    const world = numbered();
    await world.pass(15_000);
    world.store = () => Promise.reject(world.stored.length === 2 ? unavailable("NOT_ENOUGH_ACKS", "one store of two has answered") : OVERLOADED);
    while (!world.scraper.state.lastError) await world.pass(500);
    expect(world.scraper.state.lastError).match(/is lost\)$/);
    world.store = () => Promise.resolve();
    while (world.scraper.state.lastError) await world.pass(500);
    expect(world.bodies.at(-1)).deep.equal(["profile 2", "profile 3"]);
  });

  it("a limit that refuses for longer than ten minutes loses what was before: a difference of hours would be shown as of one moment", async () => {
    const world = numbered();
    await world.pass(15_000);
    world.store = () => Promise.reject(LIMITED);
    for (let i = 0; i < 41; i++) await world.pass(15_000);
    expect([world.bodies.at(-2)![0], world.scraper.state.lastError]).deep.equal(["profile 1", "over ingestion_rate_mb (what the program answered is lost)"]);
    world.store = () => Promise.resolve();
    await world.pass(15_000);
    expect(world.bodies.at(-1)).deep.equal(["profile 42", "profile 43"]);
  });

  it("of a program that measured when it was asked, what a limit refuses is lost, and said to be", async () => {
    const world = numbered(targetOf({ isCumulative: false }));
    world.store = () => Promise.reject(LIMITED);
    await world.pass(15_000);
    expect(world.scraper.state).include({ health: "down", lastError: "over ingestion_rate_mb (what the program answered is lost)" });
    expect(await world.metrics.text()).include('pyromesh_scrapes_total{job="app",outcome="lost"} 1');
  });

  it("an answer that is no profile is nothing to compare the next one with", async () => {
    const world = numbered();
    await world.pass(15_000);
    world.store = () => Promise.reject(NO_PROFILE);
    await world.pass(15_000);
    world.store = () => Promise.resolve();
    await world.pass(15_000);
    expect(world.bodies.at(-1)).deep.equal(["profile 1", "profile 3"]);
  });

  it("nor is it where it came first, and a limit had refused it before anybody read it", async () => {
    const world = numbered();
    world.store = () => Promise.reject(LIMITED);
    await world.pass(15_000);
    world.store = () => Promise.reject(NO_PROFILE); // as it is said of a difference to it
    await world.pass(15_000);
    world.store = () => Promise.resolve();
    await world.pass(15_000);
    expect(world.bodies).deep.equal([[undefined, "profile 1"], ["profile 1", "profile 2"], [undefined, "profile 3"]]);
  });

  // It was kept for as long as the hold lasted, and no answer could be stored any more.
  it("nor is one that was stored, where a limit that was lowered since refuses it again and again: after ten minutes the next one is a first", async () => {
    const world = numbered();
    await world.pass(15_000);
    world.store = () => (world.bodies.at(-1)![0] === "profile 1" ? Promise.reject(NO_PROFILE) : Promise.resolve());
    for (let i = 0; i < 43; i++) await world.pass(15_000);
    expect(world.bodies.slice(-3)).deep.equal([["profile 1", "profile 42"], [undefined, "profile 43"], ["profile 43", "profile 44"]]);
    expect(world.scraper.state.health).equal("up");
  });

  it("a refusal is not sent again", async () => {
    const world = new World();
    world.store = () => Promise.reject(new CodedError({ code: "PROFILE_MALFORMED", kind: "invalid_argument", message: "no pprof" }));
    for (let i = 0; i < 40; i++) await world.pass(500);
    expect([world.stored.length <= 2, world.scraper.state.lastError]).deep.equal([true, "no pprof (what the program answered is lost)"]);
  });

  it("says what went wrong: status, size, time, silence, encoding, memory", async () => {
    const cases: [(world: World) => void, RegExp][] = [
      [(world) => (world.answer = () => Promise.resolve(reply("404 page\n not found", { status: 404 }))), /status 404: 404 page not found$/],
      [(world) => (world.answer = () => Promise.resolve(reply("x".repeat(1_001)))), /longer than 1000 bytes \(body_size_limit of job app\)/],
      [(world) => (world.answer = (get) => new Promise((_, reject) => get.signal.addEventListener("abort", () => reject(new Error("aborted"))))), /not answered within 10 s \(scrape_timeout\)/],
      [(world) => (world.answer = () => Promise.reject(new Error("connection refused"))), /connection refused/],
      [(world) => (world.answer = () => Promise.resolve(reply(""))), /answered with nothing/],
      [(world) => (world.answer = () => Promise.resolve(reply("x", { headers: { "content-encoding": "gzip" } }))), /content encoding "gzip"/],
      [(world) => (world.mayTake = false), /all memory that scraping has/],
    ];
    for (const [prepare, expected] of cases) {
      const world = new World();
      prepare(world);
      await world.pass(15_000);
      await world.pass(10_000);
      expect(world.scraper.state.lastError).match(expected);
      expect(world.stored).deep.equal([]);
    }
  });

  it("a program that measures when it is asked is asked again as soon as it has answered", async () => {
    const world = new World({ ...targetOf({ delta: true, isCumulative: false }), timeoutMs: 25_000 });
    world.answer = async () => {
      await world.clock.sleep(15_200);
      return reply("profile");
    };
    for (let i = 0; i < 1_000; i++) await world.pass(100);
    expect(world.stored.length).within(5, 6);
    expect(world.asked.length - world.stored.length).equal(1);
  });

  it("a target that is not answered in time waits for its turn among its like, and keeps those that answer from nothing", async () => {
    const world = new World();
    const silent = (get: HttpGet): Promise<HttpReply> => new Promise((_, reject) => get.signal.addEventListener("abort", () => reject(new Error("aborted"))));
    world.answer = silent;
    await world.pass(15_000);
    await world.pass(10_000);
    expect(world.scraper.state.lastError).match(/scrape_timeout/);
    let isDone = false;
    void world.turns.silent.run(new AbortController().signal, () => world.clock.sleep(30_000).then(() => void (isDone = true)));
    await world.pass(15_000);
    expect([isDone, world.asked.length], "it waits behind another silent one").deep.equal([false, 1]);
    let isPassed = false;
    void world.turns.quick.run(new AbortController().signal, async () => void (isPassed = true));
    await world.pass(15_000);
    expect([isPassed, world.asked.length]).deep.equal([true, 2]);
    world.answer = () => Promise.resolve(reply("profile"));
    for (let i = 0; i < 100 && world.scraper.state.health !== "up"; i++) await world.pass(500);
    expect(world.scraper.state.health).equal("up");
  });

  it("a target that cannot be reached is down, whatever is said of it", async () => {
    const world = new World();
    world.answer = () => Promise.reject(new AggregateError([new Error("connect ECONNREFUSED ::1:6060"), new Error("connect ECONNREFUSED 127.0.0.1:6060")], ""));
    await world.pass(15_000);
    expect(world.scraper.state).include({ health: "down", lastError: "connect ECONNREFUSED ::1:6060; connect ECONNREFUSED 127.0.0.1:6060" });
  });

  it("a hold that ends while a scrape waits for its turn: the program is not asked", async () => {
    const world = new World(targetOf({ isCumulative: false }));
    void world.turns.quick.run(new AbortController().signal, () => world.clock.sleep(20_000));
    await world.pass(15_000);
    world.hold = undefined;
    await world.pass(5_000);
    expect(world.asked.length).equal(0);
    expect(world.scraper.state).include({ health: "down", lastError: "this node's hold on the target ended while the scrape waited for its turn: the program was not asked" });
    expect(await world.metrics.text()).include('pyromesh_scrapes_total{job="app",outcome="failed"} 1');
  });

  // Its answer was kept after all was given back, and its bytes were counted for as long as the process ran: with each job that was replaced less was left for the others.
  it("a target that goes while others are asked whether its hold was unbroken stores nothing, and keeps nothing", async () => {
    const world = new World();
    let confirm!: () => void; // set by the promise, at once
    world.confirmed = new Promise((resolve) => (confirm = resolve));
    await world.pass(15_000);
    world.scraper.stop();
    confirm();
    await world.pass(0);
    expect([world.asked.length, world.stored.length, world.keptBytes]).deep.equal([1, 0, 0]);
  });

  it("a target that goes is asked no more, and its request ends", async () => {
    const world = new World();
    let isEnded = false;
    world.answer = (get) => new Promise((_, reject) => get.signal.addEventListener("abort", () => ((isEnded = true), reject(new Error("aborted")))));
    await world.pass(15_000);
    world.scraper.stop();
    await world.pass(60_000);
    expect([isEnded, world.asked.length, world.clock.timerCount]).deep.equal([true, 1, 0]);
  });
});
