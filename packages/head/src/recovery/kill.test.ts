import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Metrics, seededRandom, silentLogger, systemClock } from "@pyromesh/base";
import { openHead } from "../open-head.ts";
import { replayHead } from "../testing/fixtures.ts";

describe("head under kill -9", function () {
  this.timeout(60_000);

  it("every answered append is there once, an unanswered one at most once, over several kills", async () => {
    const dir = await mkdtemp(join(tmpdir(), "pyromesh-kill-"));
    const acked = new Set<number>();
    let next = 0;
    for (const killAfter of [1, 40, 333, 1200]) {
      const child = spawn(process.execPath, [fileURLToPath(new URL("../testing/append-forever.js", import.meta.url)), dir, String(next)], { stdio: ["ignore", "pipe", "inherit"] });
      let text = "";
      let count = 0;
      child.stdout.setEncoding("utf8");
      child.stdout.on("data", (chunk: string) => {
        text += chunk;
        count += chunk.split("\n").length - 1;
        if (count >= killAfter) child.kill("SIGKILL");
      });
      await once(child, "close");
      for (const line of text.split("\n").slice(0, -1)) acked.add(Number(line));
      next += 100_000;

      const { head, replayed, quarantinedCount } = await replayHead(
        await openHead({ dir, diskBudgetBytes: 1 << 30 }, { clock: systemClock, random: seededRandom(1), logger: silentLogger, metrics: new Metrics() }),
      );
      const numbers = [
        ...replayed.map((record) => record.sampleCount),
        ...head.sealed().flatMap(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as number[]),
      ];
      await head.close();
      expect(quarantinedCount).equal(0);
      expect(numbers.length, "no record twice").equal(new Set(numbers).size);
      const present = new Set(numbers);
      expect([...acked].filter((number) => !present.has(number)), "acked and gone").deep.equal([]);
    }
    expect(acked.size).greaterThan(1000);
    await rm(dir, { recursive: true, force: true });
  });
});
