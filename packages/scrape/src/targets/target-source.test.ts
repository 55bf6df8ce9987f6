import { expect } from "chai";
import { scrapeConfigs } from "../config/read-scrape-configs.ts";
import type { TargetSource } from "../target.ts";
import { DiscoveryWorld } from "../testing/discovery-world.ts";
import { DROPPED_MAX } from "./job-targets.ts";
import { targetSource } from "./target-source.ts";

const job = (name: string, more: object) => ({ job_name: name, profiling_config: { pprof_config: Object.fromEntries(["block", "goroutine", "mutex", "process_cpu"].map((profile) => [profile, { enabled: false }])) }, ...more });
const STATIC = job("static", { static_configs: [{ targets: ["a:1"] }] });
const FILE = job("file", { file_sd_configs: [{ files: ["/t.json"] }] });

async function started(jobs: readonly unknown[], world: DiscoveryWorld = new DiscoveryWorld()) {
  const source = targetSource(scrapeConfigs(jobs), world);
  let changes = 0;
  source.onChange(() => changes++);
  await source.start();
  await world.settle();
  return { source, world, changeCount: () => changes };
}

const urlsOf = (source: TargetSource): string[] => source.targets.map(({ url }) => url.replace("/debug/pprof/allocs", ""));

describe("target source", () => {
  it("has static targets at once, and others once discovery has told them", async () => {
    const world = new DiscoveryWorld();
    world.write("/t.json", '[{"targets": ["b:1"]}]');
    const { source, changeCount } = await started([STATIC, FILE], world);
    expect([urlsOf(source), changeCount()]).to.deep.equal([["http://a:1"], 1]);
    await world.advance(1000);
    expect([urlsOf(source).sort(), changeCount()]).to.deep.equal([["http://a:1", "http://b:1"], 2]);
    source.stop();
    expect(world.clock.timerCount).to.equal(0);
  });

  it("names the sources that fail, with the job, since when, until they answer or the job is gone", async () => {
    const broken = job("broken", { file_sd_configs: [{ files: ["/broken.json"] }] });
    const world = new DiscoveryWorld();
    world.write("/broken.json", "{");
    world.write("/t.json", "{");
    const { source } = await started([FILE, broken], world);
    const firstMs = world.clock.nowMs();
    const faults = (): string[] => source.faults.map(({ jobName, mechanism, source: from, sinceMs }) => `${jobName} ${mechanism} ${from} ${sinceMs - firstMs}`);
    expect(faults()).to.deep.equal(["file file /t.json 0", "broken file /broken.json 0"]);
    world.write("/t.json", "[]");
    world.write("/broken.json", "{,");
    await world.advance(5000);
    expect(faults(), "another reason, but no right answer between").to.deep.equal(["broken file /broken.json 0"]);
    source.apply(scrapeConfigs([FILE]));
    expect(faults()).to.deep.equal([]);
  });

  it("has equal targets once, in the order of their keys", async () => {
    const { source } = await started([job("j", { static_configs: [{ targets: ["b:1", "a:1", "b:1"] }, { targets: ["a:1"] }] })]);
    expect(urlsOf(source)).to.deep.equal(["http://a:1", "http://b:1"]);
  });

  it("keeps a target as the same object while others come and go", async () => {
    const world = new DiscoveryWorld();
    world.write("/t.json", '[{"targets": ["b:1"]}]');
    const { source } = await started([STATIC, FILE], world);
    await world.advance(1000);
    const before = new Map(source.targets.map((target) => [target.url, target]));
    world.write("/t.json", '[{"targets": ["c:1"]}]');
    await world.advance(5000);
    await world.advance(1000);
    expect(urlsOf(source).sort()).to.deep.equal(["http://a:1", "http://c:1"]);
    expect(source.targets.find(({ url }) => url.includes("//a:1"))).to.equal(before.get("http://a:1/debug/pprof/allocs"));
  });

  it("takes over other jobs, and keeps what an unchanged one has discovered", async () => {
    const world = new DiscoveryWorld();
    world.write("/t.json", '[{"targets": ["b:1"]}]');
    const { source, changeCount } = await started([STATIC, FILE], world);
    await world.advance(1000);
    world.disk.clear();
    source.apply(scrapeConfigs([job("new", { static_configs: [{ targets: ["n:1"] }] }), FILE]));
    await world.settle();
    expect(urlsOf(source).sort()).to.deep.equal(["http://b:1", "http://n:1"]);
    source.apply(scrapeConfigs([job("new", { static_configs: [{ targets: ["n:1"] }] }), FILE]));
    await world.settle();
    expect(changeCount()).to.equal(3);
    source.apply([]);
    await world.settle();
    expect([urlsOf(source), world.clock.timerCount]).to.deep.equal([[], 0]);
  });

  it("shows dropped targets up to a bound, and counts all", async () => {
    const targets = Array.from({ length: DROPPED_MAX + 5 }, (_, index) => `a:${index + 1}`);
    const { source, world } = await started([job("j", { static_configs: [{ targets }], relabel_configs: [{ action: "drop" }] })]);
    expect(source.dropped).to.have.lengthOf(DROPPED_MAX);
    expect(source.droppedCounts).to.deep.equal({ j: DROPPED_MAX + 5 });
    expect(await world.metrics.text()).to.include(`pyromesh_scrape_discovered_targets{job="j",state="dropped"} ${DROPPED_MAX + 5}`);
    source.apply([]);
    expect(await world.metrics.text()).to.not.include('job="j"');
  });
});
