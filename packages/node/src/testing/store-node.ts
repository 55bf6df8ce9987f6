/**
 * A member of a `FakeClusterWorld` as far as the write path goes: a head that keeps records in memory, the handler of other members' records, and the
 * replicator of its own. Records are synced when the test says so, or at once.
 */
import { CodedError, Metrics, silentLogger, toHex } from "@pyromesh/base";
import type { Caller } from "@pyromesh/api";
import type { EncodedRecord } from "@pyromesh/profile";
import { AppendHandler } from "../cluster/append-handler.ts";
import { AppendSenders } from "../cluster/append-senders.ts";
import { Hints } from "../write/hints.ts";
import type { HintedRecords } from "../write/hints.ts";
import { Placement } from "../write/placement.ts";
import type { PlacementLimits } from "../write/placement.ts";
import { Replicator } from "../write/replicator.ts";
import type { Keeping } from "../write/replicator.ts";
import type { FakeCluster, FakeClusterWorld } from "./fake-cluster.ts";

const NOBODY_LEAVES: Caller = { throwIfAborted: () => {} };

export interface HeldRecord {
  readonly record: EncodedRecord;
  readonly stores: readonly Uint8Array[];
}

export class StoreNode {
  readonly name: string;
  readonly cluster: FakeCluster;
  readonly metrics: Metrics = new Metrics();
  /** What is synced, by identity in hex. */
  readonly held: Map<string, HeldRecord> = new Map();
  readonly unkept: { readonly identity: string; readonly member: string }[] = [];
  limits: PlacementLimits = { serviceSpread: 0, tenantShardSize: 0 };
  /** What the head does before it has synced a record: it may wait, or refuse. */
  onSync: (record: EncodedRecord) => Promise<void> | void = () => {};
  readonly senders: AppendSenders;
  readonly placement: Placement;
  readonly replicator: Replicator;
  readonly hints: Hints;
  readonly head: HintedRecords & { append: (record: EncodedRecord, stores: readonly Uint8Array[]) => Promise<{ isDuplicate: boolean; keptStores?: readonly Uint8Array[] }> } = {
    append: (record, stores) => this.#append(record, stores),
    entry: (identity) => this.held.get(toHex(identity)),
    readRecord: async (identity) => this.held.get(toHex(identity))?.record,
  };

  /** `againWithinMs`: of its replicator; 0: it waits for nothing to pass. */
  constructor(world: FakeClusterWorld, name: string, { againWithinMs = 0 }: { readonly againWithinMs?: number } = {}) {
    this.name = name;
    this.cluster = world.of(name);
    const { cluster, head, metrics } = this;
    this.senders = new AppendSenders({ cluster, clock: world.clock });
    let storeId = world.storeOf(name);
    this.placement = new Placement({
      cluster,
      storeId: () => (toHex(storeId) === cluster.view.self.storeId ? storeId : (storeId = world.storeOf(name))),
      limitsOf: () => this.limits,
      silent: () => this.senders.silent,
    });
    this.hints = new Hints({}, { cluster, head, senders: this.senders, clock: world.clock, logger: silentLogger, metrics });
    const onUnkept = (identity: Uint8Array, member: string): void => {
      this.unkept.push({ identity: toHex(identity), member });
      this.hints.note(identity, member);
    };
    this.replicator = new Replicator({ againWithinMs }, { cluster, head, placement: this.placement, senders: this.senders, onUnkept, clock: world.clock, metrics });
    const handler = new AppendHandler({}, { cluster, head, floorOf: () => 0, refusesBecause: () => undefined, clock: world.clock, logger: silentLogger, metrics });
    cluster.peers.handle("append", (from, body) => handler.handle(from, body));
  }

  /** As a push does: the bytes of the record are overwritten as soon as it says that nobody reads them. */
  async push(record: EncodedRecord, caller: Caller = NOBODY_LEAVES): Promise<"kept" | CodedError> {
    const lent = { ...record, bytes: record.bytes.slice() };
    const keeping: Keeping = this.replicator.keep(lent, caller);
    const outcome = await keeping.kept.then(
      () => "kept" as const,
      (thrown: unknown) => {
        if (thrown instanceof CodedError) return thrown;
        throw thrown;
      },
    );
    if (keeping.unread === undefined) lent.bytes.fill(0);
    else void keeping.unread.then(() => lent.bytes.fill(0));
    if (outcome === "kept" && !this.cluster.isInContact) await this.cluster.contact();
    return outcome === "kept" && !this.cluster.isInContact ? new CodedError({ code: "OUT_OF_CONTACT", kind: "unavailable", message: "" }) : outcome;
  }

  has({ identity }: Pick<EncodedRecord, "identity">): boolean {
    return this.held.has(toHex(identity));
  }

  stop(): void {
    this.hints.stop();
    this.senders.stop();
  }

  async #append(record: EncodedRecord, stores: readonly Uint8Array[]): Promise<{ isDuplicate: boolean; keptStores?: readonly Uint8Array[] }> {
    await this.onSync(record);
    const key = toHex(record.identity);
    const held = this.held.get(key);
    if (held === undefined) {
      this.held.set(key, { record: { ...record, identity: record.identity.slice(), bytes: record.bytes.slice() }, stores: stores.map((id) => id.slice()) });
      return { isDuplicate: false };
    }
    const isSame = held.stores.length === stores.length && held.stores.every((id, rank) => Buffer.compare(id, stores[rank]!) === 0);
    return isSame ? { isDuplicate: true } : { isDuplicate: true, keptStores: held.stores };
  }
}
