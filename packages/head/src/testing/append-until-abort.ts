/**
 * A process whose disk goes bad: appends, saying each number after its ack, corrupts every table that LevelDB has written once there are
 * two, and appends on until LevelDB merges them. Used by a test: `node append-until-abort.js <dir>`.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Metrics, silentLogger, systemClock, systemRandom } from "@pyromesh/base";
import { Head } from "../head.ts";
import { atomicFile } from "@pyromesh/base";
import { levelStoreOpener } from "../store/level-store.ts";
import { FileCheckpoint } from "../recovery/checkpoint.ts";
import { makeRecord } from "./fixtures.ts";

const NUMBER_MAX = 4000;
const dir = process.argv[2]!;
const modules = { clock: systemClock, random: systemRandom, logger: silentLogger, metrics: new Metrics() };
const head = await Head.open(
  { diskBudgetBytes: 1 << 30 },
  {
    ...modules,
    opener: levelStoreOpener(dir, modules, { writeBufferBytes: 1 << 20 }),
    checkpoint: FileCheckpoint.open(join(dir, "witness")),
    quarantineFile: atomicFile(join(dir, "quarantine.json")),
  },
);
await head.replay(async () => {});
let isCorrupt = false;
for (let number = 0; number < NUMBER_MAX; number++) {
  await head.append(makeRecord(number, { bytes: new Uint8Array(5000).fill(number) }));
  writeSync(1, `${number}\n`); // at once: what is said has been acked
  if (isCorrupt || number % 100 !== 0) continue;
  const tables = readdirSync(join(dir, "db")).filter((name) => name.endsWith(".ldb"));
  isCorrupt = tables.length >= 2;
  if (isCorrupt) for (const table of tables) corrupt(join(dir, "db", table));
}
process.exit(0);

/** Turns the tenth record's key into one that belongs elsewhere. */
function corrupt(path: string): void {
  const table = readFileSync(path);
  let at = -1;
  for (let count = 0; count < 10; count++) at = table.indexOf("r/", at + 1, "latin1");
  const file = openSync(path, "r+");
  writeSync(file, Buffer.from("a"), 0, 1, at);
  closeSync(file);
}
