import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseTenantId, silentLogger, systemClock, systemRandom } from "@pyromesh/base";
import { blockKey, buildSegment, encodeSection, makeIdentity, markKey, openBucket, putReplication, segmentKey, TAG } from "@pyromesh/block";
import type { Bucket } from "@pyromesh/block";
import { WINDOW_MS } from "@pyromesh/profile";
import { expect } from "chai";
import { runCommandLine } from "./command-line.ts";

const never = new AbortController().signal;
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const START_MS = Date.UTC(2026, 2, 2, 14);
const TIMES = { tenant: parseTenantId("a"), windowStartMs: START_MS, minTimeMs: START_MS, maxTimeMs: START_MS + 1000 };

describe("pyromesh bucket, where segments were compacted", () => {
  let dir: string;
  let bucket: Bucket;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "pyromesh-bucket-command-"));
    bucket = await openBucket(`file://${dir}`, { dataDir: dir, clock: systemClock, random: systemRandom, logger: silentLogger });
    await bucket.create(never);
    await makeIdentity(bucket, { bucketId: "ab".repeat(16), clusterName: "", firstFormatStores: [], createdAtMs: 0 }, never);
    // Segments 0 to 2 are in the block, 4 is missing.
    for (const ordinal of [3, 5]) await bucket.put(segmentKey({ ...TIMES, storeId: STORE, ordinal }), new Uint8Array(30), {}, never);
    const meta = { ...TIMES, windowMs: WINDOW_MS, level: 1, storeId: "00".repeat(16), ordinal: 0, recordCount: 1, sources: [{ storeId: STORE, firstOrdinal: 0, lastOrdinal: 2 }] };
    const dataset = { service: "api", recordCount: 1, minTimeMs: START_MS, maxTimeMs: START_MS, sections: [encodeSection(TAG.identities, new Uint8Array(16))] };
    await bucket.put(blockKey({ ...TIMES, level: 1, blockId: "cd".repeat(8) }), buildSegment(meta, [dataset]), {}, never);
  });
  afterEach(async () => {
    await bucket.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function run(...args: readonly string[]): Promise<{ readonly exitCode: number; readonly out: string; readonly notes: string }> {
    let [out, notes] = ["", ""];
    const terminal = {
      out: (text: string) => void (out += text),
      note: (text: string) => void (notes += text),
      isOutTty: false,
      isNoteTty: false,
      env: {},
      readFile: () => expect.fail("no file"),
      writeFile: () => expect.fail("no file"),
    };
    const exitCode = await runCommandLine(["bucket", ...args, "--bucket", `file://${dir}`], { clock: { ...systemClock, sleep: async () => {} }, terminal, fetch: () => expect.fail("no request") });
    return { exitCode, out, notes };
  }

  it("status: sources of a block are not missing; a segment between them is", async () => {
    const { exitCode, out } = await run("status");
    expect(exitCode).equal(0);
    expect(out).include(`missing: tenant a, window 20260302T14, store ${STORE}: 4 missing\n`);
  });

  it("replication: shown, lowered, and never raised", async () => {
    expect((await run("replication")).out).equal("no cluster has written to it yet\n");
    for (const replication of [2, 3]) await putReplication(bucket, replication, 0, never);
    expect((await run("replication")).out).equal("3\n");
    const raised = await run("replication", "5");
    expect([raised.exitCode, raised.notes]).satisfy(([code, notes]: [number, string]) => code !== 0 && /it is 3: it rises by itself/.test(notes));
    expect((await run("replication", "0")).notes).include("write a number from 1 to 16");
    expect((await run("replication", "1")).out).match(/^lowered from 3 to 1: members take it over within a minute/);
    expect((await run("replication")).out).equal("1\n");
  });

  it("forget: takes the missing one, and none that is in a block", async () => {
    const forget = (ordinals: string): ReturnType<typeof run> => run("forget", "a", "20260302T14", STORE, ordinals);
    const refused = await forget("2-4");
    expect([refused.exitCode, refused.notes]).satisfy(([code, notes]: [number, string]) => code !== 0 && /segment 3 .* is in the bucket/.test(notes));
    const inBlock = await forget("1-2");
    expect([inBlock.exitCode, inBlock.notes]).satisfy(([code, notes]: [number, string]) => code !== 0 && /segment 1 .* is in a block of the bucket/.test(notes));
    expect((await forget("4")).exitCode).equal(0);
    expect((await run("status")).out).not.include("missing: tenant");
    await bucket.get(markKey({ ...TIMES, maxTimeMs: START_MS + WINDOW_MS - 1, storeId: STORE, ordinal: 4, mark: "forgotten" }), never);
  });
});
