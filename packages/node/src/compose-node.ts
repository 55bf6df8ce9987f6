/**
 * A node as it runs: the engines (node.ts), the workers, the limits in force and the HTTP API, put together over a world (world.ts).
 * `serve` and the simulator both run this; they differ in the world alone, which a script checks (scripts/check-imports.mjs).
 *
 * HTTP listens before the head is replayed, which may take long, so that a liveness probe is answered meanwhile.
 *
 * What must stay true: no module holds state of a node. A node that is dropped at any moment, as a crash does, leaves nothing but what is on its disk
 * and in its bucket.
 */
import { adHocRoutes, adminRoutes, apiRoutes, dataRoutes, Discards, ingestHandler, LastRefusals, otlpHttpHandler, otlpRpcHandler, PushCounts, PushGate, pushHandler, QUERY_BODY_BYTES_MAX_DEFAULT, RateLimit } from "@pyromesh/api";
import type { ApiRoutesModules, NodeAdmin, ServerLimits, WriteModules } from "@pyromesh/api";
import { CodedError, describeSystemError, messageOf, Metrics } from "@pyromesh/base";
import type { Logger, TenantId } from "@pyromesh/base";
import type { PeerNetwork } from "@pyromesh/gossip";
import { MeteredBucket } from "@pyromesh/block";
import { checkHeadFormat, openHeadOn } from "@pyromesh/head";
import { targetSource } from "@pyromesh/scrape";
import { WorkerCompute } from "./compute/worker-compute.ts";
import { dueAfterMsOf } from "./member/due-time.ts";
import { BUILD_FORMATS, heldVersions } from "./process/build-formats.ts";
import { JoinedCluster } from "./cluster/joined-cluster.ts";
import type { OwnStore } from "./cluster/joined-cluster.ts";
import { advertisedClusterAddress, advertisedHttpAddress } from "./config/advertised-address.ts";
import { readClusterSecrets } from "./config/cluster-secrets.ts";
import { bucketIn } from "./config/config.ts";
import type { Config } from "./config/config.ts";
import { joinAddressCount, joinAddresses } from "./config/join-addresses.ts";
import type { JoinEntry } from "./config/join-entry.ts";
import { limitsFor } from "./config/limits.ts";
import type { TenantLimits } from "./config/limits.ts";
import { LiveLimits } from "./config/live-limits.ts";
import { printAddress } from "./config/setting.ts";
import { Node } from "./node.ts";
import { dataDirError } from "./process/data-dir.ts";
import { DataDisk } from "./process/data-disk.ts";
import { planMemory } from "./process/memory-plan.ts";
import type { MemoryPlan } from "./process/memory-plan.ts";
import { planOpenFiles } from "./process/open-files.ts";
import { Scraping } from "./scrape/scraping.ts";
import { storeAnswer } from "./scrape/store-answer.ts";
import type { Listener, Machine, World } from "./world.ts";

/** How long a stop may take: pushes in flight end, a segment is written, the head closes. */
export const STOP_TIMEOUT_MS = 14_000;
/** How much of it requests may take. Clients that stall are disconnected then, so that the node still ends in time. */
const REQUESTS_STOP_TIMEOUT_MS = STOP_TIMEOUT_MS - 6_000;
/** Connections of the operator's own listener, which only scrapes and people use. */
const ADMIN_CONNECTION_COUNT_MAX = 100;
/** More workers than this only cost memory: the main thread is the next bound. */
const WORKERS_MAX = 8;
/** Of a member's head: a commit with so many records waits for no more. Its head keeps records of the pushes to all members, so there are more of them to take together than on a node that is alone. */
const MEMBER_GATHER_COUNT_MAX = 24;

/** Starts nothing but the workers. Throws DATA_DIR_UNUSABLE, HEAD_FORMAT_NEWER, OPEN_FILES_TOO_FEW; then nothing runs. */
export async function composeNode(config: Config, world: World): Promise<ComposedNode> {
  await world.disk.prepare();
  // Before anything in it is touched, which a later format may not bear.
  await inDataDir(config, () => checkHeadFormat(world.disk.head, heldVersions(world.formats ?? BUILD_FORMATS, "reads")));
  return new ComposedNode(config, world);
}

export class ComposedNode {
  readonly #config: Config;
  readonly #world: World;
  readonly #limits: LiveLimits;
  readonly #memory: MemoryPlan;
  readonly #lastRefusals: LastRefusals;
  readonly #connectionCountMax: number;
  readonly #node: Node;
  readonly #writes: WriteModules;
  readonly #scraping: Scraping | undefined;
  readonly admin: NodeAdmin;
  #listeners: readonly Listener[] = [];
  #stopping: Promise<void> | undefined;

  /** Call `composeNode`, which looks at the disk before. */
  constructor(config: Config, world: World) {
    const { buildInfo, configFile, machine, metrics } = world;
    this.#config = config;
    this.#world = world;
    this.#connectionCountMax = connectionCountMaxOf(machine, world.logger);
    metrics.gauge("pyromesh_build_info", "What this build is; always 1.", ["version", "revision", "node_version"], (gauge) =>
      gauge.set({ version: buildInfo.version, revision: buildInfo.revision, node_version: buildInfo.nodeVersion }, 1),
    );
    const workerCount = workerCountOf(config, machine);
    this.#memory = planMemory({ memoryBytes: machine.memoryBytes, workerCount });
    this.#limits = new LiveLimits(config, { ...world, ...(configFile ?? NO_CONFIG_FILE), onConfig: ({ scrapeConfigs }) => this.#scraping?.apply(scrapeConfigs) });
    this.#lastRefusals = new LastRefusals(world);
    this.#node = this.#makeNode(startWorkers(workerCount, this.#memory, world));
    this.#writes = this.#makeWrites();
    this.#scraping = this.#makeScraping();
    this.admin = { ...this.#node.admin, ...(this.#scraping && { scraping: this.#scraping }) };
  }

  /** Where HTTP listens, once it does. */
  get port(): number | undefined {
    return this.#listeners[0]?.port;
  }

  /** Listens, replays the head, lists the bucket. Rejects, with everything stopped again, where one of them fails; `STOPPING` when `stop` comes first. */
  async start(): Promise<void> {
    try {
      this.#listeners = await this.#listen();
      if (this.#stopping !== undefined) {
        // The stop came while it was not listening yet, and found nothing to close.
        await this.#stopListening();
        throw new CodedError({ code: "STOPPING", kind: "canceled", message: "the node is stopping" });
      }
      const { host } = this.#config.httpAddress;
      this.#world.logger.info("listening", { url: `http://${printAddress({ host, port: this.#listeners[0]!.port })}` });
      this.#limits.start();
      await this.#node.start();
      if (this.#stopping === undefined) await this.#scraping?.start();
    } catch (error) {
      // A start that a stop ended did not fail.
      if (this.#stopping === undefined) await this.stop().catch((thrown: unknown) => this.#world.logger.debug("a start that failed could not be undone", { error: thrown }));
      throw error;
    }
  }

  /** Takes no more, finishes what is in flight, closes. Unflushed records stay on disk. Safe at any time, and again. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.#limits.stop();
    this.#scraping?.stop();
    await this.#stopListening();
    await this.#node.stop();
  }

  async #stopListening(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.stop()));
  }

  #makeNode(compute: WorkerCompute): Node {
    const config = this.#config;
    const { clock, disk, metrics, openBucket } = this.#world;
    const formats = this.#world.formats ?? BUILD_FORMATS;
    // A member writes the oldest versions at first: it does not know yet what the others read.
    const versions = { readVersions: heldVersions(formats, "reads"), writtenVersions: { ...heldVersions(formats, config.clusterName === undefined ? "reads" : "writesFrom"), head: formats.head.writesFrom } };
    const space = new DataDisk({ metrics, measure: () => disk.measure() });
    return new Node(config, {
      ...this.#world,
      compute,
      limits: this.#limits,
      memory: this.#memory,
      measureDisk: () => space.measure(),
      openBucket: async () => new MeteredBucket(await openBucket(config.bucket), { clock, metrics }),
      openLocal: () => inDataDir(config, () => disk.openLocalFiles()),
      lastRefusals: () => this.#lastRefusals.texts,
      ...(config.clusterName !== undefined && { openCluster: (store: OwnStore) => this.#openCluster(config.clusterName!, store) }),
      onCluster: (cluster, isMember) => this.#scraping?.attach(cluster, isMember),
      onHopeless: (error) => this.#world.endProcess(error),
      openHead: (hooks) =>
        inDataDir(config, () =>
          openHeadOn(
            disk.head,
            { diskBudgetBytes: config.headDiskBudgetBytes, dueAfterMs: dueAfterMsOf(config.flushIntervalMs), ...(config.clusterName !== undefined && { gatherCountMax: MEMBER_GATHER_COUNT_MAX }), ...versions },
            { ...this.#world, ...hooks, measureFree: async () => (await space.measure())?.freeBytes },
          ),
        ),
    });
  }

  async #openCluster(clusterName: string, store: OwnStore): Promise<JoinedCluster> {
    const config = this.#config;
    const { clock, disk, logger, machine, metrics, random, openPeerNetwork = noPeerNetwork, readTextFile = NO_CONFIG_FILE.readFile } = this.#world;
    const { clusterAddress, clusterAdvertise, clusterSecretFile: secretFile, httpAddress, httpAdvertise } = config;
    if (config.bucket === bucketIn(config.dataDir)) logger.warn("the bucket is a folder of this node's own: other members are refused until all have the same --bucket", { bucket: config.bucket });
    const { keyFile, stateFile } = await inDataDir(config, () => disk.openClusterFiles());
    const advertised = (port: number): string => advertisedClusterAddress(clusterAddress, port, clusterAdvertise, { firstAddress: machine.firstAddress });
    const seeds = (): Promise<readonly string[]> => seedsOf(config.join, { readTextFile, logger });
    return JoinedCluster.open(
      {
        clusterName,
        nodeName: config.nodeName,
        ...clusterAddress,
        advertised,
        httpAddress: (address) => advertisedHttpAddress(httpAddress, this.#listeners[0]?.port ?? httpAddress.port, httpAdvertise, address),
        zone: config.zone ?? "",
        tokenCount: config.tokenCount,
        replication: config.replication,
        joinAddressCount: joinAddressCount(await seeds(), advertised(clusterAddress.port)),
        isGossipOn: config.isGossipOn,
        build: this.#world.buildInfo.version,
      },
      store,
      {
        network: await openPeerNetwork(),
        keyFile,
        stateFile,
        loadSecrets: secretFile === undefined ? undefined : async () => readClusterSecrets(await readSecretFile(secretFile, readTextFile), secretFile),
        seeds,
        clock,
        random,
        logger,
        metrics,
      },
    );
  }

  /** HTTP on its address, and admin requests on one of their own where `--admin-addr` names it. */
  async #listen(): Promise<readonly Listener[]> {
    const { clock, compression, logger, metrics, network, pages, profiler } = this.#world;
    const { adminAddress, allowedHosts, corsOrigins, httpAddress, isMultitenant } = this.#config;
    const routesOptions = { limitsOf: this.#limitsOf, queryBodyBytesMax: QUERY_BODY_BYTES_MAX_DEFAULT };
    const routesModules = this.#routesModules();
    const modules = { clock, compression, logger, metrics, lastRefusals: this.#lastRefusals };
    const common = { isMultitenant, sites: { allowedHosts, corsOrigins }, limits: this.#serverLimits(this.#connectionCountMax) };
    const main = { ...common, ...httpAddress, operators: "loopback" } as const;
    if (adminAddress === undefined) {
      const routes = apiRoutes(routesOptions, { ...routesModules, ...(pages && { pages }), ...(profiler && { profiler }) });
      return [await network.listen(main, { ...modules, routes })];
    }
    const data = await network.listen(main, { ...modules, routes: dataRoutes(routesOptions, routesModules) });
    this.#listeners = [data]; // to be stopped where the other one fails
    const admin = await network.listen(
      { ...common, ...adminAddress, operators: "anyone", limits: this.#serverLimits(Math.min(ADMIN_CONNECTION_COUNT_MAX, this.#connectionCountMax)) },
      // Its own registry: two listeners cannot share a histogram, and the operator's requests are not the load.
      { ...modules, metrics: new Metrics(), routes: adminRoutes(this.admin, { clock: modules.clock, profiler }) },
    );
    return [data, admin];
  }

  #routesModules(): ApiRoutesModules {
    const { clock } = this.#world;
    const options = { limitsOf: this.#limitsOf };
    const modules = { ...this.#writes, clock };
    const adHoc = adHocRoutes({ limitsOf: this.#limitsOf, queryBodyBytesMax: QUERY_BODY_BYTES_MAX_DEFAULT }, { adHoc: this.#node.adHoc, rateLimit: this.#writes.rateLimit, clock });
    return { adHoc, source: this.#node.source, admin: this.admin, clock, push: pushHandler(options, modules), ingest: ingestHandler(options, modules), otlpHttp: otlpHttpHandler(options, modules), otlpRpc: otlpRpcHandler(options, modules) };
  }

  /** What pushes over HTTP and what is scraped are counted and limited by. */
  #makeWrites(): WriteModules {
    const { clock, metrics } = this.#world;
    const { sink, usage } = this.#node;
    const rateLimit = new RateLimit({ limitsOf: (tenant) => usage.rateLimitsOf(tenant, this.#limitsOf(tenant)), onTaken: (tenant, sizeBytes) => usage.noteTaken(tenant, sizeBytes) }, { clock });
    return { sink, gate: new PushGate({ clock, metrics }), rateLimit, counts: new PushCounts({ metrics }), discards: new Discards({ metrics }) };
  }

  #makeScraping(): Scraping | undefined {
    const { clock, logger, metrics, programs } = this.#world;
    if (programs === undefined) return undefined;
    const source = targetSource(this.#config.scrapeConfigs, { ...programs, clock, logger, metrics });
    return new Scraping({ source, fetch: programs.fetch, store: storeAnswer({ limitsOf: this.#limitsOf }, this.#writes), clock, logger, metrics });
  }

  readonly #limitsOf = (tenant: TenantId): TenantLimits => limitsFor(this.#limits.inForce, tenant);

  #serverLimits(connectionCountMax: number): Partial<ServerLimits> {
    const { bodyBytes, replyBytes, unpackedBytes } = this.#memory;
    return { stopTimeoutMs: REQUESTS_STOP_TIMEOUT_MS, connectionCountMax, bodyBytesInFlightMax: bodyBytes, unpackedBytesInFlightMax: unpackedBytes, replyBytesInFlightMax: replyBytes };
  }
}

// --- helpers ----------------------------------------------------------------------------------------------------------

/** A world without the file: nothing asks, since without `configFile` in the settings there is nothing to read. */
const NO_CONFIG_FILE = {
  readFile: (path: string): Promise<string> => Promise.reject(new Error(`no file ${path} here`)),
  load: (): Config => {
    throw new Error("no configuration file here");
  },
};

const noPeerNetwork = (): Promise<PeerNetwork> => Promise.reject(new Error("no network between members here"));

function startWorkers(workerCount: number, plan: MemoryPlan, { clock, endProcess, logger, metrics, openThreads }: World): WorkerCompute {
  return new WorkerCompute(
    { workerCount, openDatasetBytesMax: plan.openDatasetBytes, slotCount: plan.slotCount, pushBytesMax: plan.pushBytes, recordBytesMax: plan.recordBytesMax, memory: plan.worker },
    {
      clock,
      logger,
      metrics,
      threads: openThreads(plan),
      onHopeless: (error) => {
        logger.error("a worker thread cannot be kept alive; the node ends, and its restart replays what was accepted", { error });
        endProcess(error);
      },
    },
  );
}

function workerCountOf(config: Config, { coreCount }: Machine): number {
  if (config.workerCount > 0) return config.workerCount;
  // One core is the main thread's: a worker more than there are cores left only costs switches, and its code compiled once more.
  return Math.max(1, Math.min(WORKERS_MAX, coreCount - 1));
}

/** Throws OPEN_FILES_TOO_FEW. */
function connectionCountMaxOf({ openFilesMax }: Machine, logger: Logger): number {
  const plan = planOpenFiles(openFilesMax, true);
  if (plan.kind === "too-few") throw new CodedError({ code: "OPEN_FILES_TOO_FEW", kind: "failed_precondition", message: plan.message });
  if (plan.isShort) logger.warn("few files may be open, so this node takes fewer connections: raise the limit (ulimit -n) for more", { openFilesMax, connectionsMax: plan.connectionCountMax });
  return plan.connectionCountMax;
}

function seedsOf(join: readonly JoinEntry[], { readTextFile, logger }: { readonly readTextFile: (path: string) => Promise<string>; readonly logger: Logger }): Promise<readonly string[]> {
  return joinAddresses(join, {
    readFile: readTextFile,
    onProblem: (entry, problem) => logger.warn("a member to join cannot be found", { entry, problem }),
  });
}

/** Rejects CLUSTER_SECRET_INVALID, which names the setting. */
async function readSecretFile(file: string, readTextFile: (path: string) => Promise<string>): Promise<string> {
  try {
    return await readTextFile(file);
  } catch (error) {
    throw new CodedError({ code: "CLUSTER_SECRET_INVALID", kind: "failed_precondition", message: `--cluster-secret-file names ${file}, which cannot be read: ${describeSystemError(error) ?? messageOf(error)}`, cause: error });
  }
}

/** Replaces an error of the operating system by DATA_DIR_UNUSABLE, which says in words what is wrong with the data directory. */
async function inDataDir<T>({ dataDir }: Config, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (thrown) {
    throw dataDirError(dataDir, thrown);
  }
}
