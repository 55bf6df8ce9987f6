import { expect } from "chai";
import { loadConfig } from "../config/load-config.ts";
import { NOW_MS, runCommand, SleeplessClock } from "../testing/command-run.ts";
import { devNodeArgs, runDevCluster } from "./dev-cluster.ts";
import type { DevClusterOptions, DevProcess } from "./dev-cluster.ts";
import { devLine } from "./dev-log.ts";

const OPTIONS: DevClusterOptions = { nodeCount: 3, dir: "./data/dev", httpPort: 4040, clusterPort: 7946, flags: [] };

class FakeProcess implements DevProcess {
  readonly pid = 7;
  readonly ended: Promise<string>;
  end!: (how: string) => void;
  stops = 0;

  constructor(
    readonly args: readonly string[],
    readonly onLine: (line: string) => void,
  ) {
    this.ended = new Promise((resolve) => (this.end = resolve));
  }
  stop(): void {
    this.stops++;
    this.end("exit code 0");
  }
}

class DevWorld {
  readonly processes: FakeProcess[] = [];
  readonly stopping = new AbortController();
  out = "";
  notes = "";
  /** How often each node answers that it is not ready yet. */
  notReadyTimes = 2;
  onAsk: (url: string) => void = () => {};

  run(options: Partial<DevClusterOptions> = {}): Promise<number> {
    const asked = new Map<string, number>();
    return runDevCluster(
      { ...OPTIONS, ...options },
      {
        clock: new SleeplessClock(NOW_MS),
        terminal: { out: (text) => void (this.out += text), note: (text) => void (this.notes += text), isNoteTty: false },
        fetch: (url) => {
          const text = String(url as string);
          this.onAsk(text);
          asked.set(text, (asked.get(text) ?? 0) + 1);
          if (asked.get(text) === 1) return Promise.reject(new TypeError("fetch failed"));
          return Promise.resolve(new Response("", { status: asked.get(text)! > this.notReadyTimes ? 200 : 503 }));
        },
        startProcess: (args, onLine) => {
          const process = new FakeProcess(args, onLine);
          this.processes.push(process);
          return process;
        },
      },
      this.stopping.signal,
    );
  }
}

describe("pyromesh dev", () => {
  it("every node's flags are settings that serve takes, with ports and folders of its own and one bucket", () => {
    const configs = [0, 1, 2].map((index) => configOf(devNodeArgs({ ...OPTIONS, flags: ["--flush-interval", "5s"] }, index)));
    expect(configs.map(({ httpAddress, clusterAddress, dataDir, nodeName }) => [httpAddress.port, clusterAddress.port, dataDir, nodeName])).to.deep.equal([
      [4040, 7946, "./data/dev/1", "node-1"],
      [4041, 7947, "./data/dev/2", "node-2"],
      [4042, 7948, "./data/dev/3", "node-3"],
    ]);
    expect(new Set(configs.map(({ bucket }) => bucket))).to.deep.equal(new Set(["file://./data/dev/bucket"]));
    expect(configs.map(({ join, clusterName, flushIntervalMs }) => [join.length, clusterName, flushIntervalMs])).to.deep.equal([[3, "dev", 5000], [3, "dev", 5000], [3, "dev", 5000]]);
    expect(configs.every(({ isSelfProfiling }) => isSelfProfiling)).to.equal(true);
    expect(configOf(devNodeArgs({ ...OPTIONS, flags: ["--self-profile", "false"] }, 0)).isSelfProfiling).to.equal(false);
  });

  it("a flag that is of one node only is refused before anything starts", async () => {
    for (const flags of [["--node-name", "x"], ["--data-dir=/tmp/x"], ["--flush-interval", "5s", "--http-addr", ":1"]]) {
      const { exitCode, notes } = await runCommand(["dev", "--nodes", "2", "--", ...flags]);
      expect([exitCode, notes]).to.satisfy(([code, text]: [number, string]) => code === 2 && text.includes("differs from node to node"));
    }
  });

  it("says where the page is once all are ready, and ends when all have ended", async () => {
    const world = new DevWorld();
    const running = world.run();
    world.onAsk = () => {
      if (world.out !== "") throw new Error("asked after all were ready");
    };
    while (world.out === "") await new Promise((resolve) => setImmediate(resolve));
    expect(world.notes).to.match(/^node-1 \| started: http:\/\/127\.0\.0\.1:4040, process 7\n/);
    expect(world.out).to.match(/^3 nodes are ready: http:\/\/127\.0\.0\.1:4040 /);
    world.stopping.abort();
    expect(await running).to.equal(0);
    expect(world.processes.map(({ stops }) => stops)).to.deep.equal([1, 1, 1]);
  });

  it("a node that is killed later does not end the others", async () => {
    const world = new DevWorld();
    const running = world.run();
    while (world.out === "") await new Promise((resolve) => setImmediate(resolve));
    world.processes[1]!.end("SIGKILL");
    await new Promise((resolve) => setImmediate(resolve));
    expect(world.notes).to.include("node-2 | ended: SIGKILL; in this folder it is started again by: pyromesh serve --node-name node-2 --data-dir ./data/dev/2 ");
    expect(world.processes[0]!.stops).to.equal(0);
    world.stopping.abort();
    expect(await running).to.equal(0);
  });

  it("a node that ends before all are ready: the others are stopped, and the start has failed", async () => {
    const world = new DevWorld();
    world.notReadyTimes = Infinity;
    const running = world.run();
    world.processes[2]!.onLine("pyromesh: port 4042 is taken (LISTEN_FAILED)");
    world.processes[2]!.end("exit code 1");
    expect(await running).to.equal(1);
    expect(world.processes.map(({ stops }) => stops)).to.deep.equal([1, 1, 1]);
    expect(world.notes).to.include("node-3 | pyromesh: port 4042 is taken (LISTEN_FAILED)\n").and.include("node-3 | ended: exit code 1\n");
    expect(world.out).to.equal("");
  });

  it("stopped before it was ready: no failure", async () => {
    const world = new DevWorld();
    world.notReadyTimes = Infinity;
    const running = world.run();
    world.stopping.abort();
    expect(await running).to.equal(0);
  });

  it("the log has the node's name, in colour on a terminal, and words for JSON", () => {
    const node = { name: "node-2", index: 1 };
    expect(devLine(node, '{"level":"info","time":"2026-03-02T14:00:00.123Z","segments":0,"url":"http://x","msg":"ready"}', false)).to.equal("node-2 | 14:00:00.123 info  ready segments=0 url=http://x\n");
    expect(devLine(node, '{"level":"warn","time":"x","err":{"message":"no way","stack":"..."},"why":"two words","msg":"m"}', false)).to.equal('node-2 | x warn  m err="no way" why="two words"\n');
    expect(devLine(node, "Error: plain", true)).to.equal("\u001b[33mnode-2 |\u001b[0m Error: plain\n");
    for (const odd of ["", "{", "[1]", "null", '"x"', "{}"]) expect(devLine(node, odd, false)).to.equal(`node-2 | ${odd}\n`);
  });
});

function configOf([, ...args]: readonly string[]): ReturnType<typeof loadConfig> {
  const flags = new Map<string, string[]>();
  for (let at = 0; at < args.length; at++) {
    const key = args[at]!.slice(2).replaceAll("-", "_");
    const value = args[at + 1]?.startsWith("--") === false ? args[++at]! : "true";
    flags.set(key, [...(flags.get(key) ?? []), value]);
  }
  return loadConfig({ flags, env: {}, readFile: () => "" });
}
