/** Nodes with membership and links, over a network in memory and a clock that the test moves. */
import { createHash } from "node:crypto";
import { Metrics, seededRandom, silentLogger, type Logger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { PeerLinks } from "../links/peer-links.ts";
import { PeerRequests } from "../links/requests.ts";
import { Membership, type StateFile } from "../membership.ts";
import { MemoryNetwork } from "./memory-network.ts";

export interface RigNode {
  readonly name: string;
  readonly address: string;
  readonly membership: Membership;
  readonly links: PeerLinks;
  readonly requests: PeerRequests;
  readonly metrics: Metrics;
  readonly disk: MemoryStateFile;
}

export interface RigNodeOptions {
  /** Addresses that the node is given as seeds. */
  readonly seeds?: readonly string[];
  readonly isFounder?: boolean;
  readonly isGossipOn?: boolean;
  readonly replication?: number;
  /** Its data directory: that of an earlier node for a restart. */
  readonly disk?: MemoryStateFile;
  readonly port?: number;
  readonly logger?: Logger;
}

/** In memory; a write can be held up or made to fail. */
export class MemoryStateFile implements StateFile {
  readonly storeId: string;
  bytes: Uint8Array | undefined;
  /** Set: the next writes fail with it. */
  failure: Error | undefined;

  constructor(storeId: string) {
    this.storeId = storeId;
  }

  read(): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.bytes);
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.bytes = bytes;
    return Promise.resolve();
  }
}

export class MembershipRig {
  readonly clock: ManualClock = new ManualClock();
  readonly network: MemoryNetwork = new MemoryNetwork({ clock: this.clock });
  readonly nodes: Map<string, RigNode> = new Map();
  #count = 0;

  async start(name: string, { seeds = [], isFounder = false, isGossipOn = true, replication = 3, disk, port = 0, logger = silentLogger }: RigNodeOptions = {}): Promise<RigNode> {
    const count = ++this.#count;
    const { clock, network } = this;
    const metrics = new Metrics();
    const stateFile = disk ?? new MemoryStateFile(digest(`store ${count} of ${name}`).toString("hex").slice(0, 32));
    const { storeId } = stateFile;
    const bootId = digest(`boot ${count}`).toString("hex").slice(0, 16);
    const opened: { membership?: Membership } = {}; // the links want a member's address from who is opened after them
    const random = seededRandom(count);
    const links = await PeerLinks.open(
      { host: "10.0.0.1", port, privateKey: digest(`key of ${storeId}`), clusterName: "test", name, storeId, bootId, build: "test" },
      { network, clock, random, logger, metrics, secrets: () => [Buffer.from("the secret of the tests")], bucketId: () => "bucket-1", addressOf: (member) => opened.membership?.addressOf(member) },
    );
    const requests = new PeerRequests({ links, clock, logger, metrics });
    const address = `10.0.0.1:${links.port}`;
    const membership = await Membership.open(
      {
        table: {
          self: { name, storeId, bootId, clusterAddress: address, httpAddress: "10.0.0.1:4040", zone: "", tokenCount: 128, protocolMin: 1, protocolMax: 1, formats: "", promises: "", build: "test" },
          clusterName: "test",
          leaseMs: 5000,
          replication,
          joinAddressCount: new Set([...seeds, address]).size,
          isFounder,
          heldAcks: Infinity,
        },
        isGossipOn,
      },
      { clock, random, logger, metrics, links, stateFile, seeds: () => Promise.resolve(seeds) },
    );
    opened.membership = membership;
    const node: RigNode = { name, address, membership, links, requests, metrics, disk: stateFile };
    this.nodes.set(name, node);
    membership.start();
    membership.noteBucketReplication(replication);
    return node;
  }

  /** The process ends: its links close. The disk stays. */
  async end(name: string): Promise<MemoryStateFile> {
    const node = this.nodes.get(name)!;
    node.membership.stop();
    await node.links.stop();
    this.nodes.delete(name);
    return node.disk;
  }

  /** Time passes, and what it brings about is done. */
  async pass(durationMs: number): Promise<void> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += 20) {
      this.clock.advance(Math.min(20, durationMs - passedMs));
      await settle();
    }
  }

  /** The time that it took; undefined: it does not hold after `timeoutMs`. */
  async until(holds: () => boolean, timeoutMs: number): Promise<number | undefined> {
    for (let passedMs = 0; passedMs <= timeoutMs; passedMs += 20) {
      if (holds()) return passedMs;
      this.clock.advance(20);
      await settle();
    }
    return undefined;
  }

  async stop(): Promise<void> {
    for (const name of [...this.nodes.keys()]) await this.end(name);
  }
}

/** Promises and frames that need no time are done. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => void setImmediate(resolve));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
