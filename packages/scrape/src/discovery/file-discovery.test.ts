import { expect } from "chai";
import { DiscoveryWorld } from "../testing/discovery-world.ts";
import { fileDiscovery, matchesName } from "./file-discovery.ts";

const CONFIG = { kind: "file", files: ["/t/*.yml", "/one.json"], refreshIntervalMs: 60_000 } as const;

async function started(write: (world: DiscoveryWorld) => void) {
  const world = new DiscoveryWorld();
  write(world);
  const discovery = fileDiscovery(CONFIG, world);
  discovery.start((groups) => world.told.push(groups));
  await world.settle();
  return { world, discovery };
}

describe("file discovery", () => {
  it("reads JSON and YAML, and labels targets with their file", async () => {
    const { world, discovery } = await started(({ disk }) => {
      disk.set("/t/a.yml", { text: "- targets: [a:1, a:2]\n  labels: {env: prod, n: 1}\n- targets: []\n", modifiedMs: 1 });
      disk.set("/one.json", { text: '[{"targets": ["b:1"]}]', modifiedMs: 1 });
      disk.set("/t/b.txt", { text: "no", modifiedMs: 1 });
    });
    expect(world.addresses()).to.deep.equal(["a:1", "a:2", "b:1"]);
    expect(world.told[0]!.find(({ targets }) => targets.length === 2)!.labels).to.deep.equal({ env: "prod", n: "1", __meta_filepath: "/t/a.yml" });
    discovery.stop();
    expect(world.clock.timerCount).to.equal(0);
  });

  it("reads a file again when it has changed, and not before", async () => {
    const { world } = await started((one) => {
      one.write("/one.json", "[]");
      one.write("/t/a.yml", "- targets: [a:1]");
    });
    await world.advance(5000);
    await world.advance(5000);
    expect(world.readFiles).to.have.lengthOf(2);
    world.write("/t/a.yml", "- targets: [a:2]");
    await world.advance(5000);
    expect(world.addresses()).to.deep.equal(["a:2"]);
    expect(world.readFiles).to.have.lengthOf(3);
  });

  it("reads every file again at the refresh interval, since a clock may stand still, and tells nothing where nothing changed", async () => {
    const { world } = await started((one) => {
      one.write("/one.json", "[]");
      one.write("/t/a.yml", "- targets: [a:1]");
    });
    for (let passedMs = 0; passedMs < 60_000; passedMs += 5000) await world.advance(5000);
    expect(world.readFiles).to.have.lengthOf(4);
    expect(world.told).to.have.lengthOf(1);
  });

  it("keeps the last good groups of a broken file, says so once, and says when it is good again", async () => {
    const { world } = await started((one) => {
      one.write("/one.json", '[{"targets": ["b:1"]}]');
      one.write("/t/a.yml", "- targets: [a:1]");
    });
    await world.advance(5000);
    world.write("/t/a.yml", "- targets: [a:1, http://x]");
    world.write("/one.json", '[{"targets": ["b:2"]}]');
    await world.advance(5000);
    await world.advance(5000);
    expect(world.addresses()).to.deep.equal(["a:1", "b:2"]);
    const warned = world.logged.filter((line) => line.startsWith("warn"));
    expect(warned).to.have.lengthOf(1);
    expect(warned[0]).to.include("/t/a.yml: entry 0.targets").and.include("is a URL");
    expect(world.failed).to.have.lengthOf(2);
    world.write("/t/a.yml", "- targets: [a:3]");
    await world.advance(5000);
    expect(world.addresses()).to.deep.equal(["a:3", "b:2"]);
    expect(world.logged.at(-1)).to.include("info: discovery works again");
  });

  it("forgets the targets of a file that is gone, and keeps those of a named file that cannot be found", async () => {
    const { world } = await started((one) => {
      one.write("/one.json", '[{"targets": ["b:1"]}]');
      one.write("/t/a.yml", "- targets: [a:1]");
    });
    world.disk.clear();
    await world.advance(5000);
    expect(world.addresses()).to.deep.equal(["b:1"]);
    expect(world.logged.at(-1)).to.include("/one.json is not there");
  });
});

describe("file pattern", () => {
  it("has * for any characters, and not for a dot in front", () => {
    for (const [name, pattern] of [["a.yml", "*.yml"], ["a.yml", "a*"], ["abc.yml", "a*c*.yml"], ["a.yml", "a.yml"], ["aa", "a*a"]] as const) expect(matchesName(name, pattern), `${name} ${pattern}`).to.equal(true);
    for (const [name, pattern] of [[".a.yml", "*.yml"], ["a.yaml", "*.yml"], ["a", "a*a"], ["acb", "a*bc*"]] as const) expect(matchesName(name, pattern), `${name} ${pattern}`).to.equal(false);
  });
});
