/**
 * npm run fuzz: checks odd pushes and bodies made from seeds. Pushes (packages/profile/src/testing/check-odd-push.ts) are checked in memory
 * and as a segment stores them; bodies of other formats by what their readers make of them (check-odd-body.ts, check-odd-recording.ts), and files that
 * people upload by how they are drawn (odd-file.ts).
 *
 *   npm run fuzz -- --seconds 60                  how long; 30 by default
 *   npm run fuzz -- --of trie                     what: a name of TARGETS, pushes by default
 *   npm run fuzz -- --of trie --seed 1 --count 1  one again: a failure prints this line
 *
 * Exits with status 1 after ten failures, or at the end where there was one. Seeds count up from the first, which is printed. The last line
 * says how long the slowest took, and how much memory the process has taken since it had checked the first thousand.
 */
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";

const FAILURES_MAX = 10;
/** By then everything is compiled and the heap has its size. */
const WARM_COUNT = 1000;

const { values } = parseArgs({ options: { seconds: { type: "string", default: "30" }, of: { type: "string", default: "pushes" }, seed: { type: "string" }, count: { type: "string", default: "1000000000" } } });
ensureInstalled();
if (!build()) process.exit(1);
const { checkOddBody, checkOddExport, checkOddFile, checkOddPush, checkOddRecording, oddBody, oddExport, oddFile, oddPush, oddRecording } = await import("../packages/profile/dist/testing/index.js");
const { encodeDataset } = await import("../packages/block/dist/index.js");
const { SegmentDataset } = await import("../packages/block/dist/segment/index.js");

/** What is checked, by name: throws where something does not hold, and returns what became of the seed. */
const TARGETS = {
  pushes: (seed) => checkOddPush(oddPush(seed), (dataset) => (dataset.rowCount === 0 ? [] : [segmentOf(dataset)])),
  jfr: (seed) => checkOddRecording(oddRecording(seed)),
  speedscope: (seed) => checkOddBody(oddBody("speedscope", seed)),
  tree: (seed) => checkOddBody(oddBody("tree", seed)),
  trie: (seed) => checkOddBody(oddBody("trie", seed)),
  otlp: (seed) => checkOddExport(oddExport(seed)),
  file: (seed) => checkOddFile(oddFile(seed)),
};

const check = TARGETS[values.of];
if (check === undefined) {
  console.error(`--of ${values.of}: send one of ${Object.keys(TARGETS).join(", ")}`);
  process.exit(2);
}
const firstSeed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const deadlineMs = performance.now() + Number(values.seconds) * 1000;
console.log(`${values.of}, seed ${firstSeed}`);
const outcomes = new Map();
let failureCount = 0;
let count = 0;
let slowest = { ms: 0, seed: firstSeed };
let warmBytes;
let mostBytes = 0;
for (; count < Number(values.count) && performance.now() < deadlineMs && failureCount < FAILURES_MAX; count++) {
  const seed = (firstSeed + count) % 2 ** 31;
  const startMs = performance.now();
  try {
    const outcome = check(seed);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  } catch (failure) {
    failureCount++;
    console.log(`\nnpm run fuzz -- --of ${values.of} --seed ${seed} --count 1\n${failure.stack}`);
  }
  const ms = performance.now() - startMs;
  if (ms > slowest.ms) slowest = { ms, seed };
  if (count === WARM_COUNT) warmBytes = process.memoryUsage.rss();
  if (count % WARM_COUNT === 0) mostBytes = Math.max(mostBytes, process.memoryUsage.rss());
}
console.log(`${count} ${values.of}, ${failureCount} failed; ${[...outcomes].map(([outcome, times]) => `${outcome} ${times}`).join(", ")}`);
console.log(`slowest ${slowest.ms.toFixed(0)} ms (seed ${slowest.seed}); memory grew by ${Math.max(0, (mostBytes - (warmBytes ?? mostBytes)) / 2 ** 20).toFixed(0)} MB`);
process.exitCode = failureCount === 0 ? 0 : 1;

function segmentOf(dataset) {
  const sections = new Map(encodeDataset(dataset).map(({ tag, raw }) => [tag, raw]));
  const segment = new SegmentDataset(dataset.service, (tag) => sections.get(tag), "a segment");
  return { byName: segment.byName, byLocation: segment };
}
