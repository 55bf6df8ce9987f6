import { Metrics, parseTenantId } from "@pyromesh/base";
import type { LogFields, Logger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import type { Config } from "./config.ts";
import { limitsFor } from "./limits.ts";
import { LiveLimits } from "./live-limits.ts";
import { loadConfig } from "./load-config.ts";
import { printRuntimeConfig } from "./print-config.ts";

const MB = 2 ** 20;
const TEAM = parseTenantId("team-a");
const OTHER = parseTenantId("team-b");

/** A file that can be changed, taken away and broken, and what is logged about it. */
class World {
  text: string | Error = "overrides:\n  team-a:\n    ingestion_rate_mb: 16\n";
  readCount = 0;
  readonly logged: string[] = [];
  readonly clock: ManualClock = new ManualClock();
  readonly metrics: Metrics = new Metrics();
  readonly live: LiveLimits;
  readonly jobs: string[][] = [];

  constructor(flags: Readonly<Record<string, string>> = {}) {
    const given = new Map(Object.entries({ config: "pyromesh.yaml", ...flags }).map(([key, value]) => [key, [value]]));
    const load = (text: string): Config => loadConfig({ flags: given, env: {}, readFile: () => text });
    const log = (level: string) => (message: string, fields?: LogFields): void => void this.logged.push(`${level}: ${message} ${JSON.stringify(fields ?? {})}`);
    const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error"), with: () => logger };
    const readFile = async (): Promise<string> => {
      this.readCount++;
      if (this.text instanceof Error) throw this.text;
      return this.text;
    };
    this.live = new LiveLimits(load(this.text as string), { clock: this.clock, logger, metrics: this.metrics, readFile, load, onConfig: ({ scrapeConfigs }) => this.jobs.push(scrapeConfigs.map(({ jobName }) => jobName)) });
  }

  /** Changed text is taken over when it is read a second time. */
  async reload(): Promise<void> {
    await this.live.reload();
    await this.live.reload();
  }

  rateMb(tenant = TEAM): number {
    return limitsFor(this.live.inForce, tenant).ingestionRateBytesPerSecond / MB;
  }

  async isLastGood(): Promise<string | undefined> {
    return (await this.metrics.text()).split("\n").find((line) => line.startsWith("pyromesh_runtime_config_last_reload_successful "))?.at(-1);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("live limits", () => {
  it("jobs that are scraped are told with each configuration that is taken over, and with no other", async () => {
    const world = new World();
    world.text = "scrape_configs:\n  - job_name: app\n    static_configs: [{targets: [a:1]}]\n";
    await world.reload();
    world.text = "scrape_configs:\n  - job_name: app\n";
    await world.reload();
    expect(world.jobs).to.deep.equal([["app"]]);
  });

  it("an override that is added, changed or taken out takes hold at the next reading", async () => {
    const world = new World();
    expect([world.rateMb(), world.rateMb(OTHER)]).to.deep.equal([16, 4]);
    world.text = "overrides:\n  team-a:\n    ingestion_rate_mb: 32\n  team-b:\n    ingestion_rate_mb: 1\n";
    await world.reload();
    expect([world.rateMb(), world.rateMb(OTHER)]).to.deep.equal([32, 1]);
    world.text = "overrides:\n";
    await world.reload();
    expect([world.rateMb(), world.rateMb(OTHER)]).to.deep.equal([4, 4]);
    expect(world.logged).to.deep.equal([]);
  });

  it("common limits too, below flags as at the start", async () => {
    const world = new World({ "limits.max_label_names_per_series": "40" });
    world.text = "limits:\n  ingestion_rate_mb: 9\n  max_label_names_per_series: 50\n";
    await world.reload();
    expect(world.rateMb()).to.equal(9);
    expect(world.live.inForce.limits.labelCountMax).to.equal(40);
  });

  it("a broken file changes nothing, is logged once, and is shown until it is repaired", async () => {
    const world = new World();
    expect(await world.isLastGood()).to.equal("1");
    world.text = "overrides:\n  team-a:\n    ingestion_rate_mb: 99\n  team-b:\n    ingestion_rate_mbs: 1\n";
    for (let i = 0; i < 3; i++) await world.reload();
    expect([world.rateMb(), world.rateMb(OTHER)]).to.deep.equal([16, 4]);
    expect(await world.isLastGood()).to.equal("0");
    expect(world.logged).to.have.lengthOf(1);
    expect(world.logged[0]).to.match(/^error: .*pyromesh\.yaml:5:5: unknown limit ingestion_rate_mbs \(did you mean ingestion_rate_mb\?\)/);
    world.text = "overrides:\n  team-a:\n    ingestion_rate_mb: 17\n";
    await world.reload();
    expect([world.rateMb(), await world.isLastGood()]).to.deep.equal([17, "1"]);
    expect(world.logged.slice(1).map((line) => line.slice(0, 38))).to.deep.equal(["info: the configuration file is good a"]);
  });

  it("a file that is gone keeps the limits; back with the same text it is good again", async () => {
    const world = new World();
    const { text } = world;
    await world.reload();
    world.text = new Error("ENOENT: no such file");
    for (let i = 0; i < 3; i++) await world.reload();
    expect([world.rateMb(), await world.isLastGood(), world.logged.length]).to.deep.equal([16, "0", 1]);
    world.text = text;
    await world.reload();
    expect([world.rateMb(), await world.isLastGood(), world.logged.length]).to.deep.equal([16, "1", 2]);
  });

  it("a broken file turned back to what it was is good again", async () => {
    const world = new World();
    const { text } = world;
    await world.reload();
    world.text = "overrides: [";
    await world.reload();
    world.text = text;
    await world.reload();
    expect([world.rateMb(), await world.isLastGood()]).to.deep.equal([16, "1"]);
  });

  it("a file that is being written is left alone until it reads the same twice", async () => {
    const world = new World();
    await world.reload();
    for (const half of ["", "overrides:\n", "overrides:\n  team-a:\n    ingestion_rate_mb: 1"]) {
      world.text = half;
      await world.live.reload();
      expect(world.rateMb(), JSON.stringify(half)).to.equal(16);
    }
    world.text = "overrides:\n  team-a:\n    ingestion_rate_mb: 18\n";
    await world.reload();
    expect(world.rateMb()).to.equal(18);
  });

  it("other settings wait for the next start, and that is said once", async () => {
    const world = new World();
    world.text = "flush_interval: 5s\nlimits:\n  ingestion_rate_mb: 9\n";
    await world.reload();
    world.text += "# a remark\n";
    await world.reload();
    expect(world.rateMb()).to.equal(9);
    expect(world.logged).to.have.lengthOf(1);
    expect(world.logged[0]).to.match(/^warn: .*"settings":"flush_interval"/);
  });

  it("reads every so often until stopped; an interval of 0 reads never", async () => {
    const world = new World({ config_reload_interval: "30s" });
    world.live.start();
    const after = async (delayMs: number): Promise<number> => {
      world.clock.advance(delayMs);
      await turn();
      return world.readCount;
    };
    expect([await after(29_999), await after(1), await after(499), await after(1)], "read, and again as it was never read before").to.deep.equal([0, 1, 1, 2]);
    expect([await after(29_999), await after(1), await after(30_000)], "unchanged").to.deep.equal([2, 3, 4]);
    world.text = "overrides:\n  team-a:\n    ingestion_rate_mb: 5\n";
    expect([await after(30_000), world.rateMb(), await after(500), world.rateMb()]).to.deep.equal([5, 16, 6, 5]);
    world.live.stop();
    expect(await after(300_000)).to.equal(6);

    const never = new World({ config_reload_interval: "0" });
    never.live.start();
    never.clock.advance(3_600_000);
    await turn();
    expect(never.readCount).to.equal(0);
  });

  it("is printed complete, or as what differs", async () => {
    const { inForce } = new World().live;
    expect(printRuntimeConfig(inForce, "diff")).to.equal("overrides:\n  team-a:\n    ingestion_rate_mb: 16\n");
    const full = printRuntimeConfig(inForce, "full");
    expect(full).to.match(/^overrides:\n  team-a:\n    ingestion_rate_mb: 16\n    ingestion_burst_size_mb: 8\n/);
    expect(full).to.include("    max_global_series_per_tenant: 5000\n");
    expect(printRuntimeConfig({ limits: inForce.limits, overrides: new Map() }, "full")).to.equal("overrides: {}\n");
  });
});
