/** `pyromesh serve`: the real clock, disk, bucket and threads, and the signals that end it. */
import { availableParallelism } from "node:os";
import { readFile, statfs } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { adminRoutes, apiRoutes, HttpListener, dataRoutes, Discards, ingestHandler, PushCounts, pushHandler, QUERY_BODY_BYTES_MAX_DEFAULT, RateLimit } from "@pyromesh/api";
import type { ServerLimits } from "@pyromesh/api";
import { CodedError, fasterClock, Metrics, openLogger, systemClock, systemRandom } from "@pyromesh/base";
import type { Clock, Logger, TenantId } from "@pyromesh/base";
import { LocalFiles, MeteredBucket, openBucket } from "@pyromesh/block";
import { checkHeadFormat, measureHead, openHead } from "@pyromesh/head";
import { readBuildInfo } from "./process/build-info.ts";
import type { Compute } from "./compute/compute.ts";
import { WorkerCompute } from "./compute/worker-compute.ts";
import type { Config } from "./config/config.ts";
import { queryLimitsOf, writeLimitsOf } from "./config/api-limits.ts";
import { LiveLimits } from "./config/live-limits.ts";
import { dataDirError, prepareDataDir } from "./process/data-dir.ts";
import { DataDisk } from "./process/data-disk.ts";
import { printAddress } from "./config/setting.ts";
import { watchEventLoopLag } from "./process/event-loop-lag.ts";
import { memoryLimitBytes } from "./process/memory-limit.ts";
import { planMemory } from "./process/memory-plan.ts";
import type { MemoryPlan } from "./process/memory-plan.ts";
import { Node } from "./node.ts";
import type { NodeModules } from "./node.ts";
import { openFilesLimit, planOpenFiles } from "./process/open-files.ts";
import { loadPages } from "./process/pages.ts";
import { addProcessMetrics } from "./process/process-metrics.ts";
import { ProcessProfiler } from "./process/process-profiler.ts";
import { startSelfProfile } from "./process/self-profile.ts";
import type { SelfProfile } from "./process/self-profile.ts";
import { stopOnSignals } from "./process/stop-signals.ts";
import { setV8Flags } from "./process/v8-flags.ts";

/** SIGTERM to exit: a push in flight, a segment being written, the head's close. */
const STOP_TIMEOUT_MS = 14_000;
/** Requests' part of it. A client that stalls is cut off then, so that the node ends in time all the same. */
const REQUESTS_STOP_TIMEOUT_MS = STOP_TIMEOUT_MS - 6_000;
/** Of the operator's own listener, which a scrape and a person use. */
const ADMIN_CONNECTION_COUNT_MAX = 100;
/** More workers than this only cost memory: the main thread is the next bound. */
const WORKERS_MAX = 8;

/** `load` reads the settings anew, with another text in the configuration file. */
export async function runServe(config: Config, load: (fileText: string) => Config): Promise<void> {
  await prepareDataDir(config.dataDir);
  // Before anything in it is touched, which a later format may not bear.
  await inDataDir(config, () => checkHeadFormat(join(config.dataDir, "head")));
  const logger = openLogger(config.logLevel);
  const clock = systemClock;
  const random = systemRandom;
  const metrics = new Metrics();
  const buildInfo = readBuildInfo();
  metrics.gauge("pyromesh_build_info", "What this build is; always 1.", ["version", "revision", "node_version"], (gauge) =>
    gauge.set({ version: buildInfo.version, revision: buildInfo.revision, node_version: buildInfo.nodeVersion }, 1),
  );
  addProcessMetrics({ metrics, clock, openFilesMax: openFilesLimit() });
  const lag = watchEventLoopLag(metrics);

  const workerCount = workerCountOf(config);
  const memory = planMemory({ memoryBytes: memoryLimitBytes(), workerCount: workerCount });
  setV8Flags(memory);
  const compute = new WorkerCompute(
    { workerCount, openDatasetBytesMax: memory.openDatasetBytes, pushBytesMax: memory.pushBytes, recordBytesMax: memory.recordBytesMax, memory: memory.worker },
    {
      clock,
      logger,
      metrics,
      onHopeless: (error) => {
        logger.error("a worker thread cannot be kept alive; the node ends, and its restart replays what was accepted", { error });
        process.exit(1);
      },
    },
  );
  const limits = new LiveLimits(config, { clock, logger, metrics, readFile: (file) => readFile(file, "utf8"), load });
  try {
    await serve(config, compute, { clock, random, logger, metrics, buildInfo, limits, memory });
  } catch (error) {
    // The workers would keep the process alive.
    await compute.stop();
    throw error;
  } finally {
    limits.stop();
    lag.stop();
  }
}

/** What the system refuses there is told in words. */
async function inDataDir<T>({ dataDir }: Config, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (thrown) {
    throw dataDirError(dataDir, thrown);
  }
}

type ServeModules = Pick<NodeModules, "clock" | "random" | "logger" | "metrics" | "buildInfo"> & Required<Pick<NodeModules, "memory">> & { readonly limits: LiveLimits };

async function serve(config: Config, compute: Compute, modules: ServeModules): Promise<void> {
  const { clock, limits, logger, metrics, random } = modules;
  const { dataDir } = config;
  const disk = new DataDisk(dataDir, { metrics });
  const node = new Node(config, {
    ...modules,
    compute,
    bucketClock: fasterClock(clock, bucketSpeed()),
    measureDisk: () => disk.measure(),
    openBucket: async () => new MeteredBucket(await openBucket(config.bucket === "" ? undefined : config.bucket, { dataDir, clock, random, logger }), { clock, metrics }),
    openLocal: () => inDataDir(config, () => LocalFiles.open({ dir: join(dataDir, "sealed") }, { clock, random })),
    openHead: (hooks) =>
      inDataDir(config, async () => {
        const dirs = { dir: join(dataDir, "head"), sealedDir: join(dataDir, "sealed") };
        const diskBudgetBytes = await diskBudgetOf(config, dirs, logger);
        return openHead({ ...dirs, diskBudgetBytes }, { clock, random, logger, metrics, ...hooks });
      }),
  });
  let listeners: readonly HttpListener[] = [];
  let selfProfile: Promise<SelfProfile | undefined> | undefined;
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const profiling = await selfProfile;
    await profiling?.stop().catch((error: unknown) => logger.debug("self-profile did not stop cleanly", { error }));
    await Promise.all(listeners.map((listener) => listener.stop()));
    await node.stop();
  };
  // Before it says that it listens: whoever waits for that may send a signal at once.
  const stopped = stopOnSignals(() => (stopping ??= stop()), { timeoutMs: STOP_TIMEOUT_MS }, { clock, logger, signals: process, exit: (code) => process.exit(code) });
  // Before the head is replayed, which may take long: who asks whether this process is alive hears that it is.
  listeners = await listen(config, node, { clock, limits, logger, metrics, memory: modules.memory });
  const { host } = config.httpAddress;
  const { port } = listeners[0]!;
  logger.info("listening", { url: urlOf(host, port) });
  limits.start();
  try {
    await node.start();
    if (config.isSelfProfiling && stopping === undefined) selfProfile = startSelfProfile(urlOf(EVERY_INTERFACE.has(host) ? "127.0.0.1" : host, port), logger);
  } catch (error) {
    // A start that a signal ended did not fail: the stop goes on, and ends the process.
    if (stopping === undefined) {
      await node.stop().catch((thrown: unknown) => logger.debug("a start that failed could not be undone", { error: thrown }));
      throw error;
    }
  }
  await stopped;
}

/** How many times as fast as written LISTs and tries of an upload follow one another. Only tests set it. */
function bucketSpeed(): number {
  return Number(process.env["PYROMESH_TEST_BUCKET_SPEED"] ?? 1);
}

/** HTTP on its address, and admin requests on one of their own where `--admin-addr` names it. */
async function listen(config: Config, node: Node, modules: { clock: Clock; limits: LiveLimits; logger: Logger; metrics: Metrics; memory: MemoryPlan }): Promise<readonly HttpListener[]> {
  const { clock, limits, logger, memory, metrics } = modules;
  const writeOptions = { limitsOf: (tenant: TenantId) => writeLimitsOf(limits.inForce, tenant) };
  const write = { sink: node.sink, rateLimit: new RateLimit(writeOptions, { clock }), counts: new PushCounts({ metrics }), discards: new Discards({ metrics }) };
  const routesOptions = { limitsOf: (tenant: TenantId) => queryLimitsOf(limits.inForce, tenant), queryBodyBytesMax: QUERY_BODY_BYTES_MAX_DEFAULT };
  const pages = loadPages(fileURLToPath(new URL("../../ui/dist/", import.meta.url)));
  const routesModules = {
    source: node.source,
    admin: node.admin,
    clock,
    profiler: new ProcessProfiler({ clock }),
    push: pushHandler(writeOptions, { ...write, clock }),
    ingest: ingestHandler(writeOptions, { ...write, clock }),
    pages,
  };
  const { host, port } = config.httpAddress;
  const { isMultitenant, adminAddress, allowedHosts, corsOrigins } = config;
  const connectionCountMax = connectionCountMaxOf(logger);
  const { bodyBytes: bodyBytesInFlightMax, unpackedBytes: unpackedBytesInFlightMax, replyBytes: replyBytesInFlightMax } = memory;
  const limitsWith = (connections: number): { readonly limits: Partial<ServerLimits> } => ({
    limits: { stopTimeoutMs: REQUESTS_STOP_TIMEOUT_MS, connectionCountMax: connections, bodyBytesInFlightMax, unpackedBytesInFlightMax, replyBytesInFlightMax },
  });
  const common = { isMultitenant, sites: { allowedHosts, corsOrigins }, ...limitsWith(connectionCountMax) };
  if (adminAddress === undefined) {
    const routes = apiRoutes(routesOptions, routesModules);
    return [await HttpListener.open({ ...common, host, port, operators: "loopback" }, { ...modules, routes })];
  }
  return [
    await HttpListener.open({ ...common, host, port, operators: "loopback" }, { ...modules, routes: dataRoutes(routesOptions, routesModules) }),
    await HttpListener.open(
      { ...common, ...limitsWith(Math.min(ADMIN_CONNECTION_COUNT_MAX, connectionCountMax)), host: adminAddress.host, port: adminAddress.port, operators: "anyone" },
      // Its own registry: two listeners cannot share a histogram, and the operator's requests are not the load.
      { ...modules, metrics: new Metrics(), routes: adminRoutes(node.admin, routesModules.profiler) },
    ),
  ];
}

function connectionCountMaxOf(logger: Logger): number {
  const limit = openFilesLimit();
  const plan = planOpenFiles(limit, true);
  if (plan.kind === "too-few") throw new CodedError({ code: "OPEN_FILES_TOO_FEW", kind: "failed_precondition", message: plan.message });
  if (plan.isShort) logger.warn("few files may be open, so this node takes fewer connections: raise the limit (ulimit -n) for more", { openFilesMax: limit, connectionsMax: plan.connectionCountMax });
  return plan.connectionCountMax;
}

/** Such an address is no place to send anything to, and no `Host` that this node answers to. */
const EVERY_INTERFACE: ReadonlySet<string> = new Set(["", "0.0.0.0", "::"]);

function urlOf(host: string, port: number): string {
  return `http://${printAddress({ host, port })}`;
}

function workerCountOf(config: Config): number {
  if (config.workerCount > 0) return config.workerCount;
  // One core is the main thread's: a worker more than there are cores left only costs switches, and its code compiled once more.
  return Math.max(1, Math.min(WORKERS_MAX, availableParallelism() - 1));
}

/** What the head holds already and at most 80 % of what is free at start: a full disk would stop more than this node. */
async function diskBudgetOf(config: Config, { dir, sealedDir }: { readonly dir: string; readonly sealedDir: string }, logger: Logger): Promise<number> {
  const { bavail, bsize } = await statfs(config.dataDir);
  const { storeBytes, otherBytes } = await measureHead(dir, sealedDir);
  const usableBytes = storeBytes + otherBytes + Math.floor(bavail * bsize * 0.8);
  if (usableBytes < config.headDiskBudgetBytes) logger.warn("less disk is free than the head's budget", { budgetBytes: config.headDiskBudgetBytes, usableBytes });
  return Math.min(config.headDiskBudgetBytes, usableBytes);
}
