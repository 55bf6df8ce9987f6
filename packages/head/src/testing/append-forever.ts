/** A process that appends until it is killed, saying each number after its ack. Used by tests: `node append-forever.js <dir> [first]`. */
import { writeSync } from "node:fs";
import { Metrics, silentLogger, systemClock, systemRandom } from "@pyromesh/base";
import { openHead } from "../open-head.ts";
import { makeRecord, sealUnder } from "./fixtures.ts";

const [dir, first] = process.argv.slice(2);
const head = await openHead({ dir: dir!, diskBudgetBytes: 1 << 30 }, { clock: systemClock, random: systemRandom, logger: silentLogger, metrics: new Metrics() });
await head.replay(async () => {});
let number = Number(first ?? 0);

const appendForever = async (): Promise<void> => {
  for (;;) {
    const mine = number++;
    await head.append(makeRecord(mine, { bytes: new Uint8Array(2000).fill(mine) }));
    writeSync(1, `${mine}\n`); // at once: what is said has been acked
  }
};
const cutForever = async (): Promise<void> => {
  for (;;) {
    const cut = await head.cut();
    if (cut !== undefined && cut.cutId % 3 === 0) {
      // The records' numbers, as a segment would hold them.
      const seqs = Array.from({ length: cut.lastSeq - cut.firstSeq + 1 }, (_, i) => cut.firstSeq + i);
      const numbers = (await head.read(seqs)).flatMap((record) => (record === undefined ? [] : [record.sampleCount]));
      await sealUnder(head, cut.cutId, [`cut-${cut.cutId}`], Buffer.from(JSON.stringify(numbers)));
    }
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
};
await Promise.all([appendForever(), appendForever(), appendForever(), appendForever(), cutForever()]);
