/** This build opens data dirs and buckets that earlier builds wrote. README.md says what they contain and how they were made. */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { freshDataDir, startNode } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const START_MS = Date.UTC(2026, 0, 2, 3);
const END_MS = Date.UTC(2026, 0, 2, 5);
/** As make.mjs sent it. */
const timeOf = (n) => START_MS + (n < 20 ? 0 : 3_600_000) + n * 1000;
/** Of head format 1, 2, 3 and 4. */
const BUILDS = ["a09efd0", "3ecd394", "c94f251", "a69a96a"];
/** Builds that normalise a push as this one does, so that the same push has the same identity: all but those of an earlier `NORMALISATION_VERSION`. */
const SAME_IDENTITY_BUILDS = new Set(["3ecd394", "c94f251", "a69a96a"]);

describe("golden data dirs", function () {
  this.timeout(60_000);
  let data;
  let node;

  beforeEach(() => {
    data = freshDataDir();
  });
  afterEach(async () => {
    await node?.kill();
    data.remove();
  });

  it("a data dir of a later format is refused before a byte of it changes, even where a table is damaged", async () => {
    const head = path.join(data.dir, "data/head");
    cpSync(fileURLToPath(new URL("a09efd0/data", import.meta.url)), path.join(data.dir, "data"), { recursive: true });
    rmSync(path.join(data.dir, "data/sealed"), { recursive: true });
    writeFileSync(path.join(head, "format"), "pyromesh head format 5\n");
    const table = path.join(head, "db", readdirSync(path.join(head, "db")).find((name) => name.endsWith(".ldb")));
    writeFileSync(table, readFileSync(table).map((byte, at) => (at === 20 ? byte ^ 1 : byte)));
    const everything = () =>
      readdirSync(data.dir, { recursive: true, withFileTypes: true }).map((entry) => {
        const file = path.join(entry.parentPath, entry.name);
        return [file, statSync(file).mtimeMs, entry.isFile() ? readFileSync(file, "hex") : ""];
      });
    const before = everything();
    const refusal = await startNode({ dataDir: path.join(data.dir, "data") }).then(() => "it started", (error) => error.message);
    expect(refusal).to.include("HEAD_FORMAT_NEWER");
    expect(everything()).to.deep.equal(before);
  });

  for (const build of BUILDS) {
    it(`of ${build}: what was in the bucket, sealed, cut and open is answered once, before and after it is sent again and flushed, and after a restart`, async () => {
      cpSync(fileURLToPath(new URL(build, import.meta.url)), data.dir, { recursive: true });
      const flags = ["--bucket", `file://${path.join(data.dir, "bucket")}`, "--flush-interval", "1h", "--limits.reject-older-than", "0"];
      const start = async () => (node = await startNode({ dataDir: path.join(data.dir, "data"), flags }));
      const expectAll = async (when) => {
        const { counted, recordCount } = await countedPushes(node, START_MS, END_MS);
        expect([...counted].sort(([a], [b]) => a - b), when).to.deep.equal(Array.from({ length: 40 }, (_, n) => [n, n + 1]));
        expect(recordCount, when).to.equal(40);
      };
      await start();
      await expectAll("as it was found");
      // A client that heard no answer from the earlier build sends its push to this one.
      for (let n = 0; SAME_IDENTITY_BUILDS.has(build) && n < 40; n++) expect(await pushNumbered(node, n, timeOf(n)), `push ${n} again`).to.equal(200);
      await expectAll("sent again");
      expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
      await expectAll("flushed");
      expect(await (await fetch(`${node.url}/metrics`)).text()).to.include("pyromesh_flush_backlog_segments 0").and.to.include("pyromesh_quarantined_records_total 0");
      await node.stop();
      await start();
      await expectAll("started again");
    });
  }
});
