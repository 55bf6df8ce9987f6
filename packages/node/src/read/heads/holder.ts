/**
 * One store as a query over several heads asks it: which records it answers for (`digest`, `identities`), and their partial answers (`scan`). The query's
 * own node asks its own store by the same methods, without a message.
 *
 * A scan of a peer goes through the same workers, queues and slices as a query of this node: pushes go before it. At most `scansAtOnceMax` of them run
 * at once and the others wait; the budgets of requests between members bound how many.
 */
import { toHex } from "@pyromesh/base";
import type { Clock, Metrics, Random, TenantId } from "@pyromesh/base";
import type { Catalog } from "@pyromesh/block";
import type { EncodedRecord } from "@pyromesh/profile";
import { malformed } from "../../cluster/message.ts";
import type { Compute, ScanPartial, ScanSpec } from "../../compute/compute.ts";
import { Gate } from "../gate.ts";
import { Gathered } from "../gathered.ts";
import { quarantinesWithin, specAbove } from "../read-plan.ts";
import { openHeadView } from "./head-view.ts";
import type { HeadView } from "./head-view.ts";
import { HeadViews, viewExpired } from "./head-views.ts";
import type { HeadViewsOptions } from "./head-views.ts";
import type { DigestAnswer, DigestRequest, IdentitiesRequest, IdentityLists, ScanRequest, TenantTake } from "./messages.ts";
import type { HeadMatcher, PinnedGenerations, ReleasedInto, ViewedHead } from "./ports.ts";
import type { TenantView } from "./tenant-view.ts";

export interface HolderOptions extends HeadViewsOptions {
  readonly bootId: string;
  readonly scansAtOnceMax?: number;
}

export interface HolderModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly compute: Pick<Compute, "scan" | "merge">;
  readonly head: ViewedHead;
  readonly generations: PinnedGenerations;
  readonly catalog: Pick<Catalog, "forgetHeard" | "plan">;
  readonly matcher: HeadMatcher;
  readonly releasedInto: ReleasedInto;
  /** The digest of the member table that this node knows. */
  readonly membersDigest: () => string;
}

const SCANS_AT_ONCE_MAX = 8;
/** Views being made: each holds what it has listed so far, which counts among the views only at its end. */
const COLLECTS_AT_ONCE_MAX = 4;
/** Records of higher ranks are read and interned in steps of this many bytes, so that a query holds no more of them at once. */
const STEP_BYTES = 4 * 2 ** 20;
const READ_COUNT_MAX = 256;
const QUARANTINES_NAMED_MAX = 5;

export class Holder {
  readonly views: HeadViews;
  readonly #bootId: string;
  readonly #modules: HolderModules;
  readonly #collects = new Gate(COLLECTS_AT_ONCE_MAX);
  readonly #scans: Gate;

  constructor({ bootId, scansAtOnceMax = SCANS_AT_ONCE_MAX, ...views }: HolderOptions, modules: HolderModules) {
    this.#bootId = bootId;
    this.#scans = new Gate(scansAtOnceMax);
    this.#modules = modules;
    this.views = new HeadViews(views, modules);
    const { metrics } = modules;
    metrics.gauge("pyromesh_head_views", "Views of this store's head that queries hold.", [], (gauge) => gauge.set({}, this.views.count));
    metrics.gauge("pyromesh_head_view_bytes", "Memory of the views that queries hold.", [], (gauge) => gauge.set({}, this.views.sizeBytes));
  }

  /** `member`: the name of who asks. */
  async digest(member: string, request: DigestRequest, signal: AbortSignal): Promise<DigestAnswer> {
    const { clock, head, membersDigest, releasedInto } = this.#modules;
    const opened = await openHeadView(request, { ...this.#modules, gate: this.#collects }, signal);
    const about = {
      question: request.question,
      storeId: toHex(head.storeId),
      bootId: this.#bootId,
      membersDigest: membersDigest(),
      remembersMs: Math.max(0, Math.floor(clock.monotonicMs() - releasedInto.sinceMs)),
      quarantines: quarantinesWithin(head.quarantine(), request.startMs, request.endMs).slice(0, QUARANTINES_NAMED_MAX).map(({ id, reason }) => `quarantine ${id}: ${reason}`),
      span: this.#spanOf(request.tenants),
    };
    const nothing = { unknown: [], nowhere: [], gone: [], viewId: undefined, tenants: [], named: [] };
    if (opened.kind === "unknown") return { ...about, ...nothing, unknown: opened.unknown };
    if (opened.kind === "nowhere") return { ...about, ...nothing, nowhere: opened.nowhere };
    if (opened.kind === "gone") return { ...about, ...nothing, gone: [opened.key] };
    const { view, named } = opened;
    const tenants = Array.from(view.tenants, ([tenant, { seriesCount, fingerprints, counts, internedCounts, sums }]) => ({ tenant, seriesCount, fingerprints, counts, internedCounts, sums }));
    if (view.recordCount > 0 && !signal.aborted) return { ...about, ...nothing, viewId: this.views.add(member, view), tenants, named };
    view.release();
    signal.throwIfAborted();
    return { ...about, ...nothing, named };
  }

  identities(member: string, { viewId, series }: IdentitiesRequest): Promise<IdentityLists[]> {
    return this.views.use(member, viewId, async (view) => series.map(({ tenant, fingerprints }) => listOf(view.tenants.get(tenant), tenant, fingerprints)));
  }

  /** Rejects HEAD_VIEW_EXPIRED where a record has left the head meanwhile that must be read from it. */
  scan(member: string, request: ScanRequest, signal: AbortSignal): Promise<readonly ScanPartial[]> {
    return this.views.use(member, request.viewId, (view) =>
      this.#scans.run(async () => {
        signal.throwIfAborted();
        const { compute } = this.#modules;
        const gathered = new Gathered(request.spec, { compute, signal });
        for (const [tenant, own] of view.tenants) {
          const take = request.takes?.find((one) => one.tenant === tenant);
          if (request.takes !== undefined && take === undefined) continue;
          const spec = specAbove(request.floors.get(tenant) ?? -Infinity, request.spec);
          await this.#scanTenant(tenant, own, take, { spec, view, gathered, signal });
        }
        return gathered.partials;
      }),
    );
  }

  /** As `scan`, merged into one; undefined where there was nothing to scan. */
  async scanMerged(member: string, request: ScanRequest, signal: AbortSignal): Promise<ScanPartial | undefined> {
    const partials = await this.scan(member, request, signal);
    return partials.length < 2 ? partials[0] : this.#modules.compute.merge(request.spec, partials, signal);
  }

  async #scanTenant(tenant: TenantId, own: TenantView, take: TenantTake | undefined, { spec, view, gathered, signal }: { readonly spec: ScanSpec; readonly view: HeadView; readonly gathered: Gathered; readonly signal: AbortSignal }): Promise<void> {
    const { compute } = this.#modules;
    const { interned, aside } = splitTake(own, take);
    const task = { spec, tenants: [tenant], firstWindowMs: -Infinity, lastWindowMs: Infinity, generations: [], parts: [] };
    if (interned.length > 0) await gathered.add(await compute.scan({ ...task, generations: view.generations, only: interned }, signal));
    for await (const records of this.#recordsOf(aside)) {
      signal.throwIfAborted();
      await gathered.add(await compute.scan({ ...task, records }, signal));
    }
  }

  /** The records with these seqs, from the store, in steps of bounded size. */
  async *#recordsOf(seqs: readonly number[]): AsyncGenerator<EncodedRecord[]> {
    let records: EncodedRecord[] = [];
    let bytes = 0;
    for (let at = 0; at < seqs.length; at += READ_COUNT_MAX) {
      for (const record of await this.#modules.head.read(seqs.slice(at, at + READ_COUNT_MAX))) {
        if (record === undefined) throw viewExpired("some of them were flushed meanwhile");
        records.push(record);
        bytes += record.bytes.length;
        if (bytes < STEP_BYTES) continue;
        yield records;
        records = [];
        bytes = 0;
      }
    }
    if (records.length > 0) yield records;
  }

  #spanOf(tenants: readonly TenantId[]): DigestAnswer["span"] {
    const spans = tenants.map((tenant) => this.#modules.head.spanOf(tenant)).filter((span) => span !== undefined);
    if (spans.length === 0) return undefined;
    return { oldestMs: Math.min(...spans.map(({ oldestMs }) => oldestMs)), newestMs: Math.max(...spans.map(({ newestMs }) => newestMs)) };
  }
}

/** Which of the taken records have rows in memory, by identity, and which must be read from the store, by seq. */
function splitTake(own: TenantView, take: TenantTake | undefined): { readonly interned: Uint8Array; readonly aside: readonly number[] } {
  const interned = new Uint8Array(own.recordCount * 16);
  let internedBytes = 0;
  const aside: number[] = [];
  const add = (record: number): void => {
    if (own.rankOf(record) > 0) {
      aside.push(own.seqOf(record));
      return;
    }
    interned.set(own.identityOf(record), internedBytes);
    internedBytes += 16;
  };
  if (take === undefined) {
    for (const record of own.records()) add(record);
  } else {
    for (const fingerprint of take.fingerprints) for (const record of own.recordsOf(fingerprint)) add(record);
    let count = 0;
    for (const record of own.recordsWith(take.identities)) {
      add(record);
      count++;
    }
    // An answer that silently lacked one would be taken for complete.
    if (count * 16 !== take.identities.length) throw malformed("a scan request", `${take.identities.length / 16 - count} of its identities are not in the view that it names`);
  }
  return { interned: interned.subarray(0, internedBytes), aside };
}

function listOf(own: TenantView | undefined, tenant: TenantId, fingerprints: BigUint64Array): IdentityLists {
  const counts = new Uint32Array(fingerprints.length);
  const records: number[] = [];
  for (const [index, fingerprint] of fingerprints.entries()) {
    const before = records.length;
    if (own !== undefined) for (const record of own.recordsOf(fingerprint)) records.push(record);
    counts[index] = records.length - before;
  }
  const identities = new Uint8Array(records.length * 16);
  const interned = new Uint8Array(records.length);
  for (const [index, record] of records.entries()) {
    identities.set(own!.identityOf(record), index * 16); // there are records, so there is a view
    interned[index] = own!.rankOf(record) === 0 ? 1 : 0;
  }
  return { tenant, counts, identities, interned };
}
