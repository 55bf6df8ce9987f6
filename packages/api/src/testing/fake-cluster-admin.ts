/** A cluster of three as the API sees it, one of them dead. Tests change it. */
import type { ClusterAdmin, ClusterHealth, ClusterStatus, MemberStatus } from "../ports/cluster.ts";

export class FakeClusterAdmin implements ClusterAdmin {
  shown: ClusterStatus = {
    clusterName: "prod",
    selfName: "node-1",
    replication: 3,
    acks: 2,
    isInContact: true,
    writesRefusedBecause: undefined,
    queriesRefusedBecause: undefined,
    formats: [
      { format: "record", version: 1, newest: 2, heldBackBy: ["node-2"] },
      { format: "segment", version: 1, newest: 1, heldBackBy: [] },
    ],
    digest: "00112233445566778899aabbccddeeff",
    members: [fakeMember("node-1", { isSelf: true, zone: "a", share: 0.5 }), fakeMember("node-2", { zone: "b", share: 0.5, isSuspect: true }), fakeMember("node-3", { zone: "c", state: "dead", share: 0 })],
    gone: [fakeMember("node-0", { state: "left" })],
    lostStores: [{ member: "node-3", storeId: "33", incarnation: 4, acksHeld: 2, isCleared: false, isReplaced: false, fencedBy: ["node-1"], flushedBy: [] }],
  };
  shownHealth: ClusterHealth = {
    mayStop: false,
    reasons: ["node-3 is dead: start it again, or wait until its records are in the bucket"],
    notes: [],
    members: [
      { name: "node-1", problems: [], ownRecords: 12, keptRecords: 34_567, backlogBytes: 0, takeovers: 1, lastRefusals: ["12:00:03 NOT_ENOUGH_ACKS: 1 of 2 answered"] },
      { name: "node-2", problems: [], ownRecords: 0, keptRecords: 0, backlogBytes: 5, takeovers: 0, lastRefusals: [] },
      { name: "node-3", problems: ["it does not answer"], ownRecords: undefined, keptRecords: undefined, backlogBytes: undefined, takeovers: undefined, lastRefusals: [] },
    ],
  };
  readonly asked: string[] = [];
  /** What forget, leave and drain reject with. */
  refusal: Error | undefined;

  status(): ClusterStatus {
    return this.shown;
  }
  ringSlices(count: number): readonly number[] {
    return Array.from({ length: count }, (_, slice) => (slice < count / 2 ? 0 : 1));
  }
  health(): Promise<ClusterHealth> {
    return Promise.resolve(this.shownHealth);
  }
  forget(name: string, { isForced }: { readonly isForced: boolean }): Promise<void> {
    return this.#ask(`forget ${name}${isForced ? " by force" : ""}`);
  }
  leave(): Promise<void> {
    return this.#ask("leave");
  }
  drain(): Promise<void> {
    return this.#ask("drain");
  }
  resume(): Promise<void> {
    return this.#ask("resume");
  }

  #ask(what: string): Promise<void> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    this.asked.push(what);
    return Promise.resolve();
  }
}

export function fakeMember(name: string, fields: Partial<MemberStatus> = {}): MemberStatus {
  return {
    name,
    state: "active",
    isSelf: false,
    isSuspect: false,
    zone: "",
    clusterAddress: `${name}:7946`,
    httpAddress: `${name}:4040`,
    tokens: 128,
    share: 0,
    storeId: `store of ${name}`,
    bootId: `boot of ${name}`,
    incarnation: 1,
    protocolMin: 1,
    protocolMax: 1,
    formats: { record: { writesFrom: 1, reads: name === "node-2" ? 1 : 2, promised: 1 }, segment: { writesFrom: 1, reads: 1, promised: 1 } },
    build: "0.1.0",
    acksHeld: 2,
    ...fields,
  };
}
