/** The world of a real process: its clock and chance, node:http, the data directory, the bucket of `--bucket`, worker threads. */
import { readFile } from "node:fs/promises";
import { availableParallelism, networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import { HttpListener, threadPoolCompression } from "@pyromesh/api";
import { fasterClock, Metrics, openLogger, systemClock, systemRandom } from "@pyromesh/base";
import { openBucket } from "@pyromesh/block";
import { loadLibp2pNetwork } from "@pyromesh/gossip";
import { nodeFiles, nodeHttp, nodeResolver } from "@pyromesh/scrape";
import { nodeThreads } from "./compute/node-threads.ts";
import type { Config } from "./config/config.ts";
import { readBuildInfo } from "./process/build-info.ts";
import { memoryLimitBytes } from "./process/memory-limit.ts";
import { dataDirDisk } from "./process/node-disk.ts";
import { openFilesLimit } from "./process/open-files.ts";
import { loadPages } from "./process/pages.ts";
import { ProcessProfiler } from "./process/process-profiler.ts";
import { setV8Flags } from "./process/v8-flags.ts";
import { BUILD_FORMATS } from "./process/build-formats.ts";
import type { BuildFormats } from "./process/build-formats.ts";
import type { World } from "./world.ts";

/** `load` reads the settings anew, with another text in the configuration file. */
export function realWorld(config: Config, load: (fileText: string) => Config): World {
  const { dataDir } = config;
  const clock = systemClock;
  const random = systemRandom;
  const logger = openLogger(config.logLevel);
  return {
    clock,
    bucketClock: fasterClock(clock, bucketSpeed()),
    random,
    logger,
    metrics: new Metrics(),
    openPeerNetwork: () => loadLibp2pNetwork({ clock, logger }),
    readTextFile: (path) => readFile(path, "utf8"),
    network: { listen: (options, modules) => HttpListener.open(options, modules) },
    disk: dataDirDisk(dataDir, { clock, random, logger }),
    openBucket: (setting) => openBucket(setting === "" ? undefined : setting, { dataDir, clock, random, logger }),
    openThreads: (plan) => {
      setV8Flags(plan); // a thread's heap reads some of them when it is made
      return nodeThreads;
    },
    compression: threadPoolCompression(),
    machine: { coreCount: availableParallelism(), memoryBytes: memoryLimitBytes(), openFilesMax: openFilesLimit(), firstAddress: firstAddress() },
    buildInfo: readBuildInfo(),
    formats: formatsOfBuild(),
    configFile: { readFile: (path) => readFile(path, "utf8"), load },
    pages: loadPages(fileURLToPath(new URL("../../ui/dist/", import.meta.url))),
    profiler: new ProcessProfiler({ clock }),
    programs: { fetch: nodeHttp({ readFile: (path) => readFile(path, "utf8") }), files: nodeFiles, resolver: nodeResolver() },
    endProcess: () => process.exit(1),
  };
}

function firstAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ address, internal }) => !internal && !address.startsWith("fe80:") && !address.startsWith("169.254."))?.address;
}

/** An earlier build, as far as others can tell: `record=1,head=3` reads and writes no newer records, and no newer data directories. Only tests set it. */
function formatsOfBuild(): BuildFormats {
  const formats = { ...BUILD_FORMATS };
  for (const one of (process.env["PYROMESH_TEST_FORMATS"] ?? "").split(",")) {
    const [name, version] = one.split("=");
    if (name === "record" || name === "head") formats[name] = { writesFrom: Math.min(formats[name].writesFrom, Number(version)), reads: Number(version) };
  }
  return formats;
}

/** How many times as fast as written LISTs and tries of an upload follow one another. Only tests set it. */
function bucketSpeed(): number {
  return Number(process.env["PYROMESH_TEST_BUCKET_SPEED"] ?? 1);
}
