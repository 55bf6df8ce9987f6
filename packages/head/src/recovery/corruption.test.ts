/** A disk that goes bad under a running node. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Metrics, seededRandom, silentLogger, systemClock } from "@pyromesh/base";
import { openHead } from "../open-head.ts";
import { numberOf, replayHead } from "../testing/fixtures.ts";

describe("head whose tables are corrupted while it runs", function () {
  this.timeout(60_000);

  it("LevelDB aborts the process when it merges them; the next start repairs it, counts what was lost and serves the rest once", async () => {
    const dir = await mkdtemp(join(tmpdir(), "pyromesh-corruption-"));
    const child = spawn(process.execPath, [fileURLToPath(new URL("../testing/append-until-abort.js", import.meta.url)), dir], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    let complaint = "";
    child.stdout.on("data", (chunk: Buffer) => (said += String(chunk)));
    child.stderr.on("data", (chunk: Buffer) => (complaint += String(chunk)));
    const [, signal] = (await once(child, "close")) as [number | null, string | null];
    expect(signal, "were it an error now, README and docs/architecture.md could say so").equal("SIGABRT");
    expect(complaint).contain("Assertion");

    const acked = said.split("\n").slice(0, -1).map(Number);
    const { head, replayed, quarantinedCount } = await replayHead(
      await openHead({ dir, diskBudgetBytes: 1 << 30 }, { clock: systemClock, random: seededRandom(1), logger: silentLogger, metrics: new Metrics() }),
    );
    const held = replayed.map(numberOf);
    const present = new Set(held);
    const lostCount = acked.filter((number) => !present.has(number)).length;
    expect(held.length, "no record twice").equal(present.size);
    expect(quarantinedCount, "each lost one is counted").least(Math.max(1, lostCount));
    expect(lostCount, "a key in each of a few tables went bad").most(10);
    expect(head.quarantine().length).greaterThan(0);
    await head.close();
    await rm(dir, { recursive: true, force: true });
  });
});
