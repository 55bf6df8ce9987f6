/** Asks every member how it is (`health`), and says the same of this node. */
import { messageOf, toHex } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { Head } from "@pyromesh/head";
import { majorityOf } from "@pyromesh/ring";
import { LOST_COUNT_MAX, openHealth, packHealth, REASON_LENGTH_MAX } from "../cluster/health-message.ts";
import type { NodeHealth } from "../cluster/health-message.ts";
import type { Cluster } from "../cluster/ports.ts";
import { clusterHealth } from "./cluster-health.ts";
import type { ClusterHealth, MemberReport } from "./cluster-health.ts";
import type { Flusher } from "../background/flusher.ts";
import type { Takeover } from "./takeover.ts";

export interface HealthServiceModules {
  readonly clock: Pick<Clock, "nowMs">;
  readonly cluster: Pick<Cluster, "isInContact" | "peers" | "view">;
  readonly head: Pick<Head, "stats" | "storeId" | "storeLists">;
  readonly flusher: Pick<Flusher, "backlog">;
  readonly isWritable: () => boolean;
  readonly takeover: Pick<Takeover, "takenCount">;
  /** Absent: none is told of. */
  readonly lastRefusals?: (() => readonly string[]) | undefined;
}

const TIMEOUT_MS = 2_000;

export class HealthService {
  readonly #modules: HealthServiceModules;

  constructor(modules: HealthServiceModules) {
    this.#modules = modules;
  }

  serve(): void {
    this.#modules.cluster.peers.handle("health", () => Promise.resolve(packHealth(this.own())));
  }

  /** Of the whole cluster, as this node can see it now. */
  async ask(signal: AbortSignal): Promise<ClusterHealth> {
    const { cluster } = this.#modules;
    const { view } = cluster;
    const reports = new Map<string, MemberReport>([[view.self.name, { kind: "said", health: this.own() }]]);
    const others = view.members.filter(({ name, state }) => name !== view.self.name && state !== "dead");
    await Promise.all(
      others.map(async ({ name }) => {
        try {
          reports.set(name, { kind: "said", health: openHealth(await cluster.peers.request(name, "health", NOTHING, { timeoutMs: TIMEOUT_MS, signal })) });
        } catch (error) {
          reports.set(name, { kind: "silent", because: messageOf(error) });
        }
      }),
    );
    signal.throwIfAborted();
    return clusterHealth(view, reports);
  }

  own(): NodeHealth {
    const { clock, cluster, flusher, head, isWritable } = this.#modules;
    const { openCount, ownOpenCount, cutCount } = head.stats;
    const { backlog } = flusher;
    const lost = cluster.view.lostStores.filter(({ isCleared }) => !isCleared);
    return {
      storeId: toHex(head.storeId),
      isWritable: isWritable(),
      isInContact: cluster.isInContact,
      replicationSetting: cluster.view.replicationSetting,
      isReplicationRising: cluster.view.isReplicationRising,
      ownRecords: ownOpenCount + cutCount,
      keptRecords: openCount - ownOpenCount,
      thinRecords: this.#thinRecords(),
      backlogSegments: backlog.count,
      backlogBytes: backlog.bytes,
      backlogReason: (backlog.reasons[0] ?? "").slice(0, REASON_LENGTH_MAX),
      takeovers: this.#modules.takeover.takenCount,
      lastRefusals: this.#modules.lastRefusals?.() ?? [],
      wallMs: clock.nowMs(),
      lostStores: lost.slice(0, LOST_COUNT_MAX).map(({ storeId }) => storeId),
    };
  }

  #thinRecords(): number {
    const { cluster, head } = this.#modules;
    const live = new Set(cluster.view.members.filter(({ state }) => state === "active" || state === "leaving").map(({ storeId }) => storeId));
    live.add(toHex(head.storeId));
    let count = 0;
    for (const { stores, recordCount } of head.storeLists()) {
      const liveCount = stores.filter((storeId) => live.has(toHex(storeId))).length;
      if (stores.length > 0 && liveCount < majorityOf(stores.length)) count += recordCount;
    }
    return count;
  }
}

const NOTHING = new Uint8Array(0);
