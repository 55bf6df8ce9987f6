/** Nodes of one cluster with links between them, over a network in memory, for tests. */
import { createHash } from "node:crypto";
import { Metrics, seededRandom, silentLogger, type Clock, type Logger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import type { PeerBudget } from "../links/peer-budget.ts";
import { PeerLinks, type PeerLinksModules, type PeerLinksOptions } from "../links/peer-links.ts";
import type { PeerNetwork } from "../links/peer-network.ts";
import { PeerRequests } from "../links/requests.ts";
import { MemoryNetwork } from "./memory-network.ts";

export interface LinkRigNode {
  readonly name: string;
  readonly address: string;
  readonly links: PeerLinks;
  readonly requests: PeerRequests;
  readonly metrics: Metrics;
}

/** What differs from a node of the rig's cluster. */
export interface LinkRigChanges {
  readonly options?: Partial<PeerLinksOptions>;
  readonly modules?: Partial<PeerLinksModules>;
  readonly budget?: PeerBudget;
}

export class LinkRig<Network extends PeerNetwork = MemoryNetwork> {
  readonly clock: Clock;
  readonly network: Network;
  readonly nodes: Map<string, LinkRigNode> = new Map();
  readonly #host: string;
  readonly #logger: Logger;
  #bootCount = 0;

  constructor({ clock, network, host = "10.0.0.1", logger = silentLogger }: { readonly clock: Clock; readonly network: Network; readonly host?: string; readonly logger?: Logger }) {
    this.clock = clock;
    this.network = network;
    this.#host = host;
    this.#logger = logger;
  }

  /** On a network in memory and a manual clock. */
  static inMemory(): LinkRig & { readonly clock: ManualClock } {
    const clock = new ManualClock();
    return new LinkRig({ clock, network: new MemoryNetwork({ clock }) }) as LinkRig & { readonly clock: ManualClock }; // the clock is the one above
  }

  async start(name: string, changes: LinkRigChanges = {}): Promise<LinkRigNode> {
    const metrics = new Metrics();
    const links = await this.openLinks(name, changes, metrics);
    const requests = new PeerRequests({ links, clock: this.clock, logger: this.#logger, metrics }, changes.budget);
    const node = { name, address: this.#addressOf(links, changes), links, requests, metrics };
    this.nodes.set(name, node);
    return node;
  }

  /** Links alone, of a node that nobody finds by its name. */
  async openLinks(name: string, { options, modules }: LinkRigChanges = {}, metrics: Metrics = new Metrics()): Promise<PeerLinks> {
    const bootCount = ++this.#bootCount;
    const { clock, network } = this;
    return await PeerLinks.open(
      { host: this.#host, port: 0, privateKey: digest(`key of ${name}`), clusterName: "test", name, storeId: digest(`store of ${name}`).toString("hex").slice(0, 32), bootId: `boot-${bootCount}`, build: "test", ...options },
      {
        network,
        clock,
        random: seededRandom(bootCount),
        logger: this.#logger,
        metrics,
        secrets: () => [Buffer.from("the secret of the tests")],
        bucketId: () => "bucket-1",
        addressOf: (member) => this.nodes.get(member)?.address,
        ...modules,
      },
    );
  }

  #addressOf({ port }: PeerLinks, { options }: LinkRigChanges): string {
    return `${options?.host ?? this.#host}:${port}`;
  }

  async stop(): Promise<void> {
    for (const { links } of this.nodes.values()) await links.stop();
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
