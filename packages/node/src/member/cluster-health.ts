/**
 * Whether the next node may be stopped, and why not yet: `GET /api/v1/cluster/health`. Pure.
 *
 * One may be stopped where all members are full, live, in contact and writable, no loss waits for its clearing, and every record that is not in the bucket is kept by
 * as many live stores as acknowledged it, and by two at least. Then the others go on taking pushes and answering queries without it.
 */
import type { ClusterView } from "@pyromesh/ring";
import type { NodeHealth } from "../cluster/health-message.ts";

export type MemberReport = { readonly kind: "said"; readonly health: NodeHealth } | { readonly kind: "silent"; readonly because: string };

export interface MemberHealth {
  readonly name: string;
  readonly state: string;
  /** Undefined where it did not answer. */
  readonly said: NodeHealth | undefined;
  readonly problems: readonly string[];
}

export interface ClusterHealth {
  readonly mayStopOne: boolean;
  /** Why not; in words that can be read one by one. */
  readonly because: readonly string[];
  /** What is odd and keeps nobody from stopping one; in words. */
  readonly notes: readonly string[];
  readonly members: readonly MemberHealth[];
}

/** `reports`: by member name, this node's own among them. */
export function clusterHealth(view: ClusterView, reports: ReadonlyMap<string, MemberReport>): ClusterHealth {
  const members = view.members.map((member): MemberHealth => {
    const report = reports.get(member.name) ?? { kind: "silent", because: "it was not asked" };
    const problems: string[] = [];
    if (member.state !== "active") problems.push(`it is ${member.state}`);
    if (member.acksHeld < 2 && view.members.length > 1) problems.push("it holds records that no other store has, taken under 1 ack: without it queries are refused, until they are in the bucket");
    if (report.kind === "silent") {
      if (member.state !== "dead") problems.push(`it did not answer (${report.because})`);
      return { name: member.name, state: member.state, said: undefined, problems };
    }
    const { health } = report;
    if (health.storeId !== member.storeId) problems.push("it has another store than the members know: wait until they do");
    if (!health.isInContact) problems.push("it is out of contact with the majority");
    if (!health.isWritable && member.state === "active") problems.push("it takes no pushes");
    if (health.isReplicationRising && member.acksHeld >= 2) problems.push("it still flushes what it took under a lower replication: until that is in the bucket, it takes pushes only while all members are there");
    if (health.thinRecords > 0) problems.push(`${health.thinRecords === 1 ? "1 record is" : `${health.thinRecords} records are`} kept by fewer live stores than acknowledged them`);
    if (health.backlogSegments > 0 && health.backlogReason !== "") problems.push(`${health.backlogSegments === 1 ? "1 sealed segment waits" : `${health.backlogSegments} sealed segments wait`} for the bucket: ${health.backlogReason}`);
    return { name: member.name, state: member.state, said: health, problems };
  });
  const because = members.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`));
  const own = reports.get(view.self.name);
  const open = view.lostStores.filter(({ isCleared }) => !isCleared);
  const isStuck = open.length >= view.acksMin || (own?.kind === "said" && !own.health.isInContact);
  for (const { member, storeId } of open) because.push(`store ${storeId} of ${member} is lost and not cleared: ${isStuck ? stuckText(member) : "what it held is being flushed by others"}`);
  const activeCount = view.members.filter(({ state }) => state === "active").length;
  if (activeCount <= view.acks) because.push(`with one node fewer no push would be taken: a push needs ${view.acks} active ${view.acks === 1 ? "member" : "members"}, and there ${activeCount === 1 ? "is" : "are"} ${activeCount}`);
  return { mayStopOne: because.length === 0, because, notes: settingsNotes(members), members };
}

/** Members with different settings of the replication: which is whose. */
function settingsNotes(members: readonly MemberHealth[]): readonly string[] {
  const names = new Map<number, string[]>();
  for (const { name, said } of members) if (said?.replicationSetting !== undefined) names.set(said.replicationSetting, [...(names.get(said.replicationSetting) ?? []), name]);
  if (names.size < 2) return [];
  const parts = [...names].sort(([a], [b]) => b - a).map(([setting, those]) => `${setting} on ${those.join(", ")}`);
  return [`replication is set to ${parts.join(", and to ")}: the highest is in force, as far as there are members. Give all the same`];
}

/** A loss is cleared by a majority, and only while fewer stores are lost than acknowledged any record (docs/decisions/0016-membership.md). */
function stuckText(member: string): string {
  return `too many members or stores are missing to clear it. Bring one back, or where its disk is gone for good say "pyromesh cluster forget ${member} --force": what only it held is given up`;
}
