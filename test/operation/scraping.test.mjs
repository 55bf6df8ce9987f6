/** Three members share out the programs that they scrape: real processes, and programs that know who asked them and what they have counted. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { freePorts } from "../harness/free-ports.mjs";
import { call, freshDataDir, spawnNode, untilReady } from "../harness/node-process.mjs";
import { ScrapedProgram } from "../harness/scraped-program.mjs";

const NAMES = ["node-0", "node-1", "node-2"];
/** Ports are drawn, and with them the owners: mostly each member has some. The one that is killed is the owner of the first program. */
const PROGRAM_COUNT = 6;

describe("scraping by three members", function () {
  this.timeout(120_000);
  let data;
  let programs;
  let nodes;

  before(async () => {
    data = freshDataDir();
    programs = await Promise.all(Array.from({ length: PROGRAM_COUNT }, () => ScrapedProgram.start()));
    writeFileSync(path.join(data.dir, "secret"), "0123456789abcdef\n");
    const ports = await freePorts(3);
    nodes = await Promise.all(NAMES.map((name, index) => start(name, ports, index)));
    await Promise.all(nodes.map(untilReady));
  });
  after(async () => {
    await Promise.all((nodes ?? []).map((node) => node.kill()));
    await Promise.all((programs ?? []).map((program) => program.stop()));
    data?.remove();
  });

  /** The members differ in the user name alone, which is no part of what a target is. */
  function start(name, ports, index) {
    const file = path.join(data.dir, `${name}.yaml`);
    const profiles = ["process_cpu", "goroutine", "block", "mutex"].map((profile) => `${profile}: {enabled: false}`).join(", ");
    const targets = programs.map(({ address }, program) => `{targets: ["${address}"], labels: {service_name: program-${program}}}`).join(", ");
    writeFileSync(file, `scrape_configs:\n  - job_name: programs\n    scrape_interval: 1s\n    basic_auth: {username: ${name}, password: x}\n    profiling_config: {pprof_config: {memory: {enabled: true}, ${profiles}}}\n    static_configs: [${targets}]\n`);
    const settings = {
      config: file,
      "node-name": name,
      "cluster-name": "test",
      "cluster-addr": `127.0.0.1:${ports + index}`,
      "cluster-secret-file": path.join(data.dir, "secret"),
      bucket: `file://${path.join(data.dir, "bucket")}`,
      join: NAMES.map((_, other) => `127.0.0.1:${ports + other}`).join(","),
    };
    return spawnNode({ dataDir: path.join(data.dir, name), flags: Object.entries(settings).flatMap(([setting, value]) => [`--${setting}`, value]) });
  }

  /** What is stored of a program's allocations. */
  async function stored(node, program) {
    const { status, body } = await call(node, "querier.v1.QuerierService/SelectMergeStacktraces", {
      profileTypeID: "memory:alloc_space:bytes:space:bytes",
      labelSelector: `{service_name="program-${program}"}`,
      start: String(Date.now() - 3_600_000),
      end: String(Date.now() + 3_600_000),
    });
    expect(status, JSON.stringify(body)).to.equal(200);
    return Number(body.flamegraph?.total ?? 0);
  }

  /** What `/api/v1/targets` of a node says: program by program, who scrapes it and how it is. */
  async function shown(node) {
    const { data: { activeTargets } } = await (await fetch(`${node.url}/api/v1/targets`)).json();
    const byUrl = new Map(activeTargets.map((target) => [new URL(target.scrapeUrl).host, target]));
    return programs.map(({ address }) => byUrl.get(address));
  }

  it("each program is asked by one of them, and what is stored is what it allocated between two of its answers", async () => {
    await Promise.all(programs.map((program) => program.until((answers) => answers.length >= 3)));
    for (const node of nodes) {
      for (const [index, target] of (await shown(node)).entries()) {
        expect(programs[index].askers, `program ${index}`).to.deep.equal([target.member]);
        expect(target.health).to.equal(target.member === NAMES[nodes.indexOf(node)] ? "up" : "unknown");
      }
    }
    for (const [index, program] of programs.entries()) {
      const sum = await stored(nodes[0], index);
      const rises = program.answers.map(({ bytes }) => bytes - program.answers[0].bytes);
      expect(rises.slice(1), `program ${index}: ${rises}`).to.include(sum);
    }
  });

  it("one is killed: others take over its programs, begin at their first answer, and nothing is counted twice", async () => {
    const killed = programs[0].askers[0];
    const left = nodes[NAMES.indexOf(killed) === 0 ? 1 : 0];
    const isMoved = programs.map(({ askers }) => askers[0] === killed);
    await nodes[NAMES.indexOf(killed)].kill();
    await Promise.all(programs.map((program, index) => program.until((answers) => !isMoved[index] || answers.filter((_, at) => at > answers.findLastIndex(({ asker }) => asker === killed)).length >= 3)));
    for (const [index, program] of programs.entries()) {
      const { askers } = program;
      expect(askers, `program ${index}`).to.have.length(isMoved[index] ? 2 : 1);
      expect((await shown(left))[index].member).to.equal(askers.at(-1));
      const least = rise(program.runs, -2);
      const sum = await stored(left, index);
      // The last answer to each member may not be stored: to the one that was killed, and one that is being stored now.
      expect(sum, `program ${index}: ${JSON.stringify(program.runs)}`).within(least, rise(program.runs, -1));
    }
  });
});

/** From the first answer of each run to the one at `last`. */
function rise(runs, last) {
  return runs.reduce((sum, run) => sum + run.at(last).bytes - run[0].bytes, 0);
}
