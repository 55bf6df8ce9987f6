/**
 * The import check: the rules of docs/architecture.md that the compiler cannot check.
 *
 * Reads every source file of packages/*\/src and of test/sim/src once, as tokens (no TypeScript needed), and refuses:
 *   direction    a package that imports one it must not know, a path that leaves its package, a built-in it must not touch
 *   room         a file of one room of a package that imports from a room which comes after its own, or from beside the rooms
 *   undeclared   an import that the package's package.json does not list
 *   engine       an engine library (LevelDB, S3, ...) imported by a second file
 *   ambient      the real clock, chance or a timer outside packages/base/src
 *   testing      shipped code that imports a `testing` folder
 *   composition  a second place that puts a node together: serve.ts and the simulator (test/sim, where it is there) differ in the world alone
 *   state        a module of the node with state of its own that is not listed as harmless (MODULE_STATE): two nodes in one process must
 *                not meet in it
 *   cycle        files that import each other in a ring, types included, within and across packages
 *   load         a thread that loads, through whatever files, what only another thread needs
 *   dead         a file that no entry (index.ts, main.ts, *worker.ts, *.test.ts) reaches
 *   default      a default export
 *   star         `export *`
 *
 * `checkImports(root)` returns the offences in order of file and line; run as a program it prints them and exits 1.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { tokenize } from "./tokenize.mjs";

/** What each package may import from the others. A package that is not listed may import only base. */
const MAY_IMPORT = {
  base: [],
  profile: ["base"],
  ring: ["base"],
  gossip: ["base", "ring"],
  head: ["base", "profile"],
  block: ["base", "profile"],
  api: ["base", "profile"],
  scrape: ["base", "profile"],
  node: ["base", "profile", "ring", "gossip", "head", "block", "api", "scrape"],
  ui: ["profile"],
};

/**
 * The rooms of each package: the folders of its src. A room may use those before it. Files beside the rooms (index.ts, node.ts) compose
 * them and may use all; only a room after "." may use these files. Tests and `testing` folders are free.
 */
const ROOMS = {
  profile: ["gen", "labels", "model", "selector", "dataset", "pprof", "text", "jfr", "otlp", "scraped", "formats", "record", "graph", "scan", "files"],
  head: ["entries", "store", "disk", "state", "recovery"],
  block: ["bucket", "segment", "listing", "catalog", "objects"],
  api: ["proto", "print", "ports", "bodies", "rpc", "read", "write", "admin", "listener"],
  gossip: ["items", "table", "membership", "links", "libp2p"],
  scrape: ["relabel", "config", "http", ".", "discovery", "targets", "loop"],
  node: ["process", "cluster", "compute", "background", "release", "member", "read", "write", "scrape", "adhoc", "config", ".", "cli"],
};

const NETWORK = ["net", "http", "https", "http2", "tls", "dgram", "dns", "dns/promises"];
const DISK = ["fs", "fs/promises"];
/** Node built-ins that a package must leave to others. Tests and `testing` folders are free. */
const MUST_NOT_TOUCH = {
  profile: [...NETWORK, ...DISK, "child_process", "worker_threads"],
  ring: [...NETWORK, ...DISK, "child_process", "worker_threads"],
  gossip: DISK,
  head: NETWORK,
};

/** Libraries that only one file may import: to replace one means to change that file. */
const ENGINES = [
  { name: "libp2p", matches: /^(libp2p|@libp2p\/(?!tls(\/|$)).*|@chainsafe\/libp2p.*)$/ },
  { name: "libp2p's TLS", matches: /^@libp2p\/tls(\/|$)/ },
  { name: "LevelDB", matches: /^(classic-level|level|abstract-level)$/ },
  { name: "the S3 client", matches: /^(@aws-sdk|@smithy)\// },
  { name: "prom-client", matches: /^prom-client$/ },
  { name: "pino", matches: /^pino$/ },
  { name: "zstd", matches: /^@bokuweb\/zstd-wasm$/ },
  { name: "@datadog/pprof", matches: /^@datadog\/pprof$/ },
  { name: "@pyroscope/nodejs", matches: /^@pyroscope\/nodejs$/ },
];

/**
 * What the two ends of the composition may import: `serve` and the simulator reach a node through compose-node.ts and world.ts, and make
 * worlds; the parts of a node are put together in compose-node.ts, node.ts and compose-member.ts alone (tests of the engines and their worlds
 * in `testing` are free). Patterns of files below packages/node/src, and of other packages.
 */
const NODE_ENDS = [
  { file: "serve.ts", files: /^(compose-node|world|real-world)\.ts$|^(process|config)\//, packages: /^@pyromesh\/base$/ },
  { file: "real-world.ts", files: /^world\.ts$|^(process|config)\/|^compute\/node-threads\.ts$/, packages: /^@pyromesh\/(base|block|api|gossip|scrape)$/ },
  { file: "world.ts", files: /^(process|config)\/|^compute\/worker-threads\.ts$/, packages: /^@pyromesh\// },
  { file: "index.ts", files: /^(compose-node|world)\.ts$|^(process|config)\/|^compute\/worker-threads\.ts$/, packages: /./ },
];
/** The parts that `composeNode` puts together. The simulator must not import them: it would then run a node that `serve` does not. */
const NODE_PARTS = { "@pyromesh/head": ["Head", "openHead", "openHeadOn"], "@pyromesh/block": ["Catalog", "ObjectReader"], "@pyromesh/api": ["HttpListener", "apiRoutes", "dataRoutes", "pushHandler", "ingestHandler"], "@pyromesh/scrape": ["ScrapeLoop", "targetSource"] };

/**
 * Packages whose modules may hold no state: a node that is dropped in the middle of anything must leave nothing behind, and of two in one
 * process neither may see the other. What is listed cannot do either.
 */
const STATELESS = ["base", "profile", "ring", "gossip", "head", "block", "api", "scrape", "node"];
const SCRATCH = "scratch of one synchronous call: nothing in it is read before it is written anew";
const MEMO = "answers of a pure function, remembered: another node gets the same one";
const MODULE_STATE = {
  "packages/base/src/shared-bytes.ts": { companions: MEMO },
  "packages/gossip/src/items/announced-formats.ts": { parsed: MEMO },
  "packages/base/src/random.ts": { drawn: "of the real world's chance", drawnUsed: "of the real world's chance" },
  "packages/profile/src/labels/label-set-key.ts": { low: SCRATCH, high: SCRATCH },
  "packages/profile/src/record/record-series.ts": { low: SCRATCH, high: SCRATCH },
  "packages/profile/src/otlp/text-cache.ts": { slots: MEMO },
  "packages/profile/src/record/encode-push.ts": { decoder: SCRATCH, encoder: SCRATCH },
  "packages/profile/src/record/normalize.ts": { idTable: SCRATCH },
  "packages/profile/src/record/fix-go-truncated.ts": { depthScratch: SCRATCH, groupScratch: SCRATCH, movedScratch: SCRATCH, keyScratch: SCRATCH },
  "packages/profile/src/pprof/split-samples.ts": { keyMeaning: SCRATCH, textSpan: SCRATCH, textTrace: SCRATCH, pairs: SCRATCH, hexBytes: SCRATCH },
  "packages/profile/src/pprof/pprof-kernel.ts": { compiled: MEMO },
  "packages/profile/src/dataset/dataset.ts": { packScratch: SCRATCH },
  "packages/profile/src/dataset/packed-row.ts": { knownIds: SCRATCH },
  "packages/profile/src/selector/value-pattern.ts": { checked: MEMO },
  "packages/block/src/listing/object-path.ts": { lastPlace: MEMO },
  "packages/api/src/proto/json-scalars.ts": { keys: MEMO },
};

/** Entry of a thread -> files that it must not load: every thread has its own copy of each module in memory. */
const MUST_NOT_LOAD = {
  "packages/node/src/compute/compute.worker.ts": /^packages\/((ring|gossip|head|scrape)\/|block\/src\/(bucket|listing|catalog|objects)\/|api\/src\/(bodies|rpc|read|write|admin|listener)\/)/,
  "packages/node/src/serve.ts": /^packages\/(profile\/src\/((jfr|otlp|scraped|files)\/|formats\/formats\.ts)|node\/src\/compute\/compute-engine\.ts)/,
};

const TIMERS = new Set(["setTimeout", "setInterval", "setImmediate"]);
const CHANCE = new Set(["randomBytes", "randomUUID", "randomFill", "randomFillSync", "randomInt", "getRandomValues"]);

/**
 * @typedef {{ file: string, line: number, rule: string, message: string }} Offence
 * @typedef {{ specifier: string, line: number, isAsset: boolean, isType: boolean, isLazy: boolean, names: string[] }} Import
 * @typedef {{ file: string, package: string, isTest: boolean, isTesting: boolean, imports: Import[], tokens: import("./tokenize.mjs").Token[] }} Source
 */

/** @returns {Offence[]} */
export function checkImports(root) {
  const packages = readPackages(root);
  const sources = readSources(root, packages);
  const offences = [
    ...sources.flatMap((source) => checkDirection(source, packages)),
    ...sources.flatMap(checkRooms),
    ...sources.flatMap((source) => checkUndeclared(source, packages, root)),
    ...checkEngines(sources),
    ...sources.flatMap(checkAmbient),
    ...sources.flatMap((source) => checkTesting(source)),
    ...sources.flatMap(checkExports),
    ...sources.flatMap(checkState),
    ...checkComposition(sources, readSimulator(root)),
  ];
  const edges = resolveEdges(sources, packages);
  offences.push(...checkCycles(sources, edges), ...checkLoads(edges), ...checkDead(sources, edges));
  return offences.sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
}

// --- reading --------------------------------------------------------------------------------------------------------

/** Folder name -> its manifest. */
function readPackages(root) {
  const packages = new Map();
  const folder = path.join(root, "packages");
  for (const name of readdirSync(folder).sort()) {
    const manifestFile = path.join(folder, name, "package.json");
    const manifest = existsSync(manifestFile) ? JSON.parse(readFileSync(manifestFile, "utf8")) : undefined;
    packages.set(name, {
      npmName: manifest?.name ?? (name === "node" ? "pyromesh" : `@pyromesh/${name}`),
      declared: manifest && new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.optionalDependencies })),
      declaredForTests: new Set(Object.keys(manifest?.devDependencies ?? {})),
      entries: Object.keys(manifest?.exports ?? { ".": {}, "./testing": {} }),
    });
  }
  return packages;
}

function readSources(root, packages) {
  const sources = [];
  for (const name of packages.keys()) {
    for (const file of listFiles(path.join(root, "packages", name, "src"))) {
      if (!/\.tsx?$/.test(file) || file.endsWith(".d.ts")) continue;
      const relative = path.relative(root, file).split(path.sep).join("/");
      const tokens = tokenize(readFileSync(file, "utf8"));
      sources.push({
        file: relative,
        package: name,
        isTest: /\.test\.tsx?$/.test(relative),
        isTesting: relative.includes("/src/testing/"),
        imports: findImports(tokens),
        tokens,
      });
    }
  }
  return sources;
}

/** The files of the simulator, which belong to no package: only their imports are checked. Empty where the tree has no simulator. */
function readSimulator(root) {
  return listFiles(path.join(root, "test/sim/src"))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({ file: path.relative(root, file).split(path.sep).join("/"), imports: findImports(tokenize(readFileSync(file, "utf8"))) }));
}

function listFiles(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const full = path.join(folder, entry.name);
      return entry.isDirectory() ? listFiles(full) : [full];
    });
}

/** Finds every way in which a file names another one: import, export ... from, import(), import types, new URL(..., import.meta.url). */
function findImports(tokens) {
  const imports = [];
  const add = (token, { isAsset = false, isLazy = false, isType = false, names = [] } = {}) => imports.push({ specifier: token.text, line: token.line, isAsset, isType, isLazy, names });
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token.kind !== "word" || isText(tokens[i - 1], ".")) continue;
    if (token.text === "import") {
      const next = tokens[i + 1];
      if (isText(next, "(") && tokens[i + 2]?.kind === "string") add(tokens[i + 2], { isLazy: true });
      else if (next?.kind === "string") add(next);
      else if (!isText(next, ".") && !isText(next, ":") && !isText(next, "(")) {
        const from = findFrom(tokens, i + 1);
        if (from === undefined) continue;
        add(from, { isType: isWord(next, "type") && !isWord(tokens[i + 2], "from"), names: namesBetween(tokens, i + 1, from) });
      }
    } else if (token.text === "export") {
      const next = isWord(tokens[i + 1], "type") ? tokens[i + 2] : tokens[i + 1];
      if (isText(next, "{") || isText(next, "*")) {
        const from = findFrom(tokens, i + 1);
        if (from !== undefined) add(from, { isType: isWord(tokens[i + 1], "type") });
      }
    } else if (token.text === "URL" && isText(tokens[i + 1], "(") && tokens[i + 2]?.kind === "string" && isText(tokens[i + 3], ",") && isWord(tokens[i + 4], "import")) {
      add(tokens[i + 2], { isAsset: true });
    } else if (token.text === "require" && isText(tokens[i + 1], "(") && tokens[i + 2]?.kind === "string") {
      add(tokens[i + 2]);
    }
  }
  return imports;
}

/** The names that a clause takes from what it imports. */
function namesBetween(tokens, at, end) {
  const names = [];
  for (let i = at; tokens[i] !== end; i++) if (tokens[i].kind === "word" && !isWord(tokens[i - 1], "as")) names.push(tokens[i].text);
  return names;
}

/** The string after `from` of the clause that begins at `at`; undefined where the clause has none. */
function findFrom(tokens, at) {
  let depth = 0;
  for (let i = at; i < tokens.length; i++) {
    const token = tokens[i];
    if (isText(token, "{")) depth++;
    else if (isText(token, "}")) depth--;
    else if (depth === 0 && isWord(token, "from") && tokens[i + 1]?.kind === "string") return tokens[i + 1];
    else if (depth === 0 && (isText(token, ";") || isText(token, "=") || isText(token, "("))) return undefined;
    else if (depth === 0 && i > at && (isWord(token, "import") || isWord(token, "export") || isWord(token, "const"))) return undefined;
  }
  return undefined;
}

const isText = (token, text) => token?.kind === "mark" && token.text === text;
const isWord = (token, text) => token?.kind === "word" && token.text === text;

// --- rules on one file ----------------------------------------------------------------------------------------------

function packageOf(specifier, packages) {
  for (const [name, { entries, npmName }] of packages) {
    if (specifier === npmName || specifier.startsWith(`${npmName}/`)) return { name, npmName, entries };
  }
  return undefined;
}

function checkDirection(source, packages) {
  const offences = [];
  const mayImport = MAY_IMPORT[source.package] ?? ["base"];
  const refuse = (line, message) => offences.push({ file: source.file, line, rule: "direction", message });
  const allowedWords = mayImport.length === 0 ? "no other package" : `only ${mayImport.join(", ")}`;
  for (const { specifier, line, isAsset } of source.imports) {
    if (specifier.startsWith(".")) {
      const target = path.posix.join(path.posix.dirname(source.file), specifier);
      // A file that is only located (new URL) may lie anywhere but in another package's source.
      const isOutside = isAsset ? /^packages\/[^/]+\/src\//.test(target) : true;
      if (isOutside && !target.startsWith(`packages/${source.package}/`)) {
        refuse(line, `${JSON.stringify(specifier)} leaves the package: import the other package by its name`);
      }
      continue;
    }
    if (isAsset) continue;
    if (specifier.startsWith("node:")) {
      const builtin = specifier.slice("node:".length);
      const forbidden = source.package === "ui" || (MUST_NOT_TOUCH[source.package] ?? []).includes(builtin);
      if (forbidden && !source.isTest && !source.isTesting) {
        refuse(line, `${source.package} must not import ${specifier}: take it in as a module, or move the code to the package that owns it`);
      }
      continue;
    }
    const target = packageOf(specifier, packages);
    if (target === undefined) continue;
    if (target.name === source.package) refuse(line, `${specifier} is this package: import the file itself`);
    else if (!mayImport.includes(target.name)) refuse(line, `${source.package} must not import ${specifier}: it may import ${allowedWords}`);
    else if (!target.entries.includes(specifier.replace(target.npmName, "."))) {
      refuse(line, `${specifier} is inside a package: import one of ${target.entries.map((entry) => entry.replace(".", target.npmName)).join(", ")}`);
    }
  }
  return offences;
}

function checkRooms(source) {
  const rooms = ROOMS[source.package];
  if (rooms === undefined || source.isTest || source.isTesting) return [];
  const own = roomOf(source.file);
  if (own === undefined) return [];
  if (!rooms.includes(own)) return [{ file: source.file, line: 1, rule: "room", message: `${own} is not a room of ${source.package}: use one of ${rooms.join(", ")}, or add it to ROOMS of this script` }];
  const offences = [];
  for (const { specifier, line, isAsset } of source.imports) {
    if (isAsset || !specifier.startsWith(".")) continue;
    const room = roomOf(path.posix.join(path.posix.dirname(source.file), specifier)) ?? ".";
    if (room === own || room === "testing" || (rooms.includes(room) && rooms.indexOf(room) < rooms.indexOf(own))) continue;
    if (room === ".") offences.push({ file: source.file, line, rule: "room", message: `${specifier} lies beside the rooms and puts them together: no room may import it` });
    else offences.push({ file: source.file, line, rule: "room", message: `${own} must not import from ${room}: it may use ${rooms.slice(0, rooms.indexOf(own)).join(", ") || "no other room"}` });
  }
  return offences;
}

/** The folder of `src` in which a file is; undefined for files directly in `src` or outside of it. */
function roomOf(file) {
  return /^packages\/[^/]+\/src\/([^/]+)\//.exec(file)?.[1];
}

function checkUndeclared(source, packages, root) {
  const own = packages.get(source.package);
  if (own.declared === undefined) return [];
  const offences = [];
  for (const { specifier, line, isAsset } of source.imports) {
    if (isAsset || specifier.startsWith(".") || specifier.startsWith("node:")) continue;
    const name = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
    if (own.declared.has(name)) continue;
    if ((source.isTest || source.isTesting) && (own.declaredForTests.has(name) || rootDevDependencies(root).has(name))) continue;
    offences.push({ file: source.file, line, rule: "undeclared", message: `${name} is not in packages/${source.package}/package.json: list it under dependencies, or do without` });
  }
  return offences;
}

function rootDevDependencies(root) {
  const file = path.join(root, "package.json");
  return new Set(existsSync(file) ? Object.keys(JSON.parse(readFileSync(file, "utf8")).devDependencies ?? {}) : []);
}

function checkAmbient(source) {
  if (["base", "ui"].includes(source.package) || source.isTest || source.isTesting) return [];
  const offences = [];
  const refuse = (token, what, instead) =>
    offences.push({ file: source.file, line: token.line, rule: "ambient", message: `${what} outside base: take a ${instead} as a module` });
  const { tokens } = source;
  tokens.forEach((token, i) => {
    if (token.kind === "string" && /^(node:)?timers(\/promises)?$/.test(token.text)) refuse(token, `import of ${token.text}`, "Clock");
    if (token.kind !== "word") return;
    const [before, next, afterNext] = [tokens[i - 1], tokens[i + 1], tokens[i + 2]];
    const isMember = isText(before, ".") && !isWord(tokens[i - 2], "globalThis");
    const reads = (name) => isText(next, ".") && isWord(afterNext, name);
    if (token.text === "Date" && !isMember) {
      if (reads("now")) refuse(token, "Date.now", "Clock");
      else if (isWord(before, "new") && !(isText(next, "(") && !isText(afterNext, ")"))) refuse(token, "new Date() without a time", "Clock");
    } else if (token.text === "performance" && !isMember && reads("now")) refuse(token, "performance.now", "Clock");
    else if (token.text === "process" && !isMember && reads("hrtime")) refuse(token, "process.hrtime", "Clock");
    else if (token.text === "AbortSignal" && reads("timeout")) refuse(token, "AbortSignal.timeout", "Clock");
    else if (token.text === "Math" && !isMember && reads("random")) refuse(token, "Math.random", "Random");
    else if (TIMERS.has(token.text) && !isMember && !isDeclared(tokens, i)) refuse(token, token.text, "Clock");
    else if (CHANCE.has(token.text) && isText(next, "(") && !isWord(before, "function")) refuse(token, token.text, "Random");
  });
  return offences;
}

/** A property, parameter or method with such a name (`setTimeout(delayMs: number): void`) is not the timer. */
function isDeclared(tokens, i) {
  const [before, next] = [tokens[i - 1], tokens[i + 1]];
  if (isText(next, ":")) return isText(before, "{") || isText(before, ",") || isText(before, ";") || isText(before, "(");
  return isText(next, "(") && tokens[i + 2]?.kind === "word" && (isText(tokens[i + 3], ":") || (isText(tokens[i + 3], "?") && isText(tokens[i + 4], ":")));
}

function checkTesting(source) {
  if (source.isTest || source.isTesting) return [];
  return source.imports
    .filter(({ specifier }) => /(^|\/)testing(\/|$)/.test(specifier) || /\.test\.[jt]s$/.test(specifier))
    .map(({ specifier, line }) => ({ file: source.file, line, rule: "testing", message: `${specifier} is for tests: shipped code must not import it` }));
}

function checkExports(source) {
  const offences = [];
  const { tokens } = source;
  tokens.forEach((token, i) => {
    if (!isWord(token, "export") || isText(tokens[i - 1], ".") || isText(tokens[i + 1], ":")) return;
    const next = isWord(tokens[i + 1], "type") ? tokens[i + 2] : tokens[i + 1];
    if (isText(next, "*")) {
      offences.push({ file: source.file, line: token.line, rule: "star", message: "export * hides what is public: list the names" });
    } else if (isWord(next, "default")) {
      offences.push({ file: source.file, line: token.line, rule: "default", message: "a default export has no name to search for: export it by name" });
    } else if (isText(next, "{")) {
      for (let j = i + 1; j < tokens.length && !isText(tokens[j], "}"); j++) {
        if (isWord(tokens[j], "as") && isWord(tokens[j + 1], "default")) {
          offences.push({ file: source.file, line: token.line, rule: "default", message: "a default export has no name to search for: export it by name" });
        }
      }
    }
  });
  return offences;
}

/** `let` at the top of a module, and a collection or buffer that is made there and may be written to. */
function checkState(source) {
  if (!STATELESS.includes(source.package) || source.isTest || source.isTesting || source.file.endsWith("worker.ts")) return [];
  const allowed = MODULE_STATE[source.file] ?? {};
  const offences = [];
  const { tokens } = source;
  let depth = 0;
  tokens.forEach((token, i) => {
    if (isText(token, "{") || isText(token, "(") || isText(token, "[")) depth++;
    else if (isText(token, "}") || isText(token, ")") || isText(token, "]")) depth--;
    if (depth > 0 || token.kind !== "word") return;
    const name = tokens[i + 1]?.text;
    const isState = token.text === "let" || (token.text === "const" && isWritable(tokens, i + 2));
    if (!isState || Object.hasOwn(allowed, name)) return;
    offences.push({ file: source.file, line: token.line, rule: "state", message: `${name} is state of the module: hold it in an object of the node's, or say in MODULE_STATE of this script why two nodes cannot meet in it` });
  });
  return offences;
}

/** A constant in capitals is one, and so is what its type says is not written to. */
function isWritable(tokens, at) {
  if (/^[A-Z0-9_]+$/.test(tokens[at - 1]?.text ?? "")) return false;
  for (let i = at; i < tokens.length && !isText(tokens[i], ";"); i++) {
    if (isText(tokens[i], "=")) return isWord(tokens[i + 1], "new") && /^(Map|Set|WeakMap|WeakSet|LRUCache|[A-Za-z0-9]*Array|[A-Z][A-Za-z]*Table)$/.test(tokens[i + 2]?.text ?? "");
    if (/^(Readonly|readonly)/.test(tokens[i].text)) return false;
  }
  return false;
}

// --- rules on the whole ---------------------------------------------------------------------------------------------

function checkComposition(sources, simulator) {
  const offences = [];
  const refuse = (file, line, message) => offences.push({ file, line, rule: "composition", message });
  const src = "packages/node/src/";
  for (const { file, imports, isTest, isTesting } of sources) {
    if (!file.startsWith(src)) continue;
    const end = NODE_ENDS.find((one) => src + one.file === file);
    for (const { isAsset, isType, line, specifier } of imports) {
      if (isAsset) continue;
      const target = specifier.startsWith(".") ? path.posix.join(path.posix.dirname(file), specifier).slice(src.length) : undefined;
      if (target === "node.ts" && !isTest && !isTesting && !isType && file !== `${src}compose-node.ts`) refuse(file, line, "a node's engines are put together for compose-node.ts alone: call composeNode");
      if (end === undefined || specifier.startsWith("node:")) continue;
      if (target === undefined ? !end.packages.test(specifier) : !end.files.test(target)) refuse(file, line, `${end.file} must not reach ${specifier}: what is of the world goes into World, the rest into compose-node.ts`);
    }
  }
  for (const { file, imports } of simulator) {
    for (const { isType, line, names, specifier } of imports) {
      if (specifier.startsWith(".")) {
        if (!path.posix.join(path.posix.dirname(file), specifier).startsWith("test/sim/")) refuse(file, line, `${specifier} leaves the simulator: it reaches the node through "pyromesh" (composeNode, World)`);
      } else if (/^(pyromesh|@pyromesh\/[^/]+)\/(?!testing$)/.test(specifier)) refuse(file, line, `${specifier} is inside a package: the simulator reaches the node through "pyromesh" (composeNode, World)`);
      else {
        const part = isType ? undefined : names.find((name) => NODE_PARTS[specifier]?.includes(name));
        if (part !== undefined) refuse(file, line, `${part} is a part of the node: composeNode puts it in, as in serve`);
      }
    }
  }
  if (simulator.length > 0 && !simulator.some(({ imports }) => imports.some(({ names, specifier }) => specifier === "pyromesh" && names.includes("composeNode")))) {
    refuse(simulator[0].file, 1, `the simulator composes no node: call composeNode of "pyromesh"`);
  }
  return offences;
}

function checkEngines(sources) {
  const offences = [];
  for (const engine of ENGINES) {
    const uses = sources
      .filter((source) => !source.isTest && !source.isTesting)
      .flatMap((source) => source.imports.filter(({ specifier }) => engine.matches.test(specifier)).slice(0, 1).map(({ line }) => ({ file: source.file, line })));
    for (const { file, line } of uses.slice(1)) {
      offences.push({ file, line, rule: "engine", message: `${engine.name} is imported by ${uses[0].file} already: go through that file` });
    }
  }
  return offences;
}

/** file -> the source files that it names, each with its line. */
function resolveEdges(sources, packages) {
  const known = new Set(sources.map(({ file }) => file));
  const edges = new Map();
  for (const source of sources) {
    const targets = [];
    for (const { specifier, line, isAsset, isLazy, isType } of source.imports) {
      const target = resolve(source.file, specifier, known, packages);
      if (target !== undefined && target !== source.file) targets.push({ target, line, isAsset, isLoaded: !isAsset && !isLazy && !isType });
    }
    edges.set(source.file, targets);
  }
  return edges;
}

function resolve(from, specifier, known, packages) {
  let base;
  if (specifier.startsWith(".")) base = path.posix.join(path.posix.dirname(from), specifier);
  else {
    const target = packageOf(specifier, packages);
    if (target === undefined) return undefined;
    const rest = specifier.slice(target.npmName.length);
    base = `packages/${target.name}/src${rest}/index.ts`;
  }
  return [base, base.replace(/\.js$/, ".ts"), base.replace(/\.js$/, ".tsx"), `${base}.ts`, `${base}.tsx`, `${base}/index.ts`].find((file) => known.has(file));
}

/** One offence for each cycle: the shortest path back to its first file (by name). */
function checkCycles(sources, edges) {
  const offences = [];
  const reported = new Set();
  for (const { file } of sources) {
    if (reported.has(file)) continue;
    const ring = wayBack(file, edges);
    if (ring === undefined) continue;
    for (const member of ring) reported.add(member);
    const { line } = edges.get(file).find(({ target }) => target === (ring[1] ?? file));
    offences.push({ file, line, rule: "cycle", message: `imports go round: ${[...ring, file].join(" -> ")}; move what both need into a file of its own` });
  }
  return offences;
}

/** Breadth first from `start` until an edge leads back to it. The URL of a worker is not followed: it starts a thread of its own. */
function wayBack(start, edges) {
  const cameFrom = new Map([[start, undefined]]);
  const queue = [start];
  for (const file of queue) {
    for (const { target, isAsset } of edges.get(file) ?? []) {
      if (isAsset) continue;
      if (target === start) {
        const ring = [];
        for (let at = file; at !== undefined; at = cameFrom.get(at)) ring.unshift(at);
        return ring;
      }
      if (!cameFrom.has(target)) {
        cameFrom.set(target, file);
        queue.push(target);
      }
    }
  }
  return undefined;
}

/** One offence for each entry: the shortest way to a file that it must not load. Types and `import()` load nothing. */
function checkLoads(edges) {
  const offences = [];
  for (const [entry, mustNot] of Object.entries(MUST_NOT_LOAD)) {
    const cameFrom = new Map([[entry, undefined]]);
    for (const file of cameFrom.keys()) {
      if (mustNot.test(file)) {
        const way = [];
        for (let at = file; at !== undefined; at = cameFrom.get(at)) way.unshift(at);
        const { line } = edges.get(entry).find(({ target }) => target === way[1]);
        offences.push({ file: entry, line, rule: "load", message: `its thread would load ${way.slice(1).join(" -> ")}: import from an entry of that package that does without, as @pyromesh/api/print` });
        break;
      }
      for (const { target, isLoaded } of edges.get(file) ?? []) if (isLoaded && !cameFrom.has(target)) cameFrom.set(target, file);
    }
  }
  return offences;
}

function checkDead(sources, edges) {
  const isEntry = (source) => source.isTest || /\/src\/(testing\/)?(index|main)\.tsx?$/.test(source.file) || /worker\.tsx?$/.test(source.file);
  const alive = new Set(sources.filter(isEntry).map(({ file }) => file));
  for (const file of alive) for (const { target } of edges.get(file) ?? []) alive.add(target);
  return sources
    .filter(({ file }) => !alive.has(file))
    .map(({ file }) => ({ file, line: 1, rule: "dead", message: "nothing imports this file: export it from index.ts, use it, or delete it" }));
}

// --- the program ----------------------------------------------------------------------------------------------------

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === path.resolve(process.argv[1])) {
  const root = path.resolve(process.argv[2] ?? path.join(path.dirname(fileURLToPath(import.meta.url)), ".."));
  if (!statSync(path.join(root, "packages"), { throwIfNoEntry: false })?.isDirectory()) {
    console.error(`no packages folder in ${root}: name the root of the repository`);
    process.exit(2);
  }
  const offences = checkImports(root);
  for (const { file, line, rule, message } of offences) console.error(`${file}:${line}: ${rule}: ${message}`);
  console.error(offences.length === 0 ? "import check: clean" : `import check: ${offences.length} offence${offences.length === 1 ? "" : "s"}`);
  process.exitCode = offences.length === 0 ? 0 : 1;
}
