/** A cluster of a built checkout on this machine: each node a process of its own, one folder as the bucket of all, TLS between the nodes as always. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { HttpClient } from "../load/http-client.ts";
import { ServedBuild } from "../served-build.ts";
import { readMetrics } from "./metrics.ts";
import type { Metrics } from "./metrics.ts";

export interface ClusterShape {
  /** 1: a node without cluster settings. */
  readonly nodeCount: number;
  readonly replication: number;
  /** More flags of `serve`, for each node. */
  readonly flags?: readonly string[];
  /** Flags of Node.js for the first node. */
  readonly nodeFlags?: readonly string[];
}

export class ServedCluster {
  readonly nodes: readonly ServedBuild[];
  readonly #bucket: string;
  readonly #uploads: Uploads;

  private constructor(nodes: readonly ServedBuild[], bucket: string, uploads: Uploads) {
    this.nodes = nodes;
    this.#bucket = bucket;
    this.#uploads = uploads;
  }

  /** Resolves when every node is ready. */
  static async start(dir: string, { nodeCount, replication, flags = [], nodeFlags = [] }: ClusterShape): Promise<ServedCluster> {
    const bucket = mkdtempSync(path.join(tmpdir(), "pyromesh-bench-bucket-"));
    const ports = await freePorts(nodeCount);
    const uploads = { recordCount: 0 };
    const onLog = (line: string): void => noteUpload(uploads, line);
    const joins = ports.flatMap((port) => ["--join", `127.0.0.1:${port}`]);
    const started = await Promise.allSettled(
      ports.map((port, index) => {
        const clusterFlags = nodeCount === 1 ? [] : ["--cluster-name", "bench", "--node-name", nameOf(index), "--cluster-addr", `127.0.0.1:${port}`, "--replication", String(replication), ...joins];
        return ServedBuild.start(dir, { flags: ["--bucket", `file://${bucket}`, ...clusterFlags, ...flags], nodeFlags: index === 0 ? nodeFlags : [], onLog });
      }),
    );
    const cluster = new ServedCluster(started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])), bucket, uploads);
    const failed = started.find((each) => each.status === "rejected");
    if (failed === undefined) return cluster;
    await cluster.stop();
    throw failed.reason;
  }

  get pids(): number[] {
    return this.nodes.map(({ pid }) => pid);
  }

  /** Records in the segments that its nodes have uploaded. */
  get uploadedRecordCount(): number {
    return this.#uploads.recordCount;
  }

  metrics(): Promise<Metrics[]> {
    return Promise.all(this.nodes.map(({ url }) => readMetrics(url)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    rmSync(this.#bucket, { recursive: true, force: true });
  }
}

interface Uploads {
  recordCount: number;
}

function noteUpload(uploads: Uploads, line: string): void {
  if (line.includes('"msg":"uploaded"')) uploads.recordCount += (JSON.parse(line) as { records: number }).records;
}

export function nameOf(index: number): string {
  return `bench-${index + 1}`;
}

/** Sends each request to the next node in turn. */
export class TurnClient {
  readonly #clients: readonly HttpClient[];
  #turn = 0;

  constructor(nodes: readonly ServedBuild[], socketCountMax: number) {
    this.#clients = nodes.map(({ url }) => new HttpClient({ url, headers: {}, socketCountMax }));
  }

  post(...args: Parameters<HttpClient["post"]>): ReturnType<HttpClient["post"]> {
    return this.#clients[this.#turn++ % this.#clients.length]!.post(...args);
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
