/**
 * The heads of a cluster, for a query of one of its nodes: what all stores together hold besides the planned objects, each record once (design 10).
 *
 *   list first, where the view says so ──► plan ──► digest round ──► does the plan lack what was named, or has it what is nowhere? ── yes: change it, and begin again
 *                                                        │
 *                                                        ▼ no
 *                                           is it complete? ──► compare, exchange lists of what differs ──► OpenedHeads: who answers for what
 *
 * What must stay true: answer = planned objects + (heads - identities in planned objects), distinct by identity, whatever view each node has. It holds
 * because each store compared its records with the plan before it answered, and named what the plan lacks.
 *
 * Bound: `ROUNDS_MAX` rounds; then the query is refused, or the answer says what it may lack.
 */
import { messageOf, Turns } from "@pyromesh/base";
import type { Clock, Counter, Metrics, TenantId } from "@pyromesh/base";
import type { Scope } from "@pyromesh/api";
import { NO_FLOOR_MS, storeOf } from "@pyromesh/block";
import type { CatalogEntry, HeardObject, HeardOutcome, Origin } from "@pyromesh/block";
import type { Matcher } from "@pyromesh/profile";
import type { ClusterView, StoreId } from "@pyromesh/ring";
import type { Cluster } from "../../cluster/ports.ts";
import { headsIncomplete, incomplete, notJoined, planUnsettled } from "../query-refusals.ts";
import { Boots } from "./boots.ts";
import { judge } from "./completeness.ts";
import { DigestRound } from "./digest-round.ts";
import type { DigestRoundOutcome, HolderAnswer } from "./digest-round.ts";
import { UNKNOWN_MAX } from "./head-view.ts";
import type { PlannedObject, SegmentName, ViewRequest } from "./head-view.ts";
import type { Holder } from "./holder.ts";
import { packReleaseRequest } from "./messages.ts";
import { OpenedHeads } from "./opened-heads.ts";
import { PeerBytes } from "./peer-bytes.ts";
import { PlannedObjects } from "./planned-objects.ts";

export interface ClusterHeadsModules {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly cluster: Cluster;
  /** This node's own store. */
  readonly holder: Holder;
  readonly addByMeta: (heard: HeardObject, origin: Origin) => HeardOutcome;
  /** Takes a segment out of the plans that another member told of, and that is nowhere. Not one that is known to be in the bucket by now. */
  readonly forgetHeard: (key: string) => boolean;
  /** Lists the bucket, by a LIST that begins after the call. */
  readonly refresh: (signal: AbortSignal, fromMs: number) => Promise<void>;
  /** When the last complete LIST began of all windows that may hold this time and later ones, by the monotonic clock; -Infinity: there was none. */
  readonly listBeganMs: (fromMs: number) => number;
}

/** The objects of one plan, pinned. */
export interface PinnedPlan {
  readonly entries: readonly CatalogEntry[];
  readonly floors: ReadonlyMap<TenantId, number>;
  release(): void;
}

/** What is asked of the heads. */
export interface HeadsQuestion {
  readonly scope: Scope;
  readonly selectors: readonly (readonly Matcher[])[];
  readonly wants: ViewRequest["wants"];
  /** Bytes that may be sent to peers and come from them for it; 0: any. */
  readonly peerBytesMax: number;
}

export interface OpenedPlan<P extends PinnedPlan> {
  readonly plan: P;
  /** Of the plan, without what waits at stores that did not answer. */
  readonly entries: readonly CatalogEntry[];
  readonly heads: OpenedHeads;
  /** What the answer lacks of heads, in words: empty where it is complete. */
  readonly missing: readonly string[];
}

/** A round that follows another is a few round trips. On a loaded machine five in a row met a segment that some store had just sealed, while a restarted member flushed what it had. */
const ROUNDS_MAX = 10;
/** LISTs of one plan because objects of it are gone from the bucket, as where a node without a cluster finds that out: a LIST may show the past. Then whoever cannot read them has failed. */
const GONE_LISTS_MAX = 2;
/** A member that does not answer forgets the view by itself. */
const RELEASE_TIMEOUT_MS = 1_000;

export class ClusterHeads {
  readonly #modules: ClusterHeadsModules;
  readonly #boots = new Boots();
  readonly #rounds: Counter;
  readonly #mismatches: Counter;
  readonly #silent: Counter;
  readonly #partial: Counter;
  #question = 0;

  constructor(modules: ClusterHeadsModules) {
    this.#modules = modules;
    const { metrics } = modules;
    this.#rounds = metrics.counter("pyromesh_digest_rounds_total", "Digest rounds of queries: more than one a query where segments were flushed meanwhile.");
    this.#mismatches = metrics.counter("pyromesh_digest_mismatched_series_total", "Series of which stores held different records when a query compared them: pushes on their way, mostly.");
    this.#silent = metrics.counter("pyromesh_digest_unanswered_total", "Members that did not answer a digest round, or whose answer came too late.", ["member"]);
    this.#partial = metrics.counter("pyromesh_partial_answers_total", "Answers that lack what stores hold which did not answer; only callers that allow it get them.");
    for (const counter of [this.#rounds, this.#mismatches, this.#partial]) counter.add({}, 0);
  }

  /**
   * Plans by `makePlan`, which is called again for each round, and asks all stores. Whoever gets the outcome releases its plan and its heads. Rejects with 503
   * where the answer would not be complete and the scope allows none that is partial; also where `makePlan` throws.
   */
  async open<P extends PinnedPlan>(question: HeadsQuestion, makePlan: () => P, signal: AbortSignal): Promise<OpenedPlan<P>> {
    const { cluster } = this.#modules;
    const { allowPartial, startMs } = question.scope;
    /** Stores whose sealed segments are left out of the plan: they are dead or suspect, or did not answer. */
    const silent = new Set(cluster.view.members.filter(({ state, isSuspect }) => state === "dead" || isSuspect).map(({ storeId }) => storeId));
    const forgotten = new Set<string>();
    let goneListCount = 0;
    const peerBytes = new PeerBytes(question.peerBytesMax);
    let unlisted = this.#isListOld(startMs, this.#listNeededMs([])) ? await this.#list(startMs, signal) : undefined;
    for (let round = 1; ; round++) {
      signal.throwIfAborted();
      if (unlisted !== undefined && !allowPartial) throw incomplete(unlisted);
      const refused = cluster.view.queriesRefusedBecause;
      if (refused !== undefined) throw notJoined(refused);
      const plan = makePlan();
      let opened: OpenedPlan<P> | undefined;
      let heads: OpenedHeads | undefined;
      try {
        const entries = plan.entries.filter(({ place }) => isPlannable(cluster.view, storeOf(place), silent));
        const { isPlanShort, isUploadUnseen, ...outcome } = this.#take(await this.#ask(question, entries, peerBytes, signal), plan);
        heads = this.#opened(question, outcome, plan.floors, peerBytes);
        signal.throwIfAborted();
        peerBytes.check();
        const hasForgotten = this.#forgetNowhere(outcome.withoutView, entries, forgotten);
        const isLacking = this.#isOtherPlan([...outcome.answers, ...outcome.withoutView], plan, entries, silent) || isPlanShort || hasForgotten;
        const isGone = goneListCount < GONE_LISTS_MAX && outcome.withoutView.some(({ answer }) => answer.gone.length > 0);
        if (isGone) goneListCount++;
        const isListOld = unlisted === undefined && (isUploadUnseen || isGone || this.#isListOld(startMs, this.#listNeededMs(outcome.answers)));
        if ((isLacking || isListOld) && round < ROUNDS_MAX) {
          if (isListOld) unlisted = await this.#list(startMs, signal);
          continue;
        }
        const missing = [
          ...(unlisted === undefined ? [] : [unlisted]),
          ...(isLacking ? ["segments that were flushed while the query was planned"] : []),
          ...(isListOld ? ["segments that came into the bucket since it was last listed"] : []),
        ];
        if (missing.length > 0 && !allowPartial) throw planUnsettled(missing);
        // By the view of this moment: whoever this node has learned of meanwhile counts.
        const judgement = judge(cluster.view, outcome.answers.map(({ answer }) => answer), { becauseOf: outcome.becauseOf, isMajority: (answered) => cluster.isMajority(answered) });
        if (!judgement.isComplete && !allowPartial) throw headsIncomplete(judgement.missing);
        if (!judgement.isComplete) this.#partial.add({});
        if (question.wants === "records") this.#mismatches.add({}, await heads.compare(signal));
        opened = { plan, entries, heads, missing: [...missing, ...judgement.missing] };
        return opened;
      } finally {
        if (opened === undefined) {
          heads?.release();
          plan.release();
        }
      }
    }
  }

  #isListOld(fromMs: number, neededMs: number): boolean {
    return this.#modules.listBeganMs(fromMs) < neededMs;
  }

  /** Lists the bucket. Returns why that failed. */
  async #list(fromMs: number, signal: AbortSignal): Promise<string | undefined> {
    try {
      await this.#modules.refresh(signal, fromMs);
      return undefined;
    } catch (error) {
      if (signal.aborted) throw error;
      return `the bucket must be listed first, and that failed: ${messageOf(error)}`;
    }
  }

  async #ask({ scope, selectors, wants }: HeadsQuestion, entries: readonly CatalogEntry[], peerBytes: PeerBytes, signal: AbortSignal): Promise<DigestRoundOutcome> {
    const { clock, cluster, holder } = this.#modules;
    const own = cluster.view.self.storeId;
    const objectsOf = (names: readonly SegmentName[]): PlannedObject[] => {
      const wanted = new Set(names.map(nameOf));
      return entries.filter(({ meta }) => meta.kind === "segment" && wanted.has(nameOf(meta))).map((entry) => plannedObject(entry, own));
    };
    const request = {
      question: ++this.#question,
      wants,
      tenants: scope.tenants,
      startMs: Math.floor(scope.startMs),
      endMs: Math.ceil(scope.endMs),
      services: servicesOf(selectors),
      planned: await PlannedObjects.of(entries, new Turns({ clock })),
      // What waits at a store is few, and a member would not know it yet, or know another one under that ordinal which never was sealed.
      objects: [...entries.filter(({ meta }) => meta.kind === "block"), ...entries.filter(({ meta, place }) => meta.kind === "segment" && place !== "bucket").slice(0, UNKNOWN_MAX)].map((entry) => plannedObject(entry, own)),
    };
    const waitsAt = new Set(entries.flatMap(({ place }) => storeOf(place) ?? []));
    this.#rounds.add({});
    const outcome = await DigestRound.run(request, { clock, cluster, holder, objectsOf, peerBytes, waitsAt }, signal);
    const answered = new Set([...outcome.answers, ...outcome.withoutView].map(({ member }) => member));
    for (const { name } of cluster.view.members) if (!answered.has(name)) this.#silent.add({ member: name });
    return outcome;
  }

  #opened({ scope }: HeadsQuestion, { answers, becauseOf }: Pick<DigestRoundOutcome, "answers" | "becauseOf">, floors: ReadonlyMap<TenantId, number>, peerBytes: PeerBytes): OpenedHeads {
    const { clock, cluster, holder } = this.#modules;
    const release = (member: string, viewId: string): void => {
      if (member === cluster.view.self.name) holder.views.release(member, viewId);
      else cluster.peers.request(member, "release-pin", packReleaseRequest(viewId), { timeoutMs: RELEASE_TIMEOUT_MS }).catch(() => undefined);
    };
    return new OpenedHeads({ answers, becauseOf, floors, allowPartial: scope.allowPartial, peerBytes }, { clock, cluster, holder, release });
  }

  /**
   * Adds to the catalog what stores named. An answer that names what cannot be is taken for none; its view ends by itself. `isUploadUnseen`: a store has read a segment
   * in the bucket that waits at another store for all that this node knows, which has not said so. Only a LIST moves it then: the other may not answer any more.
   */
  #take({ answers, becauseOf, withoutView }: DigestRoundOutcome, { entries, floors }: PinnedPlan): DigestRoundOutcome & { readonly isPlanShort: boolean; readonly isUploadUnseen: boolean } {
    const taken: HolderAnswer[] = [];
    const reasons = new Map(becauseOf);
    const waiting = new Set(entries.filter(({ place }) => storeOf(place) !== undefined).map(({ key }) => key));
    let isPlanShort = false;
    let isUploadUnseen = false;
    for (const one of answers) {
      const { answer, isOwn, member } = one;
      // Nothing counts below the floor. What this store sealed since the plan was made is in its catalog already.
      const news = answer.named.filter(({ meta }) => meta.maxTimeMs >= (floors.get(meta.tenant) ?? NO_FLOOR_MS));
      const outcomes = news.map((heard): HeardOutcome => (isOwn && !heard.isUploaded ? { kind: "known" } : this.#modules.addByMeta(heard, { storeId: answer.storeId })));
      const wrong = outcomes.find((outcome) => outcome.kind === "refused" && outcome.code === "HEARD_MALFORMED");
      if (wrong?.kind === "refused") {
        reasons.set(member, `it named a segment that cannot be (${wrong.because})`);
        continue;
      }
      if (outcomes.some((outcome) => outcome.kind !== "refused" || outcome.code !== "HEARD_BELOW_FLOOR")) isPlanShort = true;
      if (news.some(({ isUploaded, key }, index) => isUploaded && outcomes[index]!.kind === "known" && waiting.has(key))) isUploadUnseen = true;
      taken.push(one);
    }
    return { answers: taken, becauseOf: reasons, withoutView, isPlanShort, isUploadUnseen };
  }

  /**
   * Takes out of the plans what a store found nowhere: its file was lost, or it was never sealed under this name. True where the next plan is another one. Records that it may have had are in
   * a head, or in an object that a store names. Each key once: where it comes back, its own store names it, and then whoever cannot read it has failed.
   */
  #forgetNowhere(withoutView: readonly HolderAnswer[], entries: readonly CatalogEntry[], forgotten: Set<string>): boolean {
    const nowhere = new Set(withoutView.flatMap(({ answer }) => answer.nowhere));
    if (nowhere.size === 0) return false;
    const sizeBefore = forgotten.size;
    for (const { key, place } of entries) {
      if (place === "bucket" || forgotten.has(key) || !nowhere.has(key)) continue;
      forgotten.add(key);
      this.#modules.forgetHeard(key);
    }
    return forgotten.size > sizeBefore;
  }

  /** True where the plan has what cannot be read, or lacks what can: notes in `silent` who did not answer, and who is back. */
  #isOtherPlan(answers: readonly HolderAnswer[], plan: PinnedPlan, entries: readonly CatalogEntry[], silent: Set<StoreId>): boolean {
    let isOther = false;
    const answered = new Set(answers.map(({ answer }) => answer.storeId));
    for (const { place } of entries) {
      const storeId = storeOf(place);
      if (storeId === undefined || answered.has(storeId)) continue;
      silent.add(storeId);
      isOther = true;
    }
    for (const { place } of plan.entries) {
      const storeId = storeOf(place);
      if (storeId !== undefined && answered.has(storeId) && silent.delete(storeId)) isOther = true;
    }
    return isOther;
  }

  /** A LIST that began before is too old: something may have left a store's memory, or a store, that only the bucket can tell of. */
  #listNeededMs(answers: readonly HolderAnswer[]): number {
    const { clock, cluster } = this.#modules;
    const { listAfterMs, members } = cluster.view;
    const nowMs = clock.monotonicMs();
    const stores = new Set(members.map(({ storeId }) => storeId));
    let neededMs = listAfterMs;
    for (const { answer } of answers) {
      const { bootId, remembersMs, storeId } = answer;
      const known = members.find((member) => member.storeId === storeId)?.bootId;
      // It remembers what left since then, at the latest: the answer was on its way for some of that time.
      neededMs = Math.max(neededMs, nowMs - remembersMs, this.#boots.learnedAtMs(storeId, bootId, { known, nowMs, stores }));
    }
    return neededMs;
  }
}

function plannedObject({ key, place, sizeBytes }: CatalogEntry, own: StoreId): PlannedObject {
  return { key, sizeBytes, place: place === "local" ? `store:${own}` : place };
}

function servicesOf(selectors: readonly (readonly Matcher[])[]): ViewRequest["services"] {
  return selectors.map((selector) => selector.filter(({ name }) => name === "service_name").map(({ name, operator, value }) => ({ name, operator, value })));
}

function nameOf({ tenant, windowStartMs, storeId, ordinal }: SegmentName): string {
  return `${storeId}/${ordinal}/${windowStartMs}/${tenant}`;
}

/** What waits at a store that is no member's has been flushed, or its store counts as lost. `storeId` undefined: it waits at none. */
function isPlannable({ members }: ClusterView, storeId: StoreId | undefined, silent: ReadonlySet<StoreId>): boolean {
  return storeId === undefined || (!silent.has(storeId) && members.some((member) => member.storeId === storeId));
}
