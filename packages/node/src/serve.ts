/** `pyromesh serve`: the real clock, disk, bucket and threads, and the signals that end it. */
import { availableParallelism } from "node:os";
import { mkdir, readFile, statfs } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { adminRoutes, apiRoutes, ApiServer, dataRoutes, Discards, ingestHandler, pushHandler, QUERY_BODY_BYTES_MAX_DEFAULT, RateLimit } from "@pyromesh/api";
import { CodedError, messageOf, Metrics, openLogger, systemClock, systemRandom } from "@pyromesh/base";
import type { Clock, Logger, TenantId } from "@pyromesh/base";
import { LocalFiles, MeteredBucket, openBucket } from "@pyromesh/block";
import { checkHeadFormat, measureHead, openHead } from "@pyromesh/head";
import { readBuildInfo } from "./build-info.ts";
import type { Compute } from "./compute/compute.ts";
import { WorkerCompute } from "./compute/worker-compute.ts";
import type { Config } from "./config/config.ts";
import { queryLimitsOf, writeLimitsOf } from "./config/api-limits.ts";
import { LiveLimits } from "./config/live-limits.ts";
import { watchEventLoopLag } from "./event-loop-lag.ts";
import { memoryLimitBytes } from "./memory-limit.ts";
import { AMPLE_MEMORY, planMemory } from "./memory-plan.ts";
import type { MemoryPlan } from "./memory-plan.ts";
import { Node } from "./node.ts";
import type { NodeModules } from "./node.ts";
import { loadPages } from "./pages.ts";
import { startSelfProfile } from "./self-profile.ts";
import type { SelfProfile } from "./self-profile.ts";
import { setV8Flags } from "./v8-flags.ts";

/** SIGTERM to exit: a push in flight, a segment being written, the head's close. */
const STOP_TIMEOUT_MS = 14_000;
/** Requests' part of it. A client that stalls is cut off then, so that the node ends in time all the same. */
const REQUESTS_STOP_TIMEOUT_MS = STOP_TIMEOUT_MS - 6_000;
/** More lanes than this only cost memory: the main thread is the next bound. */
const LANES_MAX = 8;

/** `load` reads the settings anew, with another text in the configuration file. */
export async function runServe(config: Config, load: (fileText: string) => Config): Promise<void> {
  await makeDataDir(config.dataDir);
  // Before anything in it is touched, which a later format may not bear.
  await checkHeadFormat(join(config.dataDir, "head"));
  const logger = openLogger(config.logLevel);
  const clock = systemClock;
  const random = systemRandom;
  const metrics = new Metrics();
  const buildInfo = readBuildInfo();
  metrics.gauge("pyromesh_build_info", "What this build is; always 1.", ["version", "revision", "node_version"], (gauge) =>
    gauge.set({ version: buildInfo.version, revision: buildInfo.revision, node_version: buildInfo.nodeVersion }, 1),
  );
  const lag = watchEventLoopLag(metrics);

  const laneCount = laneCountOf(config);
  const memory = planMemory({ memoryBytes: memoryLimitBytes(), workerCount: laneCount });
  setV8Flags(memory);
  const compute = new WorkerCompute(
    { laneCount, openDatasetBytesMax: memory.openDatasetBytes, pushBytesMax: memory.pushBytes, recordBytesMax: memory.recordBytesMax, memory: memory.worker },
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
    // The lanes would keep the process alive.
    await compute.stop();
    throw error;
  } finally {
    limits.stop();
    lag.stop();
  }
}

async function makeDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true });
  } catch (cause) {
    const message = `the data directory ${dataDir} cannot be made: ${messageOf(cause)}; make it, or name another with --data-dir`;
    throw new CodedError({ code: "DATA_DIR_UNUSABLE", kind: "failed_precondition", message, cause });
  }
}

type ServeModules = Pick<NodeModules, "clock" | "random" | "logger" | "metrics" | "buildInfo" | "memory"> & { readonly limits: LiveLimits };

async function serve(config: Config, compute: Compute, modules: ServeModules): Promise<void> {
  const { clock, limits, logger, metrics, random } = modules;
  const { dataDir } = config;
  const node = new Node(config, {
    ...modules,
    compute,
    openBucket: async () => new MeteredBucket(await openBucket(config.bucket === "" ? undefined : config.bucket, { dataDir, clock, random, logger }), { clock, metrics }),
    openLocal: () => LocalFiles.open({ dir: join(dataDir, "sealed") }, { clock, random }),
    openHead: async (hooks) => {
      const dirs = { dir: join(dataDir, "head"), sealedDir: join(dataDir, "sealed") };
      const diskBudgetBytes = await diskBudgetOf(config, dirs, logger);
      return openHead({ ...dirs, diskBudgetBytes }, { clock, random, logger, metrics, ...hooks });
    },
  });
  let listeners: readonly ApiServer[] = [];
  let selfProfile: Promise<SelfProfile | undefined> | undefined;
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const profiling = await selfProfile;
    await profiling?.stop().catch((error: unknown) => logger.debug("self-profile did not stop cleanly", { error }));
    await Promise.all(listeners.map((listener) => listener.stop()));
    await node.stop();
  };
  // Before it says that it listens: whoever waits for that may send a signal at once.
  const stopped = stopOnSignal(() => (stopping ??= stop()), logger);
  // Before the head is replayed, which may take long: who asks whether this process is alive hears that it is.
  listeners = await listen(config, node, { clock, limits, logger, metrics, memory: modules.memory ?? AMPLE_MEMORY });
  const url = `http://${config.httpAddress.host}:${listeners[0]!.port}`;
  logger.info("listening", { url });
  limits.start();
  try {
    await node.start();
    if (config.isSelfProfiling && stopping === undefined) selfProfile = startSelfProfile(url, logger);
  } catch (error) {
    // A start that a signal ended did not fail: the stop goes on, and ends the process.
    if (stopping === undefined) {
      await node.stop().catch((thrown: unknown) => logger.debug("a start that failed could not be undone", { error: thrown }));
      throw error;
    }
  }
  await stopped;
}

/** HTTP on its address, and admin requests on one of their own where `--admin-addr` names it. */
async function listen(config: Config, node: Node, modules: { clock: Clock; limits: LiveLimits; logger: Logger; metrics: Metrics; memory: MemoryPlan }): Promise<readonly ApiServer[]> {
  const { clock, limits, memory, metrics } = modules;
  const writeOptions = { limitsOf: (tenant: TenantId) => writeLimitsOf(limits.inForce, tenant) };
  const write = { sink: node.sink, rateLimit: new RateLimit(writeOptions, { clock }), discards: new Discards({ metrics }) };
  const routesOptions = { limitsOf: (tenant: TenantId) => queryLimitsOf(limits.inForce, tenant), queryBodyBytesMax: QUERY_BODY_BYTES_MAX_DEFAULT };
  const pages = loadPages(fileURLToPath(new URL("../../ui/dist/", import.meta.url)));
  const routesModules = {
    source: node.source,
    admin: node.admin,
    clock,
    push: pushHandler(writeOptions, { ...write, clock }),
    ingest: ingestHandler(writeOptions, { ...write, clock }),
    pages,
  };
  const { host, port } = config.httpAddress;
  const { isMultitenant, adminAddress } = config;
  const common = { isMultitenant, limits: { stopTimeoutMs: REQUESTS_STOP_TIMEOUT_MS, bodyBytesInFlightMax: memory.bodyBytes, unpackedBytesInFlightMax: memory.unpackedBytes } };
  if (adminAddress === undefined) {
    const routes = apiRoutes(routesOptions, routesModules);
    return [await ApiServer.open({ ...common, host, port, operators: "loopback" }, { ...modules, routes })];
  }
  return [
    await ApiServer.open({ ...common, host, port, operators: "loopback" }, { ...modules, routes: dataRoutes(routesOptions, routesModules) }),
    await ApiServer.open(
      { ...common, host: adminAddress.host, port: adminAddress.port, operators: "anyone" },
      // Its own registry: two listeners cannot share a histogram, and the operator's requests are not the load.
      { ...modules, metrics: new Metrics(), routes: adminRoutes(node.admin) },
    ),
  ];
}

function laneCountOf(config: Config): number {
  if (config.workerCount > 0) return config.workerCount;
  // One core is the main thread's: a lane more than there are cores left only costs switches, and its code compiled once more.
  return Math.max(1, Math.min(LANES_MAX, availableParallelism() - 1));
}

/** What the head holds already and at most 80 % of what is free at start: a full disk would stop more than this node. */
async function diskBudgetOf(config: Config, { dir, sealedDir }: { readonly dir: string; readonly sealedDir: string }, logger: Logger): Promise<number> {
  const { bavail, bsize } = await statfs(config.dataDir);
  const { storeBytes, otherBytes } = await measureHead(dir, sealedDir);
  const usableBytes = storeBytes + otherBytes + Math.floor(bavail * bsize * 0.8);
  if (usableBytes < config.headDiskBudgetBytes) logger.warn("less disk is free than the head's budget", { budgetBytes: config.headDiskBudgetBytes, usableBytes });
  return Math.min(config.headDiskBudgetBytes, usableBytes);
}

/** Resolves after the first SIGTERM or SIGINT and a clean stop; exits 1 when that takes too long. */
function stopOnSignal(stop: () => Promise<void>, logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = (signal: string): void => {
      if (isStopping) return;
      isStopping = true;
      logger.info("stopping", { signal });
      systemClock.after(STOP_TIMEOUT_MS, () => {
        logger.error("the node did not stop in time; what was accepted is on disk", { timeoutMs: STOP_TIMEOUT_MS });
        process.exit(1);
      });
      stop().then(
        () => {
          logger.info("stopped");
          resolve();
          process.exit(0);
        },
        (error: unknown) => {
          logger.error("the node stopped with an error", { reason: messageOf(error), error });
          process.exit(1);
        },
      );
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}
