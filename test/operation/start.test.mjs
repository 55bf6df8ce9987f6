/** A start that the machine does not allow ends soon, with one sentence, exit code 1, and no stack. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { freshDataDir, startNode } from "../harness/node-process.mjs";

const BIN = fileURLToPath(new URL("../../packages/node/bin/pyromesh.js", import.meta.url));
const quoted = (text) => `'${text}'`;

describe("operation: a start that the machine does not allow", function () {
  this.timeout(60_000);
  let data;

  beforeEach(() => {
    data = freshDataDir();
  });
  afterEach(() => data.remove());

  /** `before`: a shell command that runs first; `wrap`: the command that runs the shell. */
  const serve = (dataDir, { before = ":", wrap = [], more = [] } = {}) => {
    const serving = [process.execPath, BIN, "serve", "--data-dir", dataDir, "--http-addr", "127.0.0.1:0", ...more].map(quoted).join(" ");
    const [command, ...args] = [...wrap, "sh", "-c", `${before} && exec ${serving}`];
    // The child would inherit Node.js' variables, and a profiler or coverage tool in them would open files of its own.
    const { status, signal, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL" });
    return { status, signal, text: stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{")).join("\n") };
  };
  const expectRefused = (ended, sentence) => {
    expect(ended.text).to.match(sentence);
    expect(ended.text.split("\n"), "one line, and no stack").to.have.length(1);
    expect(ended).to.include({ status: 1, signal: null });
  };

  it("it ends under /proc, which takes no folders and where Node's recursive mkdir never ends", function () {
    if (process.platform !== "linux") this.skip();
    expectRefused(serve("/proc/pyromesh/data"), /^pyromesh: the data directory \/proc\/pyromesh\/data cannot be made: .*(ENOENT|EACCES|EPERM|EROFS).* \(DATA_DIR_UNUSABLE\)$/);
  });

  it("with a low limit on open files it ends before it loads what needs more", () => {
    for (const count of [32, 64, 255]) {
      expectRefused(serve(data.dir, { before: `ulimit -n ${count}` }), new RegExp(`^pyromesh: this process may have ${count} files open and needs at least 256: raise the limit .* \\(OPEN_FILES_TOO_FEW\\)$`));
    }
  });

  it("a file where a folder should be is named, inside the data directory too", () => {
    const file = path.join(data.dir, "file");
    writeFileSync(file, "");
    expectRefused(serve(file), /file cannot be made: a file is there where a folder is needed \(ENOTDIR\); .* \(DATA_DIR_UNUSABLE\)$/);
    mkdirSync(path.join(data.dir, "head", "witness"), { recursive: true });
    expectRefused(serve(data.dir), /head\/witness cannot be used: a folder is there where a file is needed \(EISDIR\); .* \(DATA_DIR_UNUSABLE\)$/);
  });

  for (const isUsed of [false, true]) {
    it(`a read-only data directory, ${isUsed ? "that a node wrote to" : "fresh"}: the path and the reason are named`, async function () {
      if (isUsed) await (await startNode({ dataDir: data.dir })).stop();
      const before = `mount --bind ${quoted(data.dir)} ${quoted(data.dir)} && mount -o remount,ro,bind ${quoted(data.dir)}`;
      // As root of a user namespace, which any user may be; where that is forbidden, as real root.
      const ways = [["unshare", "-rm"], ["unshare", "-m"]].filter((wrap) => spawnSync(wrap[0], [...wrap.slice(1), "sh", "-c", before]).status === 0);
      if (ways.length === 0) this.skip();
      expectRefused(serve(data.dir, { before, wrap: ways[0] }), /cannot be written to: its file system is read-only \(EROFS\); mount it for writing, or name another with --data-dir \(DATA_DIR_UNUSABLE\)$/);
      expectRefused(serve(path.join(data.dir, "x"), { before, wrap: ways[0] }), /x cannot be made: its file system is read-only \(EROFS\)/);
    });
  }

  it("with the lowest limit on open files it serves, and closes one connection too many", async () => {
    const node = await startNode({ dataDir: data.dir, openFilesMax: 256 });
    try {
      const replies = await Promise.allSettled(Array.from({ length: 200 }, () => fetch(`${node.url}/-/healthy`, { keepalive: false }).then(async (reply) => `${reply.status} ${await reply.text()}`)));
      const answered = replies.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
      expect(answered.length).to.be.greaterThan(0);
      expect(new Set(answered)).to.deep.equal(new Set(["200 ok\n"]));
      expect(node.log.filter((line) => line.includes('"level":"error"') || line.includes("EMFILE"))).to.deep.equal([]);
      expect(node.log.some((line) => line.includes('"connectionsMax":32'))).to.equal(true);
    } finally {
      expect(await node.stop()).to.deep.equal({ code: 0, signal: null });
    }
  });
});
