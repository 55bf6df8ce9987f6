/**
 * A Go program that is scraped over net/http/pprof, and pushes the same with pyroscope-go, to one node: both are the same within 5 %, in total and by function. It needs
 * Go, and the modules of go/go.mod (`go mod download` there).
 *
 * PYROMESH_GO_SECONDS=300 is as long as issue 17 asks for: then with the intervals that both have by themselves, 15 s, and with three nodes besides, which share the
 * program's profiles out.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { freePorts } from "../harness/free-ports.mjs";
import { call, freshDataDir, spawnNode, untilReady } from "../harness/node-process.mjs";

const SOURCE = fileURLToPath(new URL("go", import.meta.url));
const LONG_S = Number(process.env["PYROMESH_GO_SECONDS"] ?? 0);
const WORK_S = LONG_S || 30;
const INTERVAL_S = LONG_S > 0 ? 15 : 8;
/** The program waits for an interval and 4 s before its work and after it. The work takes longer where the CPU is busy with something else. */
const RUN_TIMEOUT_MS = (2 * WORK_S + 2 * INTERVAL_S + 70) * 1000;
const PUSHED = "pushed";
const SCRAPED = "scraped";
const PATHS = ["profile", "allocs", "goroutine", "block", "mutex"];
const NODE_COUNTS = LONG_S > 0 ? [1, 3] : [1];

/**
 * Values of cumulative profiles and CPU times are summed. A state (`isState`: memory in use, goroutines) is whole in each profile: the mean of the profiles is compared. What was measured for an interval (`isMeasured`) has the
 * time when that began, which may be before the work did; all else has the time when it ended. `functions`: of the program's work. `isOfMoment`: much of
 * the total is what the profilers do themselves, at other moments or before and after the work; in five minutes that is little.
 */
const TYPES = [
  { id: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", functions: ["burnHalf", "burnQuarter"], isMeasured: true },
  { id: "memory:alloc_space:bytes:space:bytes", functions: ["allocate"] },
  { id: "memory:alloc_objects:count:space:bytes", functions: ["allocate"], isOfMoment: true },
  { id: "memory:inuse_space:bytes:space:bytes", functions: ["keep"], isState: true },
  { id: "memory:inuse_objects:count:space:bytes", functions: ["keep"], isState: true },
  { id: "mutex:contentions:count:contentions:count", functions: ["contend"] },
  { id: "mutex:delay:nanoseconds:contentions:count", functions: ["contend"] },
  { id: "block:contentions:count:contentions:count", functions: ["contend", "wait"] },
  { id: "block:delay:nanoseconds:contentions:count", functions: ["contend", "wait"], isOfMoment: true },
  { id: "goroutine:goroutine:count:goroutine:count", functions: ["park"], isState: true },
];

/** Of the program: made once. */
let build;

for (const nodeCount of NODE_COUNTS) {
  describe(`a Go program that is scraped and pushes, ${nodeCount === 1 ? "one node" : `${nodeCount} nodes`}`, function () {
    this.timeout(RUN_TIMEOUT_MS);
    const data = freshDataDir();
    const programs = [];
    let nodes = [];
    /** Of the program that is scraped, and of the one that pushes CPU: its times, and what it did by its own clocks. */
    let work;
    let workOfPushed;

    before(async function () {
      build ??= buildProgram();
      if (build.reason !== undefined) {
        console.log(`  skipped: ${build.reason}`);
        return this.skip();
      }
      // Go has one CPU profiler a process: the first is asked for all and pushes all but CPU, the second pushes CPU.
      programs.push(...await Promise.all([[], ["-cpu"]].map((flags) => startProgram(flags))));
      nodes = await spawnNodes(programs[0].address);
      await Promise.all(nodes.map(untilReady));
      // Members of a cluster that has just started ask for nothing for some 11 s.
      await Promise.all(PATHS.map((name) => programs[0].printed(`asked /debug/pprof/${name}`)));
      for (const { child } of programs) child.stdin.write(`${nodes[0].url}\n`);
      [work, workOfPushed] = (await Promise.all(programs.map(({ printed }) => printed("done ")))).map(JSON.parse);
    });

    after(async () => {
      for (const { child } of programs) child.kill();
      await Promise.all(nodes.map((node) => node.stop()));
      data.remove();
    });

    async function spawnNodes(address) {
      const config = path.join(data.dir, "pyromesh.yaml");
      writeFileSync(config, `scrape_configs:\n  - job_name: go\n    scrape_interval: ${INTERVAL_S}s\n    static_configs: [{targets: ["${address}"], labels: {service_name: ${SCRAPED}}}]\n`);
      const names = Array.from({ length: nodeCount }, (_, index) => `node-${index}`);
      const ports = nodeCount === 1 ? 0 : await freePorts(nodeCount);
      writeFileSync(path.join(data.dir, "secret"), "0123456789abcdef\n");
      const cluster = (name, index) => ({
        "node-name": name,
        "cluster-name": "test",
        "cluster-addr": `127.0.0.1:${ports + index}`,
        "cluster-secret-file": path.join(data.dir, "secret"),
        bucket: `file://${path.join(data.dir, "bucket")}`,
        join: names.map((_, other) => `127.0.0.1:${ports + other}`).join(","),
      });
      return Promise.all(
        names.map((name, index) => {
          const settings = { config, ...(nodeCount > 1 && cluster(name, index)) };
          return spawnNode({ dataDir: path.join(data.dir, name), flags: Object.entries(settings).flatMap(([setting, value]) => [`--${setting}`, value]) });
        }),
      );
    }

    /** Of a service: the total, and that of functions with what they called. Of a state: for one profile. */
    async function stored(service, { id, isState = false, isMeasured = false }) {
      const message = { profileTypeID: id, labelSelector: `{service_name="${service}"}`, start: work.startedMs - (isMeasured ? 600_000 : 0), end: isState ? work.endedMs : work.endedMs + 600_000, maxNodes: 100_000 };
      const { status, headers, body } = await call(nodes.at(-1), "querier.v1.QuerierService/SelectMergeStacktraces", message);
      expect(status, JSON.stringify(body)).to.equal(200);
      const { names, levels, total } = body.flamegraph;
      const profileCount = isState ? Number(headers.get("x-pyromesh-records")) : 1;
      const byName = new Map();
      for (const { values } of levels) for (let i = 0; i < values.length; i += 4) byName.set(names[values[i + 3]], (byName.get(names[values[i + 3]]) ?? 0) + Number(values[i + 1]));
      return { total: Number(total) / profileCount, of: (name) => (byName.get(`main.${name}`) ?? 0) / profileCount };
    }

    for (const type of TYPES) {
      it(`${type.id.split(":").slice(0, 2).join(" ")}: what is scraped is what is pushed`, async () => {
        const [scraped, pushed] = await Promise.all([SCRAPED, PUSHED].map((service) => stored(service, type)));
        const ratios = [...(type.isOfMoment && LONG_S < 300 ? [] : [["total", scraped.total / pushed.total]]), ...type.functions.map((name) => [name, scraped.of(name) / pushed.of(name)])];
        console.log(`  ${type.id}: ${pushed.total} pushed, ${scraped.total} scraped; ${ratios.map(([name, ratio]) => `${name} ${ratio.toFixed(3)}`).join(", ")}`);
        for (const name of type.functions) expect(pushed.of(name), name).greaterThan(0);
        for (const [name, ratio] of ratios) expect(ratio, name).within(0.95, 1.05);
      });
    }

    it("CPU is what each function burnt by its own clock", async () => {
      const [scraped, pushed] = await Promise.all([SCRAPED, PUSHED].map((service) => stored(service, TYPES[0])));
      for (const name of ["burnHalf", "burnQuarter"]) {
        const ratios = { scraped: scraped.of(name) / 1e9 / work[name], pushed: pushed.of(name) / 1e9 / workOfPushed[name] };
        console.log(`  ${name}: ${work[name].toFixed(2)} s by its own clock, ${ratios.scraped.toFixed(3)} of it scraped, and ${ratios.pushed.toFixed(3)} pushed`);
        for (const [how, ratio] of Object.entries(ratios)) expect(ratio, `${name} ${how}`).within(0.95, 1.05);
      }
    });
  });
}

/** `printed` resolves with the rest of the first line that begins so. */
async function startProgram(flags) {
  const child = spawn(build.file, ["-name", PUSHED, "-interval", `${INTERVAL_S}s`, "-work", `${WORK_S}s`, ...flags], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = [];
  const output = createInterface({ input: child.stdout }).on("line", (line) => lines.push(line)).setMaxListeners(20);
  const ended = once(output, "close");
  const printed = async (words) => {
    for (;;) {
      const found = lines.find((line) => line.startsWith(words));
      if (found !== undefined) return found.slice(words.length);
      if (output.closed) throw new Error(`the program ended before it printed ${words}`);
      await Promise.race([once(output, "line"), ended]);
    }
  };
  return { child, printed, address: await printed("listening ") };
}

function buildProgram() {
  const folder = mkdtempSync(path.join(tmpdir(), "pyromesh-go-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, "known-work");
  const env = { ...process.env, GOPROXY: "off", GOFLAGS: "-mod=readonly -buildvcs=false", GOTOOLCHAIN: "local" };
  const { status, error, stderr } = spawnSync("go", ["build", "-o", file, "."], { cwd: SOURCE, env, encoding: "utf8" });
  if (error !== undefined) return { reason: "there is no Go" };
  return status === 0 ? { file } : { reason: `the Go program cannot be built, as where its modules were not downloaded (go mod download, in test/operation/go): ${stderr.split("\n", 1)[0]}` };
}
