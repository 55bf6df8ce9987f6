/**
 * The Java agent as it is published, over a program of known functions, against a real node: what it sends, as JFR and as OTLP, arrives under the
 * right names, and the CPU time adds up. It needs a JDK and the agent's jar: PYROMESH_JAVA_AGENT names it, else the newest one in Maven's local
 * repository. Agents send OTLP from 2.9 on.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";

const SOURCE = fileURLToPath(new URL("java/KnownWork.java", import.meta.url));
const SERVICE = "known.work";
/** As long as issue 17 asks for. The longer, the less the start of the JVM weighs, which is before the agent's. */
const WORK_S = Number(process.env["PYROMESH_JAVA_SECONDS"] ?? 60);
const OTLP_WORK_S = WORK_S / 2;
const UPLOAD_S = 10;
/** What the agent has sampled last is sent one interval later. */
const LINGER_S = UPLOAD_S + 3;

describe("the Java agent", function () {
  this.timeout((WORK_S + LINGER_S + 60) * 1000);
  const agent = agentJar();
  let data;
  let node;
  let classes;

  before(async function () {
    if (agent === undefined || spawnSync("javac", ["-version"]).status !== 0) {
      console.log("  skipped: there is no JDK, or no jar of io.pyroscope:agent (mvn dependency:get -Dartifact=io.pyroscope:agent:2.9.2, or PYROMESH_JAVA_AGENT)");
      return this.skip();
    }
    classes = mkdtempSync(path.join(tmpdir(), "pyromesh-java-"));
    expect(spawnSync("javac", ["-d", classes, SOURCE], { encoding: "utf8" }).stderr).to.equal("");
    data = freshDataDir();
    node = await startNode({ dataDir: data.dir });
  });

  after(async () => {
    await node?.stop();
    data?.remove();
    if (classes !== undefined) rmSync(classes, { recursive: true, force: true });
  });

  /** Runs the program under the agent. Resolves with the CPU time of its process: of all, and before the program began, part of which is the JVM's start. */
  const run = async (workS, settings) => {
    const env = { ...process.env, PYROSCOPE_APPLICATION_NAME: SERVICE, PYROSCOPE_SERVER_ADDRESS: node.url, PYROSCOPE_UPLOAD_INTERVAL: `${UPLOAD_S}s`, PYROSCOPE_LABELS: "region=eu", ...settings };
    const child = spawn("java", [`-javaagent:${agent}`, "-cp", classes, "KnownWork", String(workS), String(LINGER_S)], { env, stdio: ["ignore", "pipe", "ignore"] });
    let output = "";
    child.stdout.on("data", (bytes) => (output += bytes));
    expect(await new Promise((resolve) => child.once("close", resolve))).to.equal(0);
    const seconds = (what) => Number(new RegExp(`^${what} ([\\d.]+)$`, "m").exec(output)[1]);
    return { cpuS: seconds("cpu"), beforeS: seconds("before") };
  };

  /** The sum of a profile type over all labels, and of each function with what it called. */
  const totals = async (profileTypeID, labelSelector) => {
    const now = Date.now();
    const { body } = await call(node, "querier.v1.QuerierService/SelectMergeStacktraces", { profileTypeID, labelSelector, start: now - 600_000, end: now + 60_000, maxNodes: 100_000 });
    const { names, levels, total } = body.flamegraph;
    const byName = new Map();
    for (const { values } of levels) for (let i = 0; i < values.length; i += 4) byName.set(names[values[i + 3]], (byName.get(names[values[i + 3]]) ?? 0) + Number(values[i + 1]));
    return { total: Number(total), of: (name) => byName.get(`KnownWork.${name}`) ?? 0 };
  };

  const expectBurnt = ({ total, of }) => {
    expect(of("hot") / of("warm")).to.be.within(1.5, 2.7);
    expect(of("spin") / total).greaterThan(0.5);
  };

  describe("sending JFR", () => {
    const ofAgent = `{service_name="${SERVICE}",region="eu",pyroscope_spy="javaspy",jfr_event="itimer"}`;
    let cpuS;

    before(async () => {
      ({ cpuS } = await run(WORK_S, { PYROSCOPE_FORMAT: "jfr", PYROSCOPE_PROFILER_EVENT: "itimer", PYROSCOPE_PROFILER_ALLOC: "100k", PYROSCOPE_PROFILER_LOCK: "1ms" }));
    });

    it("cpu is within 5 % of the process's own CPU time, most of it where it was burnt", async () => {
      const cpu = await totals("process_cpu:cpu:nanoseconds:cpu:nanoseconds", ofAgent);
      console.log(`  the agent sampled ${(cpu.total / 1e9).toFixed(2)} s of ${cpuS.toFixed(2)} s`);
      expect(cpu.total / 1e9).to.be.within(cpuS * 0.95, cpuS * 1.05);
      expectBurnt(cpu);
    });

    it("allocations are where they were made, in objects and bytes", async () => {
      for (const profileType of ["memory:alloc_in_new_tlab_bytes:bytes:space:bytes", "memory:alloc_in_new_tlab_objects:count:space:bytes"]) {
        const { total, of } = await totals(profileType, ofAgent);
        expect(of("allocate") / total, profileType).greaterThan(0.9);
      }
    });

    it("two threads that want one lock wait for it in turn: as long as the program worked", async () => {
      const delay = await totals("mutex:delay:nanoseconds:mutex:count", ofAgent);
      expect(delay.of("contend") / 1e9).to.be.within(WORK_S * 0.8, WORK_S * 1.1);
      expect((await totals("mutex:contentions:count:mutex:count", ofAgent)).of("contend")).greaterThan(WORK_S);
    });
  });

  /** It sends one event alone, under async-profiler's names, and neither the application's name nor its labels. */
  describe("sending OTLP", () => {
    const ofAgent = `{service_name="unknown_service",__otel__="true"}`;
    let cpu;

    before(async function () {
      if (!spawnSync("javap", ["-cp", agent, "io.pyroscope.http.Format"], { encoding: "utf8" }).stdout.includes(" OTLP;")) {
        console.log(`  skipped: ${path.basename(agent)} does not send OTLP, agents from 2.9 on do`);
        return this.skip();
      }
      const send = (event, settings = {}) => run(OTLP_WORK_S, { PYROSCOPE_FORMAT: "otlp", PYROSCOPE_PROFILER_EVENT: event, ...settings });
      [cpu] = await Promise.all([send("itimer"), send("alloc", { PYROSCOPE_PROFILER_ALLOC: "100k" }), send("lock", { PYROSCOPE_PROFILER_LOCK: "1ms" })]);
    });

    // The agent does not sample while it makes an export and starts anew, which takes longer on a busy machine.
    it("cpu is within 10 % of the process's own CPU time since the agent began, most of it where it was burnt", async () => {
      const found = await totals("itimer:itimer:ns:itimer:ns", ofAgent);
      console.log(`  the agent sampled ${(found.total / 1e9).toFixed(2)} s of ${cpu.cpuS.toFixed(2)} s, of which ${cpu.beforeS.toFixed(2)} s were before the program began`);
      expect(found.total / 1e9).to.be.within((cpu.cpuS - cpu.beforeS) * 0.9, cpu.cpuS * 1.05);
      expectBurnt(found);
    });

    it("allocations are where they were made, in bytes", async () => {
      const { total, of } = await totals("object_sampler:object_sampler:bytes:object_sampler:bytes", ofAgent);
      expect(of("allocate") / total).greaterThan(0.9);
    });

    it("two threads that want one lock wait for it in turn: as long as the program worked", async () => {
      const delay = await totals("lock_tracer:lock_tracer:ns:lock_tracer:ns", ofAgent);
      expect(delay.of("contend") / 1e9).to.be.within(OTLP_WORK_S * 0.8, OTLP_WORK_S * 1.1);
    });
  });
});

function agentJar() {
  const named = process.env["PYROMESH_JAVA_AGENT"];
  if (named !== undefined) return existsSync(named) ? named : undefined;
  const folder = path.join(homedir(), ".m2/repository/io/pyroscope/agent");
  if (!existsSync(folder)) return undefined;
  const jars = readdirSync(folder).map((version) => path.join(folder, version, `agent-${version}.jar`)).filter(existsSync);
  return jars.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
}
