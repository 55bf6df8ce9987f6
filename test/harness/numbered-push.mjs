/** Pushes that queries can tell apart: push n has one stacktrace, `main;push-<n>`, with value n + 1. */
import { Function as PprofFunction, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { call } from "./node-process.mjs";

/** `timeMs` 0: the profile has no time. */
export function numberedProfile(n, timeMs) {
  const strings = new StringTable();
  const id = (text) => strings.dedup(text);
  const names = ["main", `push-${n}`];
  const period = new ValueType({ type: id("cpu"), unit: id("nanoseconds") });
  return new Profile({
    sampleType: [period],
    periodType: period,
    period: 1,
    timeNanos: timeMs === 0 ? 0 : BigInt(timeMs) * 1_000_000n + BigInt(n),
    function: names.map((name, index) => new PprofFunction({ id: index + 1, name: id(name), systemName: id(name), filename: id("main.go") })),
    location: names.map((_, index) => new Location({ id: index + 1, line: [new Line({ functionId: index + 1, line: 1 })] })),
    sample: [new Sample({ locationId: [2, 1], value: [n + 1] })],
    stringTable: strings,
  }).encode();
}

/**
 * Resolves with the status, or undefined where the node ended without an answer. `sample`: further fields of the sample, such as `ID`.
 * `headers` are added.
 */
export async function pushNumbered(node, n, timeMs, options) {
  return (await answerToNumbered(node, n, timeMs, options))?.status;
}

/** The same with the whole answer: `{ status, body }`. */
export async function answerToNumbered(node, n, timeMs, { sample = {}, headers = {} } = {}) {
  const labels = [
    { name: "__name__", value: "process_cpu" },
    { name: "service_name", value: `service-${n % 3}` },
    { name: "pod", value: `pod-${n % 7}` },
  ];
  const rawProfile = Buffer.from(numberedProfile(n, timeMs)).toString("base64");
  try {
    return await call(node, "push.v1.PusherService/Push", { series: [{ labels, samples: [{ rawProfile, ...sample }] }] }, headers);
  } catch {
    return undefined;
  }
}

/** Sends the push as text, which has no time, to /ingest. With this sample rate a sample is one nanosecond. */
export async function pushText(node, n, headers) {
  const url = `${node.url}/ingest?name=service-text.cpu&sampleRate=999999999`;
  const reply = await fetch(url, { method: "POST", headers, body: `main;push-${n} ${n + 1}\n` });
  await reply.arrayBuffer();
  return reply.status;
}

/** The result of a query: push number -> value, and what the receipt says: how many records, and the sum of their identities. */
export async function countedPushes(node, startMs, endMs) {
  const reply = await call(node, "querier.v1.QuerierService/SelectMergeStacktraces", {
    profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
    labelSelector: "{}",
    start: String(startMs),
    end: String(endMs),
    maxNodes: "1000000",
  });
  if (reply.status !== 200) throw new Error(`the query was answered ${reply.status}: ${JSON.stringify(reply.body)}`);
  const counted = new Map();
  const { names = [], levels = [] } = reply.body.flamegraph ?? {};
  for (const { values } of levels) {
    for (let at = 0; at < values.length; at += 4) {
      const found = /^push-(\d+)$/.exec(names[Number(values[at + 3])]);
      if (found !== null) counted.set(Number(found[1]), Number(values[at + 1]));
    }
  }
  return { counted, recordCount: Number(reply.headers.get("x-pyromesh-records")), identitySum: reply.headers.get("x-pyromesh-identity-sum") };
}
