/**
 * The heads of a query after its digest round: the views that stores hold for it, who answers for which records, and their partial answers.
 *
 *   compare ──► scan ──► release
 *
 * A store that fails meanwhile is replaced by another that has the same records. Records that only it has are left out where the answer is complete without
 * it, as if it had not answered at all; else the query plans again (HEADS_CHANGED).
 */
import { CodedError, messageOf, Turns, unavailable } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import type { ScanPartial, ScanSpec } from "../../compute/compute.ts";
import type { Cluster } from "../../cluster/ports.ts";
import { packedFromPeer } from "../../compute/packed-partial.ts";
import { compareDigests, itemsOfLists, listsToAsk, shareOut, takesOf } from "./assign.ts";
import type { HolderDigests, Item } from "./assign.ts";
import { judge } from "./completeness.ts";
import type { Judgement } from "./completeness.ts";
import type { HolderAnswer } from "./digest-round.ts";
import type { Holder } from "./holder.ts";
import { NO_PARTIAL } from "./holder-requests.ts";
import { openIdentityLists, packIdentitiesRequest, packScanRequest } from "./messages.ts";
import type { IdentityLists, ScanRequest, TenantSeries } from "./messages.ts";
import { requestMember } from "./member-request.ts";
import type { PeerBytes } from "./peer-bytes.ts";

export interface OpenedHeadsOptions {
  readonly answers: readonly HolderAnswer[];
  /** Why members did not answer, by name. */
  readonly becauseOf: ReadonlyMap<string, string>;
  readonly floors: ReadonlyMap<TenantId, number>;
  /** The answer may lack what is named in `missing`. */
  readonly allowPartial: boolean;
  readonly peerBytes: PeerBytes;
}

export interface OpenedHeadsModules {
  readonly clock: Clock;
  readonly cluster: Cluster;
  readonly holder: Holder;
  /** Tells the member that its view is not read any more. Does not wait, nor fail. */
  readonly release: (member: string, viewId: string) => void;
}

/** Identities are in memory: a member that needs longer does not answer. */
const LISTS_TIMEOUT_MS = 10_000;
/** A scan waits in the queues of the member's workers. A member that dies, or is suspected to have, is not waited for so long. */
const SCAN_TIMEOUT_MS = 60_000;

export class OpenedHeads {
  readonly #options: OpenedHeadsOptions;
  readonly #modules: OpenedHeadsModules;
  /** Those of the answers with a view, by index. */
  readonly #holders: readonly HolderAnswer[];
  /** Indexes of holders that have not failed. */
  readonly #alive: Set<number>;
  readonly #failed = new Map<string, string>();
  readonly #missing = new Set<string>();
  /** Undefined: one holder answers for all that it has. */
  #items: readonly Item[] | undefined;
  #isReleased = false;

  constructor(options: OpenedHeadsOptions, modules: OpenedHeadsModules) {
    this.#options = options;
    this.#modules = modules;
    this.#holders = options.answers.filter(({ answer }) => answer.viewId !== undefined);
    this.#alive = new Set(this.#holders.keys());
  }

  /** The members whose stores answered the digest round, in order of their names. */
  get members(): readonly string[] {
    return this.#options.answers.map(({ member }) => member).sort();
  }

  /** What the answer lacks because stores failed since the round, in words; only where it may be partial. */
  get missing(): readonly string[] {
    return [...this.#missing];
  }

  /** Oldest and newest record of all heads. */
  get span(): { readonly oldestMs: number; readonly newestMs: number } | undefined {
    const spans = this.#options.answers.map(({ answer }) => answer.span).filter((span) => span !== undefined);
    if (spans.length === 0) return undefined;
    return { oldestMs: Math.min(...spans.map(({ oldestMs }) => oldestMs)), newestMs: Math.max(...spans.map(({ newestMs }) => newestMs)) };
  }

  /** Decides who answers for what. Call it once, before `scan`. Resolves with the number of series of which stores hold different records. Rejects HEADS_CHANGED. */
  async compare(signal: AbortSignal): Promise<number> {
    const turns = new Turns(this.#modules);
    while (this.#alive.size > 1) {
      const digests = this.#holders.map(({ isOwn, answer }, holder): HolderDigests => ({ isOwn, tenants: this.#alive.has(holder) ? answer.tenants : [] }));
      const { agreed, disputed } = await compareDigests(digests, turns);
      const lists = await this.#listsOf(listsToAsk(disputed), signal);
      if (lists === undefined) continue; // a store failed: its digests count no more
      this.#items = [...agreed, ...(await itemsOfLists(lists, digests, turns))];
      return disputed.length;
    }
    return 0;
  }

  /** Partial answers that hold each record of the heads once. Rejects HEADS_CHANGED, and QUERY_TOO_LARGE where peers send more than they may. */
  async scan(spec: ScanSpec, signal: AbortSignal): Promise<readonly ScanPartial[]> {
    const ended = new AbortController();
    const own = AbortSignal.any([signal, ended.signal]);
    const scans: Promise<readonly ScanPartial[]>[] = [];
    if (this.#items === undefined) for (const holder of [...this.#alive]) scans.push(this.#scanOf(holder, undefined, spec, own));
    else for (const [holder, items] of shareOut(this.#items, this.#alive).byHolder) scans.push(this.#scanOf(holder, items, spec, own));
    try {
      return (await Promise.all(scans)).flat();
    } catch (error) {
      ended.abort(error); // nobody waits for the others
      throw error;
    }
  }

  /** Gives the views free. A second call does nothing. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    for (const { member, answer } of this.#holders) this.#modules.release(member, answer.viewId!); // a holder has a view
  }

  /** Undefined: a store failed. */
  async #listsOf(wanted: ReadonlyMap<number, readonly TenantSeries[]>, signal: AbortSignal): Promise<ReadonlyMap<number, readonly IdentityLists[]> | undefined> {
    const lists = new Map<number, readonly IdentityLists[]>();
    let hasFailed = false;
    const ask = async (holder: number, series: readonly TenantSeries[]): Promise<void> => {
      const { isOwn, member, answer } = this.#holders[holder]!;
      const request = { viewId: answer.viewId!, series };
      try {
        const listed = isOwn
          ? await this.#modules.holder.identities(member, request)
          : openIdentityLists(await this.#request(member, { method: "identities", body: packIdentitiesRequest(request), timeoutMs: LISTS_TIMEOUT_MS, isElsewhere: () => this.#isCompleteWithout(member), signal }));
        checkLists(listed, series);
        lists.set(holder, listed);
      } catch (error) {
        this.#fail(holder, error, signal);
        this.#doWithout(error);
        hasFailed = true;
      }
    };
    await Promise.all(Array.from(wanted, ([holder, series]) => ask(holder, series)));
    return hasFailed ? undefined : lists;
  }

  /** The partial answers of a share; of other holders of it where this one fails. `items`: undefined for all that it holds. */
  async #scanOf(holder: number, items: readonly Item[] | undefined, spec: ScanSpec, signal: AbortSignal): Promise<readonly ScanPartial[]> {
    const { isOwn, member, answer } = this.#holders[holder]!;
    const request: ScanRequest = { viewId: answer.viewId!, spec, floors: this.#options.floors, takes: items === undefined ? undefined : takesOf(items) };
    try {
      if (isOwn) return await this.#modules.holder.scan(member, request, signal);
      const isElsewhere = (): boolean => items !== undefined && shareOut(items, without(this.#alive, holder)).orphans.length === 0;
      const bytes = await this.#request(member, { method: "scan", body: packScanRequest(request), timeoutMs: SCAN_TIMEOUT_MS, isElsewhere, signal });
      return bytes.length === NO_PARTIAL.length ? [] : [packedFromPeer(bytes)];
    } catch (error) {
      this.#fail(holder, error, signal);
      const { byHolder, orphans } = shareOut(items ?? [], this.#alive);
      if (items === undefined || orphans.length > 0) this.#doWithout(error);
      const scans = Array.from(byHolder, ([other, share]) => this.#scanOf(other, share, spec, signal));
      return (await Promise.all(scans)).flat();
    }
  }

  /** Throws where that is not the store's failure: the caller has left, or the query asks for too much. */
  #fail(holder: number, error: unknown, signal: AbortSignal): void {
    if (signal.aborted || !isOfStore(error)) throw error;
    this.#alive.delete(holder);
    this.#failed.set(this.#holders[holder]!.member, messageOf(error));
  }

  #isCompleteWithout(member: string): boolean {
    return this.#judgementWithout(new Map([...this.#failed, [member, "it is silent"]])).isComplete;
  }

  #judgementWithout(failed: ReadonlyMap<string, string>): Judgement {
    const { cluster } = this.#modules;
    const { answers, becauseOf } = this.#options;
    const rest = answers.filter(({ member }) => !failed.has(member)).map(({ answer }) => answer);
    return judge(cluster.view, rest, { becauseOf: new Map([...becauseOf, ...failed]), isMajority: (answered) => cluster.isMajority(answered) });
  }

  /** Checks that the answer is complete without the stores that have failed. Throws HEADS_CHANGED where it is not, and may not be partial. */
  #doWithout(error: unknown): void {
    const { isComplete, missing } = this.#judgementWithout(this.#failed);
    if (isComplete) return;
    if (!this.#options.allowPartial) throw planAgain(`a store has failed since it was asked what it holds: ${missing.join("; ")}`, error);
    for (const words of missing) this.#missing.add(words);
  }

  /** `isElsewhere`: others have the same, and a member that gives no sign of life is not waited for. */
  async #request(member: string, { method, body, timeoutMs, isElsewhere, signal }: { readonly method: "identities" | "scan"; readonly body: Uint8Array; readonly timeoutMs: number; readonly isElsewhere: () => boolean; readonly signal: AbortSignal }): Promise<Uint8Array> {
    const { clock, cluster } = this.#modules;
    const bytes = await requestMember(cluster, member, { method, body, timeoutMs, endsWhen: "suspect", silence: { clock, onSilent: isElsewhere }, signal });
    const { peerBytes } = this.#options;
    peerBytes.add(body.length + bytes.length);
    peerBytes.check();
    return bytes;
  }
}

function without(alive: ReadonlySet<number>, holder: number): ReadonlySet<number> {
  const rest = new Set(alive);
  rest.delete(holder);
  return rest;
}

/** The query plans again; who gets this error has seen it happen several times. */
export function planAgain(because: string, cause: unknown): CodedError {
  return unavailable("HEADS_CHANGED", `the stores of the cluster changed while the query ran (${because}): ask again`, cause);
}

export function isPlanAgain(error: unknown): boolean {
  return error instanceof CodedError && error.code === "HEADS_CHANGED";
}

/** False for what another store would answer as well: the query asks for too much, or is one that ends workers. */
function isOfStore(error: unknown): boolean {
  return !(error instanceof CodedError) || !["invalid_argument", "resource_exhausted", "failed_precondition", "canceled"].includes(error.kind) || error.code === "PEER_MALFORMED";
}

function checkLists(lists: readonly IdentityLists[], series: readonly TenantSeries[]): void {
  const fits = lists.length === series.length && lists.every(({ tenant, counts }, index) => tenant === series[index]!.tenant && counts.length === series[index]!.fingerprints.length);
  if (!fits) throw unavailable("PEER_MALFORMED", "it listed other series than it was asked for");
}
