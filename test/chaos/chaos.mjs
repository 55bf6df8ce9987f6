/**
 * The chaos run: a cluster of real processes under load and faults, and a ledger of what was acknowledged against what queries say.
 *
 *   npm run chaos -- [--nodes 3] [--faults kill,wipe,pause,...|all] [--count 20] [--seed N] [--pushers 8] [--queriers 2] [--bucket s3|file] [--json] [--log-dir DIR]
 *   npm run chaos -- --urls http://a:4040,http://b:4040 --kill 'ssh {host} systemctl kill -s KILL pyromesh' [--count 5] [--pause-between 30]
 *
 * The second form runs against a cluster that is there: `--kill` is a command that kills one member ({url}, {host} and {port} are filled in); what starts it
 * again is the operator's supervisor.
 *
 * The report ends with a verdict: what must hold, and whether it did (`barsOf`). Exit code 1 where one did not, where an answer was wrong, or where the cluster did not heal.
 *
 * A request that fails at a live member is counted, and shown by what it was answered, though it is sent again and then succeeds. Counted apart are one that was under way to a
 * member when that was killed or paused, and those that fail while links or the bucket do. `--log-dir`: the members' logs, and `events.txt`, in which each request that failed or took
 * more than a second stands between the events around it.
 */
import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openBucketProxy } from "./bucket-proxy.mjs";
import { openCluster } from "./cluster.mjs";
import { FAULTS, MEMBER_FAULTS } from "./faults.mjs";
import { Ledger, QUERY_GRACE_MS } from "./ledger.mjs";
import { queryOnce, startLoad } from "./load.mjs";

/** How long a cluster that has healed may take until its queries are complete again. */
const ANSWERS_TIMEOUT_MS = 60_000;
const WRONG_SHOWN_MAX = 20;
const FAILURES_SHOWN_MAX = 15;

/** Resolves with the report. `radosgw`: a running S3 server (see startRadosgw of the block package); undefined: a folder is the bucket. */
export async function runChaos({ nodeCount = 3, faults = ["kill"], count = 5, seed = Date.now() % 1e9, pusherCount = 4, querierCount = 2, pauseMs = 20, radosgw, print = () => {}, restMs = 300, logDir }) {
  const random = seeded(seed);
  const ledger = new Ledger();
  const proxy = radosgw === undefined ? undefined : await openBucketProxy(radosgw.endpoint, { random });
  const bucketName = await radosgw?.makeBucket();
  const events = [];
  if (logDir !== undefined) mkdirSync(logDir, { recursive: true });
  const cluster = await openCluster({
    nodeCount,
    onEvent: (event) => {
      events.push(event);
      if (event.isFault) ledger.memberFault(event.atMs);
    },
    onLog: (name, line) => logDir !== undefined && appendFileSync(path.join(logDir, `${name}.log`), `${line}\n`),
    bucket: radosgw === undefined ? "" : `s3://${bucketName}?endpoint=${proxy.endpoint}&region=us-east-1&path-style=true`,
    env: radosgw === undefined ? {} : { AWS_ACCESS_KEY_ID: radosgw.accessKey, AWS_SECRET_ACCESS_KEY: radosgw.secretKey },
  });
  const startMs = Date.now();
  const down = new Set();
  const wrong = [];
  const urls = () => cluster.names.filter((name) => !down.has(name)).map((name) => cluster.member(name).url);
  const load = startLoad({ ledger, urls, pusherCount, querierCount, pauseMs, startMs, random, onWrong: (words) => wrong.push(...words), wasTakenAway: cluster.wasTakenAway, pausing: cluster.pausing });
  const done = [];
  let failure;
  try {
    await sleep(2_000);
    for (let at = 0; at < count; at++) {
      const kind = faults[at % faults.length];
      const [name, other] = shuffled(cluster.names, random);
      const beganMs = performance.now();
      ledger.excuse(!MEMBER_FAULTS.has(kind));
      await FAULTS[kind]({ cluster, bucket: proxy, name, other, random, down });
      await cluster.settled();
      ledger.excuse(false);
      const tookMs = Math.round(performance.now() - beganMs);
      done.push({ kind, name, tookMs });
      print(`${at + 1}/${count} ${kind} of ${name}: healed after ${tookMs} ms; acked ${ledger.ackedCount}, wrong ${wrong.length}, failed pushes ${ledger.failures.push}, failed queries ${ledger.failures.query}`);
      await sleep(restMs);
    }
  } catch (error) {
    failure = error;
  }
  await load.stop();
  const receipts = failure === undefined ? await finalAnswers({ ledger, cluster, startMs, wrong }).catch((error) => ((failure = error), [])) : [];
  const report = reportOf({ seed, done, ledger, wrong, receipts, failure });
  if (logDir !== undefined) writeFileSync(path.join(logDir, "events.txt"), `${timeline({ events, ledger, cluster }).join("\n")}\n`);
  if (failure !== undefined || wrong.length > 0) for (const name of cluster.names) print(`--- ${name}\n${(cluster.member(name).process?.log ?? []).slice(-40).join("\n")}`);
  await cluster.close();
  await proxy?.stop();
  return report;
}

/** What happened to members and which requests failed or were slow, in order, by the clock of the logs. A request stands where it was sent. */
function timeline({ events, ledger, cluster }) {
  const nameOf = (url) => cluster.names.find((name) => cluster.member(name).url === url);
  const requests = ledger.notableRequests.map(({ kind, words, sentMs, endedMs, url }) => ({ atMs: sentMs, text: `    ${kind} to ${nameOf(url)} ${words === undefined ? "was answered" : "failed"} after ${Math.round(endedMs - sentMs)} ms${words === undefined ? "" : `: ${words}`}` }));
  const lines = [...events.map(({ atMs, name, what }) => ({ atMs, text: `${name} ${what}` })), ...requests].sort((a, b) => a.atMs - b.atMs);
  return lines.map(({ atMs, text }) => `${new Date(performance.timeOrigin + atMs).toISOString()} ${text}`);
}

/** Asks every member for everything, at the end, until each has answered. */
async function finalAnswers({ ledger, cluster, startMs, wrong }) {
  const receipts = [];
  for (const name of cluster.names) {
    const deadlineMs = performance.now() + ANSWERS_TIMEOUT_MS;
    for (;;) {
      const answer = await queryOnce({ ledger, url: cluster.member(name).url, service: undefined, startMs, onWrong: (words) => wrong.push(...words), timeoutMs: 30_000 });
      if (answer.status === 200) {
        receipts.push({ name, recordCount: answer.recordCount, identitySum: answer.identitySum });
        break;
      }
      if (performance.now() > deadlineMs) throw new Error(`${name} gave no complete answer within ${ANSWERS_TIMEOUT_MS} ms of the end: ${answer.status} ${answer.text}`);
      await sleep(500);
    }
  }
  if (new Set(receipts.map(({ recordCount, identitySum }) => `${recordCount}/${identitySum}`)).size > 1) wrong.push(`the members' receipts differ: ${JSON.stringify(receipts)}`);
  return receipts;
}

function reportOf({ seed, done, ledger, wrong, receipts, failure }) {
  return {
    seed,
    faults: done.length,
    pushes: ledger.pushCount,
    acked: ledger.ackedCount,
    unknown: ledger.unknownCount,
    refused: ledger.refusedCount,
    lost: ledger.count("lost"),
    doubled: ledger.count("doubled"),
    wrongAnswers: wrong.length,
    failedPushes: ledger.failures.push,
    failedQueries: ledger.failures.query,
    lateQueries: ledger.lateQueries,
    excusedPushes: ledger.excused.push,
    excusedQueries: ledger.excused.query,
    slowPushes: ledger.slow.push,
    slowQueries: ledger.slow.query,
    cutOffPushes: ledger.cutOff.push,
    cutOffQueries: ledger.cutOff.query,
    failures: ledger.failureKinds().slice(0, FAILURES_SHOWN_MAX),
    longestGapMs: { push: Math.round(ledger.longestGapMs.push), query: Math.round(ledger.longestGapMs.query) },
    receipts,
    wrong: wrong.slice(0, WRONG_SHOWN_MAX),
    failure: failure === undefined ? undefined : String(failure.stack ?? failure),
    done,
  };
}

/** Against a cluster that is there: load, a command that kills, and the same ledger. */
async function runAgainst({ urls, kill, count, betweenMs, pusherCount, querierCount, print }) {
  const ledger = new Ledger();
  const wrong = [];
  const startMs = Date.now();
  const down = new Set();
  const killedMs = new Map();
  const wasTakenAway = (url, sinceMs) => down.has(url) || (killedMs.get(url) ?? -Infinity) >= sinceMs;
  const load = startLoad({ ledger, urls: () => urls.filter((url) => !down.has(url)), pusherCount, querierCount, pauseMs: 20, startMs, random: Math.random, onWrong: (words) => wrong.push(...words), wasTakenAway });
  for (let at = 0; at < count; at++) {
    await sleep(betweenMs);
    const url = urls[at % urls.length];
    const { hostname, port } = new URL(url);
    const command = kill.replaceAll("{url}", url).replaceAll("{host}", hostname).replaceAll("{port}", port);
    down.add(url);
    ledger.memberFault();
    const code = await new Promise((resolve) => spawn("sh", ["-c", command], { stdio: "inherit" }).once("close", resolve));
    killedMs.set(url, performance.now());
    ledger.memberFault();
    print(`${at + 1}/${count} killed ${url} (exit code ${code}); acked ${ledger.ackedCount}, wrong ${wrong.length}`);
    const deadlineMs = performance.now() + 120_000;
    while (performance.now() < deadlineMs) {
      await sleep(500);
      if (await fetch(`${url}/ready`, { signal: AbortSignal.timeout(2_000) }).then((reply) => reply.ok).catch(() => false)) break;
    }
    down.delete(url);
  }
  await sleep(betweenMs);
  await load.stop();
  for (const url of urls) await queryOnce({ ledger, url, service: undefined, startMs, onWrong: (words) => wrong.push(...words), timeoutMs: 30_000 });
  return reportOf({ seed: undefined, done: Array.from({ length: count }, () => ({})), ledger, wrong, receipts: [], failure: undefined });
}

/**
 * What must hold: [name, what was counted, whether it holds]. A push to a live member does not fail, whatever happens to another one; a query may fail in the second after a member was
 * killed or stopped, while the others do not know.
 */
export function barsOf({ acked, lost, doubled, refused, wrongAnswers, failedPushes, failedQueries, lateQueries, failure }) {
  return [
    ["acked", acked, acked > 0],
    ["lost", lost, lost === 0],
    ["doubled", doubled, doubled === 0],
    ["refused", refused, refused === 0],
    ["wrong answers", wrongAnswers, wrongAnswers === 0],
    ["failed pushes to live nodes", failedPushes, failedPushes === 0],
    ["failed queries to live nodes", failedQueries, true],
    [`of those later than ${QUERY_GRACE_MS / 1000} s after the fault`, lateQueries, lateQueries === 0],
    ["healed", failure === undefined ? "yes" : "no", failure === undefined],
  ];
}

export function hasPassed(report) {
  return barsOf(report).every(([, , holds]) => holds);
}

export function printReport(report) {
  const { unknown, cutOffPushes, cutOffQueries, excusedPushes, excusedQueries, slowPushes, slowQueries, longestGapMs, faults, seed } = report;
  const lines = [
    `seed ${seed}, ${faults} faults, ${report.pushes} pushes, ${unknown} of them without an answer`,
    `under way to a member that was killed or paused: ${cutOffPushes} pushes, ${cutOffQueries} queries; failed while links or the bucket did: ${excusedPushes} pushes, ${excusedQueries} queries`,
    `answered after more than 1 s: ${slowPushes} pushes, ${slowQueries} queries`,
    ...report.failures.map((words) => `  ${words}`),
    ...report.wrong.map((words) => `WRONG ${words}`),
    ...(report.failure === undefined ? [] : [`FAILED ${report.failure}`]),
    `${hasPassed(report) ? "PASSED" : "NOT PASSED"}: ${barsOf(report).map(([name, count, holds]) => `${name} ${count}${holds ? "" : " (!)"}`).join(", ")}; longest gap between two answers: pushes ${longestGapMs.push} ms, queries ${longestGapMs.query} ms`,
  ];
  return lines.join("\n");
}

function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled(items, random) {
  const all = [...items];
  for (let at = all.length - 1; at > 0; at--) {
    const with_ = Math.floor(random() * (at + 1));
    [all[at], all[with_]] = [all[with_], all[at]];
  }
  return all;
}

export async function main(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      nodes: { type: "string", default: "3" },
      faults: { type: "string", default: "all" },
      count: { type: "string", default: "14" },
      seed: { type: "string" },
      pushers: { type: "string", default: "4" },
      queriers: { type: "string", default: "2" },
      pause: { type: "string", default: "20" },
      bucket: { type: "string", default: "s3" },
      urls: { type: "string" },
      kill: { type: "string" },
      "log-dir": { type: "string" },
      "pause-between": { type: "string", default: "30" },
      json: { type: "boolean", default: false },
    },
  });
  const print = (line) => process.stderr.write(`${line}\n`);
  const common = { count: Number(values.count), pusherCount: Number(values.pushers), querierCount: Number(values.queriers), print };
  let report;
  if (values.urls !== undefined) {
    if (values.kill === undefined) throw new Error("--urls needs --kill: the command that kills one member");
    report = await runAgainst({ ...common, urls: values.urls.split(","), kill: values.kill, betweenMs: Number(values["pause-between"]) * 1000 });
  } else {
    const faults = values.faults === "all" ? Object.keys(FAULTS) : values.faults.split(",");
    const unknown = faults.filter((name) => !(name in FAULTS));
    if (unknown.length > 0) throw new Error(`no fault ${unknown.join(", ")}: there are ${Object.keys(FAULTS).join(", ")}`);
    const { startRadosgw, RADOSGW_MISSING } = await import("@pyromesh/block/testing");
    const radosgw = values.bucket === "s3" ? await startRadosgw() : undefined;
    if (values.bucket === "s3" && radosgw === undefined) throw new Error(RADOSGW_MISSING);
    report = await runChaos({ ...common, nodeCount: Number(values.nodes), faults, radosgw, pauseMs: Number(values.pause), logDir: values["log-dir"], ...(values.seed === undefined ? {} : { seed: Number(values.seed) }) });
    await radosgw?.stop();
  }
  process.stdout.write(values.json ? `${JSON.stringify(report, undefined, 2)}\n` : `${printReport(report)}\n`);
  return hasPassed(report) ? 0 : 1;
}
