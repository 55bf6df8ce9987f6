/**
 * Clients for the chaos run: some push, some query, at members that are drawn each time. A push that was not answered is sent again with the same bytes, to
 * another member; its outcome goes into the ledger.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { numberedProfile } from "../harness/numbered-push.mjs";
import { SERVICE_COUNT } from "./ledger.mjs";

const REQUEST_TIMEOUT_MS = 10_000;
const PUSH_TRIES_MAX = 5;
const NEVER = new AbortController().signal;

/**
 * `urls()`: the members that are meant to answer now. `wasTakenAway(url, sinceMs)`: a request under way to it since then was cut off on purpose, and its failure
 * counts apart. `pausing(url)`: a signal that ends a request to it. Returns { stop }, which resolves when every client has ended.
 */
export function startLoad({ ledger, urls, pusherCount, querierCount, pauseMs, startMs, random, onWrong, wasTakenAway = () => false, pausing = () => NEVER }) {
  let isStopping = false;
  const draw = () => {
    const all = urls();
    return all[Math.floor(random() * all.length)];
  };
  const pusher = async () => {
    while (!isStopping) {
      await pushOnce({ ledger, draw, startMs, wasTakenAway, pausing });
      await sleep(pauseMs * (0.5 + random()));
    }
  };
  const querier = async () => {
    while (!isStopping) {
      const url = draw();
      if (url !== undefined) await queryOnce({ ledger, url, service: Math.floor(random() * SERVICE_COUNT), startMs, onWrong, wasTakenAway, pausing });
      await sleep(pauseMs * 3 * (0.5 + random()));
    }
  };
  const clients = [...Array.from({ length: pusherCount }, pusher), ...Array.from({ length: querierCount }, querier)];
  return {
    async stop() {
      isStopping = true;
      await Promise.all(clients);
    },
  };
}

async function pushOnce({ ledger, draw, startMs, wasTakenAway, pausing }) {
  const n = ledger.begin();
  const labels = [
    { name: "__name__", value: "process_cpu" },
    { name: "service_name", value: `service-${n % SERVICE_COUNT}` },
    { name: "pod", value: `pod-${n % 7}` },
  ];
  const rawProfile = Buffer.from(numberedProfile(n, Math.max(startMs, Date.now()))).toString("base64");
  const body = JSON.stringify({ series: [{ labels, samples: [{ rawProfile }] }] });
  for (let tries = 0; tries < PUSH_TRIES_MAX; tries++) {
    const url = draw();
    if (url === undefined) return;
    const sentMs = performance.now();
    const { status, text } = await post(`${url}/push.v1.PusherService/Push`, body, { signal: pausing(url) })
      .then(async (reply) => ({ status: reply.status, text: await reply.text() }))
      .catch((error) => ({ status: undefined, text: String(error.cause ?? error) }));
    if (status === 200) {
      ledger.acked(n);
      ledger.succeeded("push", { sentMs, url, wasCutOff: wasTakenAway(url, sentMs) });
      return;
    }
    ledger.failed("push", `${status ?? "no answer"} ${shortened(text)}`, { sentMs, url, wasCutOff: status === undefined && wasTakenAway(url, sentMs) });
    if (status !== undefined && status >= 400 && status < 500 && tries === 0) return ledger.refused(n);
    await sleep(100);
  }
}

/** Asks one member for one service (undefined: all), and compares a complete answer with the ledger. Resolves with { status, recordCount, identitySum }. */
export async function queryOnce({ ledger, url, service, startMs, onWrong = () => {}, timeoutMs = REQUEST_TIMEOUT_MS, wasTakenAway = () => false, pausing = () => NEVER }) {
  const sentMs = performance.now();
  const message = {
    profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
    labelSelector: service === undefined ? "{}" : `{service_name="service-${service}"}`,
    start: String(startMs - 60_000),
    end: String(Date.now() + 60_000),
    maxNodes: "1000000",
  };
  let reply;
  let text;
  try {
    reply = await post(`${url}/querier.v1.QuerierService/SelectMergeStacktraces`, JSON.stringify(message), { timeoutMs, signal: pausing(url) });
    text = await reply.text();
  } catch (error) {
    ledger.failed("query", `no answer ${shortened(String(error.cause ?? error))}`, { sentMs, url, wasCutOff: wasTakenAway(url, sentMs) });
    return { status: undefined, text: String(error) };
  }
  if (reply.status !== 200) {
    ledger.failed("query", `${reply.status} ${shortened(text)}`, { sentMs, url });
    return { status: reply.status, text };
  }
  ledger.succeeded("query", { sentMs, url, wasCutOff: wasTakenAway(url, sentMs) });
  const wrong = ledger.check(countedIn(JSON.parse(text)), { service, sentMs, by: url });
  if (wrong.length > 0) onWrong(wrong);
  return { status: 200, recordCount: Number(reply.headers.get("x-pyromesh-records")), identitySum: reply.headers.get("x-pyromesh-identity-sum") };
}

function countedIn({ flamegraph }) {
  const counted = new Map();
  const { names = [], levels = [] } = flamegraph ?? {};
  for (const { values } of levels) {
    for (let at = 0; at < values.length; at += 4) {
      const found = /^push-(\d+)$/.exec(names[Number(values[at + 3])]);
      if (found !== null) counted.set(Number(found[1]), Number(values[at + 1]));
    }
  }
  return counted;
}

function post(url, body, { timeoutMs = REQUEST_TIMEOUT_MS, signal }) {
  return fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
}

/** Without what differs from one answer to the next. */
function shortened(text) {
  return text.slice(0, 300).replace(/\d{3,}/g, "N").replace(/[0-9a-f]{8,}/g, "H");
}
