/** A disk, a server and a DNS that a test changes, and a clock that it moves: the modules of discovery. */
import { encodeUtf8, Metrics } from "@pyromesh/base";
import type { Counter, LogFields, Logger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import type { DiscoveryModules, TargetGroup } from "../discovery/discovery.ts";
import type { HttpFetch, HttpGet, HttpReply } from "../http/http-get.ts";
import type { DiscoveryFault, DiscoveryFiles, Resolver } from "../target.ts";

export class DiscoveryWorld implements DiscoveryModules {
  readonly clock: ManualClock = new ManualClock();
  readonly metrics: Metrics = new Metrics();
  readonly logged: string[] = [];
  readonly logger: Logger;
  readonly failures: Counter = { add: (labels) => void this.failed.push(JSON.stringify(labels)) };
  readonly failed: string[] = [];
  readonly faults: Set<DiscoveryFault> = new Set();
  /** Path -> text, and when it was written. */
  readonly disk: Map<string, { readonly text: string; readonly modifiedMs: number }> = new Map();
  readonly readFiles: string[] = [];
  readonly asked: HttpGet[] = [];
  answer: (get: HttpGet) => HttpReply | Promise<HttpReply> = () => jsonReply([]);
  /** `A app.example.org` -> records, or the error. */
  readonly records: Map<string, unknown> = new Map();
  /** What the discovery under test has told. */
  readonly told: (readonly TargetGroup[])[] = [];

  constructor() {
    const log = (level: string) => (message: string, fields?: LogFields): void => void this.logged.push(`${level}: ${message} ${JSON.stringify(fields ?? {})}`);
    this.logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error"), with: () => this.logger };
  }

  readonly files: DiscoveryFiles = {
    read: async (file) => {
      this.readFiles.push(file);
      return this.#find(file).text;
    },
    list: async (folder) => [...this.disk.keys()].filter((file) => file.startsWith(`${folder}/`)).map((file) => file.slice(folder.length + 1)),
    stat: async (file) => {
      const { text, modifiedMs } = this.#find(file);
      return { modifiedMs, sizeBytes: text.length };
    },
  };

  readonly fetch: HttpFetch = async (get) => {
    this.asked.push(get);
    return this.answer(get);
  };

  readonly resolver: Resolver = {
    addresses: async (name, family) => this.#resolve(`${family === 4 ? "A" : "AAAA"} ${name}`) as string[],
    services: async (name) => this.#resolve(`SRV ${name}`) as { name: string; port: number }[],
    mailServers: async (name) => this.#resolve(`MX ${name}`) as string[],
  };

  write(file: string, text: string): void {
    this.disk.set(file, { text, modifiedMs: this.clock.nowMs() });
  }

  /** All addresses of the groups that were told last, sorted. */
  addresses(): string[] {
    return (this.told.at(-1) ?? []).flatMap(({ targets }) => targets.map(({ __address__ }) => __address__!)).sort();
  }

  /** Runs what is due until everything waits for the clock again. Discovery here waits for nothing but promises. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await this.clock.nextTurn();
  }

  async advance(byMs: number): Promise<void> {
    this.clock.advance(byMs);
    await this.settle();
  }

  #find(file: string): { readonly text: string; readonly modifiedMs: number } {
    const found = this.disk.get(file);
    if (found === undefined) throw Object.assign(new Error(`${file} is not there`), { code: "ENOENT" });
    return found;
  }

  #resolve(question: string): unknown {
    const found = this.records.get(question);
    if (found instanceof Error) throw found;
    if (found === undefined) throw Object.assign(new Error(`${question}: no such name`), { code: "ENOTFOUND" });
    return found;
  }
}

export function jsonReply(value: unknown): HttpReply {
  return textReply(200, JSON.stringify(value), "application/json");
}

export function textReply(status: number, text: string, type = "text/plain"): HttpReply {
  return { status, headers: { "content-type": type }, body: bytesOf([text]) };
}

export async function* bytesOf(parts: Iterable<string> | AsyncIterable<string>): AsyncIterable<Uint8Array> {
  for await (const part of parts) yield encodeUtf8(part);
}
