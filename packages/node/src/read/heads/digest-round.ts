/**
 * The digest round: every member that this node knows, and those that it learns of by their answers, are asked at the same time what their stores hold.
 *
 *   ask all ──► an answer ──► its member table is another? learn it first ──► ask who was new in it
 *           └─► over: all have answered or failed; or the answer is complete without the rest, and the rest is dead, or suspect, or slow;
 *                     or segments of the plan wait at one that is silent, or all of the rest are dead or suspect: others try to read them there, and need a plan without
 *
 * What must stay true: an answer counts only once this node knows all that its sender knew of members when it sent it; so a holder that only another
 * member knows is asked before the round is over.
 *
 * Bound: a member that is needed is waited for `ANSWER_TIMEOUT_MS`, one that is not `SLOW_WAIT_MS`.
 */
import { CodedError, messageOf, within } from "@pyromesh/base";
import type { Clock, Timer } from "@pyromesh/base";
import type { ClusterView, StoreId } from "@pyromesh/ring";
import type { Cluster } from "../../cluster/ports.ts";
import { judge } from "./completeness.ts";
import type { Judgement } from "./completeness.ts";
import type { PlannedObject, SegmentName } from "./head-view.ts";
import type { Holder } from "./holder.ts";
import { requestMember } from "./member-request.ts";
import { openDigestAnswer, packDigestRequest } from "./messages.ts";
import type { DigestAnswer, DigestRequest } from "./messages.ts";
import type { PeerBytes } from "./peer-bytes.ts";

export interface DigestRoundModules {
  readonly clock: Clock;
  readonly cluster: Cluster;
  /** This node's own store. */
  readonly holder: Pick<Holder, "digest">;
  readonly peerBytes: PeerBytes;
  /** Stores at which segments of the plan wait. */
  readonly waitsAt: ReadonlySet<StoreId>;
  /** Planned segments by key, for a member that does not know them. */
  readonly objectsOf: (names: readonly SegmentName[]) => readonly PlannedObject[];
}

export interface HolderAnswer {
  readonly member: string;
  readonly isOwn: boolean;
  readonly answer: DigestAnswer;
}

export interface DigestRoundOutcome {
  /** Of the members that said what they hold. */
  readonly answers: readonly HolderAnswer[];
  /** Of those that did not, since objects of the plan are nowhere, or gone from the bucket: they name them. */
  readonly withoutView: readonly HolderAnswer[];
  /** Why members did not answer, by name. */
  readonly becauseOf: ReadonlyMap<string, string>;
}

/** A holder may have to read planned objects from the bucket before it answers. */
const ANSWER_TIMEOUT_MS = 10_000;
/** A pause of a member's garbage collector is shorter. It adds to a query only while a member is slow and not yet suspect. */
const SLOW_WAIT_MS = 100;
/** A member's table is a round trip away from the member that just answered; a message of it may be lost. */
const LEARN_TIMEOUT_MS = 1_000;
/** Tries. Where the answer is complete without the member, the round is over sooner. */
const LEARN_COUNT_MAX = 5;
/** A member that lacks objects of the plan is told of them this often: they come in parts where there are very many. */
const TOLD_COUNT_MAX = 16;

export class DigestRound {
  readonly #request: DigestRequest;
  readonly #modules: DigestRoundModules;
  readonly #answers = new Map<StoreId, HolderAnswer>();
  readonly #withoutView: HolderAnswer[] = [];
  readonly #becauseOf = new Map<string, string>();
  readonly #asked = new Set<string>();
  readonly #pending = new Set<string>();
  /** Members that give no sign of life since they were asked (member-request.ts). */
  readonly #silent = new Set<string>();
  readonly #ended = new AbortController();
  #over!: () => void; // set before the constructor returns
  readonly #isOver = new Promise<void>((resolve) => (this.#over = resolve));
  #slowTimer: Timer | undefined;
  #hasWaited = false;

  private constructor(request: DigestRequest, modules: DigestRoundModules) {
    this.#request = request;
    this.#modules = modules;
  }

  /** Does not reject. Where the caller leaves it ends at once: the views of those that have answered are to be released all the same. */
  static async run(request: DigestRequest, modules: DigestRoundModules, caller: AbortSignal): Promise<DigestRoundOutcome> {
    const round = new DigestRound(request, modules);
    const onAbort = (): void => round.#over();
    if (caller.aborted) onAbort();
    caller.addEventListener("abort", onAbort, { once: true });
    const stopWatching = modules.cluster.onChange(() => round.#look());
    try {
      round.#askAll();
      round.#look();
      await round.#isOver;
      return { answers: [...round.#answers.values()], withoutView: round.#withoutView, becauseOf: round.#becauseOf };
    } finally {
      caller.removeEventListener("abort", onAbort);
      stopWatching();
      round.#slowTimer?.cancel();
      round.#ended.abort(new CodedError({ code: "QUERY_WENT_ON", kind: "canceled", message: "the query went on without this answer" }));
    }
  }

  #askAll(): void {
    const { self, members } = this.#modules.cluster.view;
    for (const { name } of [self, ...members]) {
      if (this.#asked.has(name)) continue;
      this.#asked.add(name);
      this.#pending.add(name);
      void this.#ask(name, name === self.name).finally(() => {
        this.#pending.delete(name);
        this.#askAll();
        this.#look();
      });
    }
  }

  /** Never rejects. */
  async #ask(member: string, isOwn: boolean): Promise<void> {
    const { signal } = this.#ended;
    try {
      const answer = await this.#askTelling((request) => (isOwn ? this.#modules.holder.digest(member, request, signal) : this.#askPeer(member, request, signal)));
      if (answer.question !== this.#request.question) throw new Error("it answered another question");
      const other = this.#modules.cluster.view.members.find(({ name, storeId }) => storeId === answer.storeId && name !== member);
      if (other !== undefined) throw new Error(`it answered for the store of node ${other.name}`);
      if (!isOwn) await this.#learn(member, answer);
      if (signal.aborted) return;
      if (answer.nowhere.length === 0 && answer.gone.length === 0) {
        this.#answers.set(answer.storeId, { member, isOwn, answer });
        return;
      }
      this.#withoutView.push({ member, isOwn, answer });
      this.#becauseOf.set(member, answer.gone.length > 0 ? `objects of the plan are gone from the bucket (${answer.gone[0]})` : "segments of the plan wait at no store and are not in the bucket");
    } catch (error) {
      if (!signal.aborted) this.#becauseOf.set(member, messageOf(error));
    }
  }

  /** Again with the objects of the plan that the store does not know. Its own node's may have lost one as well, since the plan was made. */
  async #askTelling(ask: (request: DigestRequest) => Promise<DigestAnswer>): Promise<DigestAnswer> {
    let request = this.#request;
    for (let count = 0; ; count++) {
      const answer = await ask(request);
      if (answer.unknown.length === 0) return answer;
      if (count >= TOLD_COUNT_MAX) throw new Error("it does not know objects of the plan that it was told of");
      request = { ...request, objects: [...request.objects, ...this.#modules.objectsOf(answer.unknown)] };
    }
  }

  async #askPeer(member: string, request: DigestRequest, signal: AbortSignal): Promise<DigestAnswer> {
    const { clock, cluster, peerBytes } = this.#modules;
    const body = packDigestRequest(request);
    const reply = await requestMember(cluster, member, { method: "digest", body, timeoutMs: ANSWER_TIMEOUT_MS, endsWhen: "dead", silence: { clock, onSilent: () => this.#noteSilent(member) }, signal });
    peerBytes.add(body.length + reply.length);
    return openDigestAnswer(reply);
  }

  /** It is waited for all the same: only it can say what it holds. */
  #noteSilent(member: string): boolean {
    this.#silent.add(member);
    this.#look();
    return false;
  }

  async #learn(member: string, { membersDigest }: DigestAnswer): Promise<void> {
    const { clock, cluster } = this.#modules;
    const lateError = (): Error => new Error(`its member table did not come within ${LEARN_TIMEOUT_MS / 1000} s`);
    for (let count = 1; membersDigest !== cluster.view.digest; count++) {
      try {
        return await within(cluster.learnFrom(member, membersDigest), { timeoutMs: LEARN_TIMEOUT_MS, lateError }, { clock, signal: this.#ended.signal });
      } catch (error) {
        if (this.#ended.signal.aborted || count >= LEARN_COUNT_MAX) throw error;
      }
    }
  }

  /** Ends the round where it is over. */
  #look(): void {
    if (this.#pending.size === 0) return this.#over();
    const { clock, cluster, waitsAt } = this.#modules;
    const pending = cluster.view.members.filter(({ name }) => this.#pending.has(name));
    const isAwaited = pending.some(({ name, state, isSuspect }) => state !== "dead" && !isSuspect && !this.#silent.has(name));
    if (!this.#judgement(cluster.view).isComplete) {
      this.#slowTimer?.cancel();
      this.#slowTimer = undefined;
      // The others of the rest try to read segments at the silent one. One that was dead before it was asked may be back: it is not given up while others are awaited.
      if (pending.some(({ name, storeId }) => waitsAt.has(storeId) && (!isAwaited || this.#silent.has(name)))) this.#over();
      return;
    }
    if (!isAwaited || this.#hasWaited) return this.#over();
    this.#slowTimer ??= clock.after(SLOW_WAIT_MS, () => {
      this.#hasWaited = true;
      this.#look();
    });
  }

  #judgement(view: ClusterView): Judgement {
    const answers = Array.from(this.#answers.values(), ({ answer }) => answer);
    return judge(view, answers, { becauseOf: this.#becauseOf, isMajority: (answered) => this.#modules.cluster.isMajority(answered) });
  }
}
