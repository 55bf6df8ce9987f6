/**
 * npm run fuzz: checks odd pushes made from seeds (packages/profile/src/testing/check-odd-push.ts), in memory and as a segment stores
 * them.
 *
 *   npm run fuzz -- --seconds 60          how long; 30 by default
 *   npm run fuzz -- --seed 123 --count 1  one push again: a failure prints this line
 *
 * Exits with status 1 after ten failures, or at the end where there was one. Seeds count up from the first, which is printed.
 */
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";

const FAILURES_MAX = 10;

const { values } = parseArgs({ options: { seconds: { type: "string", default: "30" }, seed: { type: "string" }, count: { type: "string", default: "1000000000" } } });
ensureInstalled();
if (!build()) process.exit(1);
const { checkOddPush, oddPush } = await import("../packages/profile/dist/testing/index.js");
const { encodeDataset, SegmentDataset } = await import("../packages/block/dist/index.js");

const firstSeed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const deadlineMs = performance.now() + Number(values.seconds) * 1000;
console.log(`seed ${firstSeed}`);
const outcomes = new Map();
let failureCount = 0;
let count = 0;
for (; count < Number(values.count) && performance.now() < deadlineMs && failureCount < FAILURES_MAX; count++) {
  const seed = (firstSeed + count) % 2 ** 31;
  try {
    const outcome = checkOddPush(oddPush(seed), (dataset) => (dataset.rowCount === 0 ? [] : [segmentOf(dataset)]));
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  } catch (failure) {
    failureCount++;
    console.log(`\nnpm run fuzz -- --seed ${seed} --count 1\n${failure.stack}`);
  }
}
console.log(`${count} pushes, ${failureCount} failed; ${[...outcomes].map(([outcome, times]) => `${outcome} ${times}`).join(", ")}`);
process.exitCode = failureCount === 0 ? 0 : 1;

function segmentOf(dataset) {
  const sections = new Map(encodeDataset(dataset).map(({ tag, raw }) => [tag, raw]));
  const segment = new SegmentDataset(dataset.service, (tag) => sections.get(tag), "a segment");
  return { byName: segment.byName, byLocation: segment };
}
