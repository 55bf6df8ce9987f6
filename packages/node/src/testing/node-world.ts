/** A whole node over a fake world: its clock moves when told, its store and its bucket refuse what they are told to. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metrics, seededRandom, silentLogger, toHex } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { FolderFiles, MemoryBucket } from "@pyromesh/block";
import { FaultyBucket, ManualClock } from "@pyromesh/block/testing";
import type { BucketCall, BucketFault } from "@pyromesh/block/testing";
import { Head } from "@pyromesh/head";
import { MemoryCheckpoint, MemoryDisk, MemoryFile } from "@pyromesh/head/testing";
import { parseProfileType, PprofWriter } from "@pyromesh/profile";
import { loadConfig } from "../config/load-config.ts";
import { Node } from "../node.ts";
import { openLocalCompute } from "./local-compute.ts";
import { graphTotal } from "./read-reply.ts";
import { pass, passUntil } from "./settle.ts";

export const HOUR_MS = 3_600_000;
const never = new AbortController().signal;
/** The random bytes of one function name, which is their hexadecimal form: so the names of a stacktrace of the default depth take some 2 MB. */
const SYMBOL_BYTES = 1024;

type StoreOps = Parameters<NonNullable<MemoryDisk["onBatch"]>>[0];

/** A write of the flush to the head's store. Its keys tell it: KEYS.md of packages/head. */
export type FlushWrite = "cut" | "seal" | "unseal" | "rename";

export class NodeWorld {
  readonly dir: string = mkdtempSync(join(tmpdir(), "pyromesh-node-"));
  readonly disk: MemoryDisk = new MemoryDisk();
  readonly checkpoint: MemoryCheckpoint = new MemoryCheckpoint();
  readonly file: MemoryFile = new MemoryFile();
  readonly clock: ManualClock;
  readonly memory: MemoryBucket;
  readonly bucket: FaultyBucket;
  /** Generations of rows that left memory, since the last start. */
  droppedCount = 0;
  /** Awaited before each scan. */
  beforeScan: () => Promise<void> = async () => {};
  #node: Node | undefined;
  readonly #seed: number;
  #startCount = 0;

  /** Worlds of the same seed draw the same store id, as a data dir and its copy have it. */
  constructor({ nowMs = Date.UTC(2026, 2, 2, 14, 30), seed = 70 }: { readonly nowMs?: number; readonly seed?: number } = {}) {
    this.#seed = seed;
    this.clock = new ManualClock(nowMs);
    this.memory = new MemoryBucket({ clock: this.clock });
    this.bucket = new FaultyBucket(this.memory, { clock: this.clock });
  }

  get node(): Node {
    return this.#node!; // every test starts it
  }

  async start(flags: readonly [string, string][] = []): Promise<Node> {
    const modules = { clock: this.clock, random: seededRandom(this.#seed + this.#startCount++), logger: silentLogger, metrics: new Metrics() };
    const settings = new Map<string, string[]>([["flush_interval", ["1h"]], ["multitenancy", ["true"]], ["limits.reject_older_than", ["0"]]]);
    for (const [name, value] of flags) settings.set(name, [value]);
    const compute = openLocalCompute(modules);
    this.droppedCount = 0;
    const drop: typeof compute.drop = (generation) => {
      this.droppedCount++;
      compute.drop(generation);
    };
    const scan: typeof compute.scan = async (task, signal) => {
      await this.beforeScan();
      return compute.scan(task, signal);
    };
    this.#node = await Node.open(loadConfig({ flags: settings, env: {}, readFile: () => "" }), {
      ...modules,
      bucket: this.bucket,
      compute: { ...compute, drop, scan },
      local: await FolderFiles.open({ dir: join(this.dir, "sealed") }, modules),
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      openHead: (hooks) => Head.open({ diskBudgetBytes: 2 ** 30 }, { ...modules, ...hooks, opener: this.disk, checkpoint: this.checkpoint, quarantineFile: this.file }),
    });
    await this.#node.start();
    return this.#node;
  }

  async stop(): Promise<void> {
    await this.#node?.stop();
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** `symbolBytes`: of names of functions, which do not compress, under the one sample. */
  async push(tenant: TenantId, value: number, ageMs = 0, { service = "api", symbolBytes = 0 }: { readonly service?: string; readonly symbolBytes?: number } = {}): Promise<void> {
    const timeNs = BigInt(this.clock.nowMs() - ageMs) * 1_000_000n + BigInt(value);
    const writer = new PprofWriter({ sampleTypes: [{ type: "cpu", unit: "nanoseconds" }], periodType: { type: "cpu", unit: "nanoseconds" }, period: 1, timeNs, durationNs: 0n });
    const random = seededRandom(value);
    const frames: number[] = [];
    for (let bytes = 0; bytes < symbolBytes; bytes += SYMBOL_BYTES) frames.push(writer.frame(toHex(random.bytes(SYMBOL_BYTES))));
    writer.sample([...frames, writer.frame("work"), writer.frame("main")], [value]);
    const labels = [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: service }];
    const profile = { labels, pprof: writer.finish(), profileId: undefined, fallbackTimeMs: undefined, idempotencyKey: undefined, ingest: undefined, describe: "series 0, profile 0" };
    const { refused } = await this.node.sink.push(tenant, [profile], never);
    for (const { error } of refused) throw error;
  }

  /** The sum of all values pushed. */
  async total(tenant: TenantId): Promise<number> {
    return (await this.answer(tenant)).total;
  }

  async answer(tenant: TenantId, range: { readonly startMs?: number; readonly endMs?: number } = {}): Promise<{ readonly total: number; readonly recordCount: number; readonly identitySum: string }> {
    const nowMs = this.clock.nowMs();
    const profileType = parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds");
    const query = { tenants: [tenant], startMs: nowMs - 100 * HOUR_MS, endMs: nowMs + HOUR_MS, ...range, allowPartial: false, profileType, selector: [], callSite: [], profileIds: [], spanIds: [], traceIds: [], maxNodes: 100, form: "json" } as const;
    const answer = await this.node.source.flameGraph(query, never);
    return { total: graphTotal(answer), recordCount: answer.receipt.recordCount, identitySum: answer.receipt.identitySum };
  }

  /** The next such write is refused, and kept or not; with `isLasting` all of them, until `disk.onBatch` is unset. */
  refuse(write: FlushWrite, fate: "kept" | "not kept", { isLasting = false }: { readonly isLasting?: boolean } = {}): void {
    this.disk.onBatch = (ops) => {
      if (writeOf(ops) !== write) return;
      if (!isLasting) this.disk.onBatch = undefined;
      if (fate === "kept") return "after";
      throw new Error("EIO");
    };
  }

  pass(ms: number): Promise<void> {
    return pass(this.clock, ms);
  }

  until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    return passUntil(this.clock, holds, what);
  }

  async keys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const page of this.memory.list("v1/", {}, never)) for (const { key } of page) keys.push(key);
    return keys;
  }

  async metric(name: string): Promise<number> {
    const found = new RegExp(`^${name} (\\S+)$`, "m").exec(await this.node.admin.metricsText());
    return Number(found?.[1]);
  }

  puts(tenant?: TenantId): BucketCall[] {
    return this.bucket.calls.filter(({ operation, key }) => operation === "put" && (tenant === undefined || key.startsWith(`v1/${tenant}/`)));
  }

  failPuts(tenant: TenantId, fault: BucketFault): void {
    this.bucket.schedule(({ operation, key }) => (operation === "put" && key.startsWith(`v1/${tenant}/`) ? fault : undefined));
  }

  localFiles(): string[] {
    return readdirSync(join(this.dir, "sealed"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".seg"));
  }
}

export function writeOf(ops: StoreOps): FlushWrite | undefined {
  const has = (kind: "put" | "delete", prefix: string): boolean => ops.some((op) => op.kind === kind && Buffer.from(op.key).toString("latin1").startsWith(prefix));
  if (has("put", "s/")) return has("delete", "s/") ? "rename" : "seal";
  if (has("delete", "s/")) return "unseal";
  return has("put", "c/") ? "cut" : undefined;
}

/** The ordinal and the extension of an object's key or a file's path: `3.seg`. */
export const endingOf = (key: string): string => key.replace(/^.*-(\d+)\.(\w+)$/, (_, ordinal: string, kind: string) => `${Number(ordinal)}.${kind}`);
