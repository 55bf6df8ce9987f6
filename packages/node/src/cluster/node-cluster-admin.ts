/**
 * What the API shows of the cluster (`ClusterAdmin`), made of the view of this node. A node alone answers for itself: it is its only member, and has
 * nobody to forget or to leave.
 */
import type { ClusterAdmin, ClusterHealth, ClusterStatus, MemberStatus } from "@pyromesh/api";
import { CodedError, untilAborted } from "@pyromesh/base";
import { FORMATS, RingOfView, supportOf } from "@pyromesh/ring";
import type { FormatInForce, Member, Ring } from "@pyromesh/ring";
import type { Cluster } from "./ports.ts";
import { shownHealth } from "./shown-health.ts";
import type { FoundHealth } from "./shown-health.ts";

/** The operator's words, as membership and the flush carry them out. */
export interface ClusterCommands {
  forget(name: string, options: { readonly isForced: boolean }): Promise<void>;
  leave(): Promise<void>;
  drain(): Promise<void>;
  resume(): Promise<void>;
}

export interface NodeClusterAdminModules {
  /** Throws while the node has not joined yet, or has not opened its store. */
  readonly cluster: () => Cluster;
  readonly formats: () => readonly FormatInForce[];
  /** Undefined: the node is alone. */
  readonly commands: (() => ClusterCommands) | undefined;
  readonly health: (signal: AbortSignal) => Promise<FoundHealth>;
}

const TOKEN_SPACE = 2 ** 32;
const NEVER = new AbortController().signal;

export class NodeClusterAdmin implements ClusterAdmin {
  readonly #modules: NodeClusterAdminModules;
  readonly #rings = new RingOfView();
  #asking: Promise<FoundHealth> | undefined;

  constructor(modules: NodeClusterAdminModules) {
    this.#modules = modules;
  }

  status(): ClusterStatus {
    const cluster = this.#modules.cluster();
    const { view, isInContact } = cluster;
    const shares = sharesByName(this.#rings.of(view));
    const shown = (member: Member): MemberStatus => memberStatus(member, member.name === view.self.name, shares.get(member.name) ?? 0);
    return {
      clusterName: this.#modules.commands === undefined ? undefined : view.clusterName,
      selfName: view.self.name,
      replication: view.replication,
      acks: view.acks,
      isInContact,
      writesRefusedBecause: view.writesRefusedBecause,
      queriesRefusedBecause: view.queriesRefusedBecause,
      digest: view.digest,
      formats: this.#modules.formats().map(({ format, heldBackBy, version }, at) => ({ format, version, newest: supportOf(view.self.formats, at).reads, heldBackBy })),
      members: view.members.map(shown),
      gone: view.gone.map(shown),
      lostStores: view.lostStores,
    };
  }

  ringSlices(count: number): readonly number[] {
    const { view } = this.#modules.cluster();
    const ring = this.#rings.of(view);
    const indexByName = new Map(view.members.map(({ name }, index) => [name, index]));
    return Array.from({ length: count }, (_, slice) => {
      if (ring.tokenCount === 0) return -1;
      const middle = Math.floor(((slice + 0.5) / count) * TOKEN_SPACE);
      return indexByName.get(ring.members[ring.memberAt(ring.placeAfter(middle))]!.name) ?? -1;
    });
  }

  /** Callers at the same time share one round: a page that many have open asks each member once. A round ends within seconds, whoever waits for it. */
  async health(signal: AbortSignal): Promise<ClusterHealth> {
    this.#asking ??= this.#modules.health(NEVER).finally(() => (this.#asking = undefined));
    return shownHealth(await untilAborted(this.#asking, signal), { isAlone: this.#modules.commands === undefined });
  }

  async forget(name: string, options: { readonly isForced: boolean }): Promise<void> {
    await this.#commands("nobody to forget").forget(name, options);
  }

  async leave(): Promise<void> {
    await this.#commands("nothing to leave: stop it").leave();
  }

  async drain(): Promise<void> {
    await this.#commands("nobody who takes its pushes: POST /flush puts what it holds into the bucket").drain();
  }

  async resume(): Promise<void> {
    await this.#commands("nothing to take back").resume();
  }

  #commands(whatIsMissing: string): ClusterCommands {
    const commands = this.#modules.commands?.();
    if (commands !== undefined) return commands;
    throw new CodedError({ code: "NODE_IS_ALONE", kind: "failed_precondition", message: `this node has no cluster, so there is ${whatIsMissing}` });
  }
}

function sharesByName(ring: Ring): ReadonlyMap<string, number> {
  const shares = ring.shares();
  return new Map(ring.members.map(({ name }, index) => [name, shares[index]!]));
}

function memberStatus(member: Member, isSelf: boolean, share: number): MemberStatus {
  const { name, state, isSuspect, zone, clusterAddress, httpAddress, tokenCount, storeId, bootId, incarnation, protocolMin, protocolMax, formats, build, acksHeld } = member;
  return { name, state, isSelf, isSuspect, zone, clusterAddress, httpAddress, tokens: tokenCount, share, storeId, bootId, incarnation, protocolMin, protocolMax, formats: Object.fromEntries(FORMATS.map((format, at) => [format, supportOf(formats, at)])), build, acksHeld };
}
