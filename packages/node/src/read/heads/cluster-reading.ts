/** The read path of a node in a cluster, put together: its own store as others ask it, and the heads of all stores as its queries ask them. */
import type { Clock, Metrics, Random } from "@pyromesh/base";
import { SealedReads } from "@pyromesh/block";
import type { Catalog, LocalFiles } from "@pyromesh/block";
import type { Cluster } from "../../cluster/ports.ts";
import type { Compute } from "../../compute/compute.ts";
import { ClusterHeads } from "./cluster-heads.ts";
import type { ClusterHeadsModules } from "./cluster-heads.ts";
import { Holder } from "./holder.ts";
import type { HolderOptions } from "./holder.ts";
import type { HeadMatcher, PinnedGenerations, ReleasedInto, ViewedHead } from "./ports.ts";

export interface ClusterReadingModules extends Pick<ClusterHeadsModules, "refresh" | "listBeganMs"> {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly cluster: Cluster;
  readonly compute: Pick<Compute, "scan" | "merge">;
  readonly head: ViewedHead;
  readonly generations: PinnedGenerations;
  readonly catalog: Catalog;
  readonly localFiles: Pick<LocalFiles, "read">;
  readonly matcher: HeadMatcher;
  readonly releasedInto: ReleasedInto;
}

export interface ClusterReading {
  /** For `serveHolder`. Its views are stopped with the node: `holder.views.stop()`. */
  readonly holder: Holder;
  readonly sealedReads: SealedReads;
  /** For the reader. */
  readonly heads: ClusterHeads;
}

export function clusterReading(options: HolderOptions, modules: ClusterReadingModules): ClusterReading {
  const { catalog, cluster } = modules;
  const holder = new Holder(options, { ...modules, membersDigest: () => cluster.view.digest });
  return {
    holder,
    sealedReads: new SealedReads({}, modules),
    heads: new ClusterHeads({ ...modules, holder, addByMeta: (heard, origin) => catalog.addByMeta(heard, origin), forgetHeard: (key) => catalog.forgetHeard(key) }),
  };
}
