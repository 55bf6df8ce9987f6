/**
 * A fake node for the page. It serves the built page as a real node does (strict Content-Security-Policy, relative paths) and answers the
 * querier with canned JSON in the form of Pyroscope's recorded answers: int64 as strings, empty fields omitted, errors as {code,
 * message}.
 */
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
export const HEAP = "memory:inuse_space:bytes:space:bytes";
export const WALL = "wall:wall:nanoseconds:wall:nanoseconds";

const dist = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../packages/ui/dist");
// The policy of the real node, so that what it forbids fails here too.
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/**
 * `answers`: method name -> (request body, headers) => a body, or {status, headers, body}, or a promise of either. A test replaces the
 * ones it needs.
 */
export async function startFakeNode(answers) {
  if (!existsSync(path.join(dist, "index.html"))) throw new Error("packages/ui/dist is missing: run npm run build first");
  const node = { answers, requests: [], url: "", close: undefined };
  const server = createServer((request, response) => {
    serve(node, request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  node.url = `http://127.0.0.1:${server.address().port}/`;
  node.close = () =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(resolve);
    });
  return node;
}

async function serve(node, request, response) {
  const { pathname } = new URL(request.url, "http://node");
  if (request.method === "GET") return serveFile(pathname, response);
  let text = "";
  for await (const chunk of request) text += chunk;
  const method = pathname.slice(pathname.lastIndexOf("/") + 1);
  const body = JSON.parse(text);
  const seen = { method, body, headers: request.headers, isAborted: false };
  node.requests.push(seen);
  response.on("close", () => {
    seen.isAborted = !response.writableFinished;
  });
  const answer = await node.answers[method]?.(body, request.headers);
  const { status, headers, body: answerBody } = answer === undefined ? { status: 404, body: { code: "unimplemented", message: `no ${method} here` } } : "status" in answer ? answer : { status: 200, body: answer };
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(answerBody));
}

function serveFile(pathname, response) {
  const file = path.join(dist, pathname === "/" ? "index.html" : path.normalize(pathname));
  const type = TYPES[path.extname(file)];
  if (!file.startsWith(dist) || type === undefined || !existsSync(file)) return void response.writeHead(404).end();
  response.writeHead(200, { "content-type": type, "content-security-policy": POLICY, "x-content-type-options": "nosniff" });
  createReadStream(file).pipe(response);
}

// --- canned answers -------------------------------------------------------------------------------------------------

/** A store with three services; `shop` has the newest data. */
export function loadedAnswers(nowMs = Date.now()) {
  return {
    Series: () => ({ labelsSet: [series("billing", CPU), series("search", WALL), series("shop", CPU), series("shop", HEAP)] }),
    GetProfileStats: () => ({ dataIngested: true, oldestProfileTime: String(nowMs - 3_600_000), newestProfileTime: String(nowMs) }),
    SelectMergeStacktraces: ({ profileTypeID }) => ({ flamegraph: encode(profileTypeID === HEAP ? HEAP_STACKS : SHOP_STACKS) }),
    SelectSeries: ({ start, end, step, groupBy }) => {
      if (groupBy?.length > 0) return { series: [timeSeries(start, end - 300_000, step, "billing"), timeSeries(start, end, step, "shop")] };
      return { series: [timeSeries(start, end, step)] };
    },
  };
}

export function emptyAnswers() {
  return { Series: () => ({}), GetProfileStats: () => ({}), SelectMergeStacktraces: () => ({ flamegraph: { names: ["total"], levels: [{ values: ["0", "0", "0", "0"] }] } }), SelectSeries: () => ({}) };
}

function series(service, profileType) {
  return { labels: [{ name: "__profile_type__", value: profileType }, { name: "service_name", value: service }] };
}

function timeSeries(start, end, step, service) {
  const points = [];
  for (let timestamp = Number(start); timestamp <= Number(end); timestamp += step * 1000) {
    const turn = timestamp / 90_000;
    points.push({ value: Math.round(4e9 + 2.4e9 * Math.sin(turn) + 1.1e9 * Math.sin(turn * 2.7)), timestamp: String(timestamp) });
  }
  return { ...(service === undefined ? {} : { labels: [{ name: "service_name", value: service }] }), points };
}

const MS = 1e6;
const HTTP = ["net/http.(*conn).serve", "net/http.serverHandler.ServeHTTP", "net/http.HandlerFunc.ServeHTTP", "github.com/acme/shop/web.(*Router).ServeHTTP"];
const CART = [...HTTP, "github.com/acme/shop/web.handleCart", "github.com/acme/shop/cart.(*Cart).Add"];
const QUERY = ["database/sql.(*DB).QueryContext", "database/sql.(*DB).query", "database/sql.(*DB).queryDC"];
export const SHOP_STACKS = [
  [[...CART, "github.com/acme/shop/price.Round"], 420 * MS],
  [[...CART, "github.com/acme/shop/price.Total", "github.com/acme/shop/price.Round"], 610 * MS],
  [[...CART, "github.com/acme/shop/price.Total", "github.com/acme/shop/price.discount"], 330 * MS],
  [[...CART, ...QUERY, "github.com/lib/pq.(*conn).Query", "github.com/lib/pq.(*conn).recv"], 240 * MS],
  [[...CART, ...QUERY, "github.com/lib/pq.(*conn).Query", "github.com/lib/pq.(*conn).send", "syscall.Write"], 260 * MS],
  [[...CART], 90 * MS],
  [[...HTTP, "github.com/acme/shop/web.handleSearch", "encoding/json.Marshal", "encoding/json.(*encodeState).marshal", "encoding/json.structEncoder.encode", "encoding/json.stringEncoder"], 870 * MS],
  [[...HTTP, "github.com/acme/shop/web.handleSearch", "encoding/json.Marshal", "encoding/json.(*encodeState).marshal", "encoding/json.structEncoder.encode", "encoding/json.structEncoder.encode", "encoding/json.floatEncoder.encode"], 380 * MS],
  [[...HTTP, "github.com/acme/shop/web.handleSearch", "regexp.(*Regexp).FindAllString", "regexp.(*Regexp).doExecute", "regexp.(*machine).step"], 540 * MS],
  [[...HTTP, "github.com/acme/shop/web.handleSearch", "regexp.(*Regexp).FindAllString", "regexp.(*Regexp).doExecute", "regexp.(*machine).add"], 310 * MS],
  [[...HTTP, "github.com/acme/shop/web.handleSearch", "strings.ToLower"], 120 * MS],
  [[...HTTP, "github.com/acme/shop/web.(*Router).match"], 75 * MS],
  [["runtime.gcBgMarkWorker", "runtime.systemstack", "runtime.gcBgMarkWorker.func2", "runtime.gcDrain", "runtime.scanobject"], 640 * MS],
  [["runtime.gcBgMarkWorker", "runtime.systemstack", "runtime.gcBgMarkWorker.func2", "runtime.gcDrain", "runtime.markroot", "runtime.markroot.func1", "runtime.scanstack"], 210 * MS],
  [["runtime.mcall", "runtime.park_m", "runtime.schedule", "runtime.findRunnable", "runtime.netpoll", "runtime.epollwait"], 190 * MS],
  [["runtime.mcall", "runtime.park_m", "runtime.schedule", "runtime.findRunnable", "runtime.stealWork"], 95 * MS],
  [["main.main", "github.com/acme/shop/jobs.(*Scheduler).Run", "github.com/acme/shop/jobs.reindex", "compress/gzip.(*Writer).Write", "compress/flate.(*compressor).deflate"], 450 * MS],
  [["main.main", "github.com/acme/shop/jobs.(*Scheduler).Run", "github.com/acme/shop/jobs.reindex", "sort.Slice", "sort.pdqsort_func", "github.com/acme/shop/jobs.reindex.func1"], 160 * MS],
];
const HEAP_STACKS = [
  [["main.main", "github.com/acme/shop/cache.New", "github.com/acme/shop/cache.(*Cache).grow"], 64 * 2 ** 20],
  [["net/http.(*conn).serve", "bufio.NewReaderSize"], 12 * 2 ** 20],
];

/** `count` leaves in ten levels, from wide ones to ones far below a pixel. */
export function manyStacks(count) {
  const stacks = [];
  for (let index = 0; index < count; index += 1) {
    const stack = ["main.main"];
    for (let level = 1, rest = index; level < 10; level += 1, rest = Math.floor(rest / 4)) stack.push(`pkg${rest % 4}.level${level}_${rest % 97}`);
    stacks.push([stack, 1000 + ((index * 7919) % 5000)]);
  }
  return stacks;
}

/** `depth` functions below each other. */
export function deepStacks(depth) {
  return [[Array.from({ length: depth }, (_, level) => `main.level${level}`), 1000]];
}

/** Encodes stacks from the root, with values, as a flame graph in Connect's JSON. */
export function encode(stacks) {
  const root = { total: 0, self: 0, children: new Map() };
  for (const [stack, value] of stacks) {
    root.total += value;
    let node = root;
    for (const name of stack) {
      if (!node.children.has(name)) node.children.set(name, { total: 0, self: 0, children: new Map() });
      node = node.children.get(name);
      node.total += value;
    }
    node.self += value;
  }
  const names = ["total"];
  const indexes = new Map([["total", 0]]);
  const levels = [];
  const ends = [];
  const put = (name, node, start, level) => {
    if (!indexes.has(name)) indexes.set(name, names.push(name) - 1);
    levels[level] ??= { values: [] };
    levels[level].values.push(String(start - (ends[level] ?? 0)), String(node.total), String(node.self), String(indexes.get(name)));
    ends[level] = start + node.total;
    let childStart = start + node.self;
    for (const childName of [...node.children.keys()].sort()) {
      const child = node.children.get(childName);
      put(childName, child, childStart, level + 1);
      childStart += child.total;
    }
  };
  put("total", root, 0, 0);
  return { names, levels, total: String(root.total), maxSelf: "1" };
}
