/**
 * The cluster of a node without one: a view of one member, always in contact, with a replication of 1 and nobody to ask. So write path, read path
 * and flush have one way each.
 */
import { toHex, unavailable } from "@pyromesh/base";
import type { ClusterView, Member, StoreId } from "@pyromesh/ring";
import { BUILD_FORMATS, heldVersions, memberFormats } from "../process/build-formats.ts";
import type { BuildFormats } from "../process/build-formats.ts";
import type { Cluster, Peers } from "./ports.ts";

export interface AloneOptions {
  readonly name: string;
  /** `--cluster-name`, or "". */
  readonly clusterName: string;
  readonly bootId: string;
  readonly httpAddress: string;
  readonly build: string;
  /** Absent: those of this build. */
  readonly formats?: BuildFormats | undefined;
}

/** `storeId`: this store's, 16 bytes, which changes where a loss makes it take a new one. */
export function aloneCluster(options: AloneOptions, storeId: () => Uint8Array): Cluster {
  let current = storeId();
  let view = viewOf(options, toHex(current));
  return {
    get view() {
      const now = storeId();
      if (now !== current) view = viewOf(options, toHex((current = now)));
      return view;
    },
    isInContact: true,
    contact: () => Promise.resolve(true),
    onChange: () => () => {},
    isLost: () => false,
    isMajority: (answered) => answered.has(view.self.storeId),
    noteHeld: () => {},
    noteFlushed: () => {},
    learnFrom: () => Promise.resolve(),
    peers: NO_PEERS,
  };
}

const NO_PEERS: Peers = {
  request: (member) => Promise.reject(unavailable("PEER_UNREACHABLE", `${member} is no member: this node has no cluster`)),
  hears: () => Promise.resolve(false),
  handle: () => {},
};

function viewOf({ name, clusterName, bootId, httpAddress, build, formats = BUILD_FORMATS }: AloneOptions, storeId: StoreId): ClusterView {
  const self: Member = {
    name,
    storeId,
    bootId,
    incarnation: 0,
    state: "active",
    isSuspect: false,
    clusterAddress: "",
    httpAddress,
    zone: "",
    tokenCount: 1,
    protocolMin: 1,
    protocolMax: 1,
    formats: memberFormats(formats, heldVersions(formats, "reads")),
    build,
    acksHeld: 1,
  };
  return {
    clusterName,
    self,
    members: [self],
    gone: [],
    lostStores: [],
    replication: 1,
    acks: 1,
    replicationSetting: 1,
    isReplicationRising: false,
    acksMin: 1,
    listAfterMs: 0,
    writesRefusedBecause: undefined,
    queriesRefusedBecause: undefined,
    digest: storeId,
  };
}
