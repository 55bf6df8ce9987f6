/**
 * What a member of a cluster has beside the engines of a node alone (node.ts): the flush with and for others, the operator's words, and the heads of the other
 * stores, which its queries ask.
 */
import type { Clock, Logger, Metrics, Random } from "@pyromesh/base";
import type { Catalog, LocalFiles, ObjectSource } from "@pyromesh/block";
import type { Head } from "@pyromesh/head";
import type { BucketLink } from "./background/bucket-link.ts";
import type { Flusher } from "./background/flusher.ts";
import type { Generations } from "./background/generations.ts";
import type { JoinedCluster } from "./cluster/joined-cluster.ts";
import type { Compute } from "./compute/compute.ts";
import { ClusterRelease } from "./member/cluster-release.ts";
import type { ClusterReleaseOptions } from "./member/cluster-release.ts";
import { Leaving } from "./member/leaving.ts";
import { MemberCommands } from "./member/member-commands.ts";
import type { ClusterHeads } from "./read/heads/cluster-heads.ts";
import { clusterReading } from "./read/heads/cluster-reading.ts";
import { serveHolder } from "./read/heads/holder-requests.ts";
import type { SegmentMemory } from "./release/segment-memory.ts";

export interface MemberModules {
  readonly cluster: JoinedCluster;
  readonly head: Head;
  readonly generations: Generations;
  readonly catalog: Catalog;
  readonly flusher: Flusher;
  readonly link: BucketLink;
  readonly local: LocalFiles;
  /** Reads objects wherever they lie. */
  readonly source: ObjectSource;
  /** The flusher's listener. */
  readonly segmentMemory: SegmentMemory;
  readonly compute: Compute;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** This node takes pushes, as far as it can tell by itself. */
  readonly isWritable: () => boolean;
  /** See `NodeModules`. */
  readonly lastRefusals?: () => readonly string[];
  readonly onLeft: () => void;
  /** Aborted when the node stops. */
  readonly stopped: AbortSignal;
}

export interface Member {
  readonly cluster: JoinedCluster;
  /** Starts and stops with the node. */
  readonly release: ClusterRelease;
  readonly commands: MemberCommands;
  /** For the reader. */
  readonly heads: ClusterHeads;
  /** The views that other members' queries hold here end. */
  stopReading(): void;
}

export function composeMember(options: ClusterReleaseOptions, modules: MemberModules): Member {
  const { cluster, link, segmentMemory } = modules;
  const release = new ClusterRelease(options, { ...modules, segments: segmentMemory, list: (windows, signal) => link.listWindows(windows, signal) });
  const leaving = new Leaving({ ...modules, membership: cluster, flush: release.flush, isEmpty: () => release.isEmpty });
  const reading = clusterReading(
    { bootId: cluster.view.self.bootId },
    {
      ...modules,
      localFiles: modules.local,
      matcher: release.matcher,
      releasedInto: segmentMemory.releasedInto,
      refresh: (signal, fromMs) => link.refreshForReader(signal, fromMs),
      listBeganMs: (fromMs) => link.listBeganMs(fromMs),
    },
  );
  const holder = (): typeof reading.holder => {
    cluster.checkCompared();
    return reading.holder;
  };
  serveHolder({ peers: cluster.peers, holder, sealedReads: () => reading.sealedReads });
  return { cluster, release, commands: new MemberCommands({ ...modules, leaving }), heads: reading.heads, stopReading: () => reading.holder.views.stop() };
}
