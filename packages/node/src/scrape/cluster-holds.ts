/**
 * The holds of one member on targets (design 11; docs/decisions says why it is so). A member asks all full members for the targets that it owns, again and
 * again, and holds a target while a majority of them granted it to this store within HOLD_MS, counted from when the request was sent.
 *
 *   member a    want x ──►  grants of a, b, c ──► hold x until sent + HOLD_MS ──► asked again every ROUND_MS
 *   member b    becomes the owner of x: a grants nothing while its own grant lasts, nor does c ──► b holds x when a gave x back, or its grants have ended
 *
 * What must stay true:
 *   - two members never hold one target: their majorities have a member in common, which grants to one store at a time (hold-grants.ts). Who answers says what it
 *     knows of the members, and is counted when this node knows the same: so majorities are of the same members, but for changes that a majority does not know yet;
 *   - a target that this node does not want any more is not held any more at once, before anybody is told;
 *   - who grants follows the newest request of a store: of its process that this node knows now, the one with the highest serial. A link may be replaced, and
 *     what was sent on it be read after what was sent later;
 *   - an answer counts for targets that were wanted without a break since its request was sent. Who was told that one is free may have granted it to another;
 *   - what was asked under a hold is stored only once the others have said that it was unbroken (hold-confirms.ts): the clock by which it lasts may have stood still.
 *
 * Bounds: HOLDS_MAX targets. One round at a time, a request a member, ended after ROUND_MS. Whether a hold was unbroken is asked for CONFIRM_WITHIN_MS: then it counts as broken.
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";
import type { Member, StoreId } from "@pyromesh/ring";
import { TargetOwners } from "@pyromesh/scrape";
import type { HoldOwner, HoldWatch, TargetHold, TargetHolds } from "@pyromesh/scrape";
import { decodeHoldAnswer, decodeHoldRequest, encodeHoldAnswer, encodeHoldRequest, HOLDS_MAX, targetNumberOf } from "../cluster/hold-message.ts";
import type { HoldAnswer, HoldRequest, TargetNumber } from "../cluster/hold-message.ts";
import type { Cluster } from "../cluster/ports.ts";
import { HoldConfirms } from "./hold-confirms.ts";
import type { Granted } from "./hold-confirms.ts";
import { HOLD_MS, HoldGrants } from "./hold-grants.ts";

/** So a hold outlasts two rounds that were lost. */
const ROUND_MS = HOLD_MS / 4;
/** Until members are asked again whether a hold is unbroken, where too few have answered. */
const CONFIRM_AGAIN_MS = 500;
/**
 * So long they are asked. A member that granted the target may be gone for good while the others go on granting it, so the end of the hold is no bound. A longer silence
 * costs a scrape, and the next one begins another hold.
 */
const CONFIRM_WITHIN_MS = HOLD_MS;

export interface ClusterHoldsModules {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A target that this node wants. Another object when it is wanted anew. */
interface Wanted {
  readonly number: TargetNumber;
  /** `granted`: by a majority, in the last round that had one. */
  hold: { readonly sinceMs: number; untilMs: number; granted: Granted } | undefined;
}

export class ClusterHolds implements TargetHolds {
  readonly #modules: ClusterHoldsModules;
  readonly #grants: HoldGrants;
  readonly #confirms: HoldConfirms;
  readonly #listeners = new Set<() => void>();
  /** All targets, whoever owns them. */
  #keys: readonly string[] = [];
  #wanted = new Map<string, Wanted>();
  /** By target: of the members as they are now. */
  #owners = new Map<string, HoldOwner | undefined>();
  #candidates: readonly Member[] = [];
  #byScore = new TargetOwners([]);
  /** Of the last request. */
  #serial = 0;
  /** Others may have granted something to this store. */
  #hasAsked = false;
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #isStopped = false;
  readonly #endListening: () => void;

  /** It answers the others from now on. */
  constructor(modules: ClusterHoldsModules) {
    const { cluster, clock } = modules;
    this.#modules = modules;
    this.#grants = new HoldGrants(clock.monotonicMs());
    this.#confirms = new HoldConfirms({ ...modules, own: (serial, targets) => this.#grants.isUnbroken({ ...cluster.view.self, serial }, targets) });
    cluster.peers.handle("scrape", (from, body) => Promise.resolve(encodeHoldAnswer(this.#answer(from, decodeHoldRequest(body)))));
    cluster.peers.handle("scrape-confirm", (from, body) => Promise.resolve(encodeHoldAnswer(this.#confirm(from, decodeHoldRequest(body)))));
    this.#endListening = cluster.onChange(() => this.#onView());
    this.#onView();
  }

  stop(): void {
    this.#isStopped = true;
    this.#endListening();
    this.#timer?.cancel();
    this.#wanted.clear();
  }

  /** Stops, and tells the others that all targets are free. Whom this does not reach frees them when its grants end. Call it once nothing is scraped any more. */
  giveBack(): void {
    this.stop();
    if (this.#hasAsked) void this.#askAll();
  }

  want(keys: readonly string[]): void {
    this.#keys = keys;
    const wanted = new Map<string, Wanted>();
    for (const key of keys) {
      if (this.ownerOf(key)?.isSelf !== true || wanted.size >= HOLDS_MAX) continue;
      wanted.set(key, this.#wanted.get(key) ?? { number: targetNumberOf(key), hold: undefined });
    }
    this.#wanted = wanted;
    const known = new Set(keys);
    for (const key of this.#owners.keys()) if (!known.has(key)) this.#owners.delete(key);
    if (this.#timer === undefined && this.#round === undefined) this.#startRound();
  }

  holdOf(key: string): TargetHold | undefined {
    const hold = this.#wanted.get(key)?.hold;
    return hold !== undefined && this.#modules.clock.monotonicMs() < hold.untilMs ? hold : undefined;
  }

  watch(key: string): HoldWatch | undefined {
    const wanted = this.#wanted.get(key);
    if (wanted?.hold === undefined || this.holdOf(key) === undefined) return undefined;
    const { granted } = wanted.hold;
    return { wasUnbroken: (signal) => this.#wasUnbroken(key, wanted, granted, signal) };
  }

  async #wasUnbroken(key: string, wanted: Wanted, granted: Granted, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#modules;
    const untilMs = clock.monotonicMs() + CONFIRM_WITHIN_MS;
    for (;;) {
      const confirmed = await this.#confirms.ask(wanted.number, granted);
      signal.throwIfAborted();
      if (this.#wanted.get(key) !== wanted) return false;
      if (confirmed === "yes") return true;
      if (confirmed === "no" || clock.monotonicMs() >= untilMs) wanted.hold = undefined; // the next round begins another one
      if (this.holdOf(key) === undefined) return false;
      await clock.sleep(CONFIRM_AGAIN_MS, signal);
    }
  }

  ownerOf(key: string): HoldOwner | undefined {
    if (this.#owners.has(key)) return this.#owners.get(key);
    const found = this.#candidates[this.#byScore.indexOf(key)];
    const owner = found && { name: found.name, isSelf: found.name === this.#modules.cluster.view.self.name, httpAddress: found.httpAddress };
    this.#owners.set(key, owner);
    return owner;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  #onView(): void {
    const candidates = this.#modules.cluster.view.members.filter(({ state }) => state === "active");
    if (candidates.length === this.#candidates.length && candidates.every(({ name, httpAddress }, index) => name === this.#candidates[index]!.name && httpAddress === this.#candidates[index]!.httpAddress)) return;
    this.#candidates = candidates;
    this.#byScore = new TargetOwners(candidates.map(({ name }) => name));
    this.#owners.clear();
    this.want(this.#keys);
    for (const listener of this.#listeners) listener();
  }

  // --- as one who grants --------------------------------------------------------------------------------------------

  #answer({ storeId, bootId }: Pick<Member, "storeId" | "bootId">, { serial, targets }: HoldRequest): HoldAnswer {
    const { clock, cluster } = this.#modules;
    const { digest, members, self } = cluster.view;
    // Who is not active, as this node sees it, is granted nothing new. What it was granted before stays until it ends: it may count on it.
    // Of its processes only the one in its entry is listened to, which incarnations order: so nothing that an earlier one sent comes after a request of the next.
    const isActive = members.some((member) => member.storeId === storeId && member.bootId === bootId && member.state === "active");
    const mayGrant = isActive && self.state !== "joining";
    return { storeId: self.storeId, digest, granted: mayGrant ? this.#grants.grant({ storeId, bootId, serial }, targets, clock.monotonicMs()) : targets.map(() => false) };
  }

  #confirm({ storeId, bootId }: Pick<Member, "storeId" | "bootId">, { serial, targets }: HoldRequest): HoldAnswer {
    const { digest, self } = this.#modules.cluster.view;
    return { storeId: self.storeId, digest, granted: this.#grants.isUnbroken({ storeId, bootId, serial }, targets) };
  }

  // --- as one who holds ---------------------------------------------------------------------------------------------

  #startRound(): void {
    if (this.#isStopped || (this.#wanted.size === 0 && !this.#hasAsked)) return;
    this.#hasAsked = this.#wanted.size > 0;
    this.#round = this.#askAll().finally(() => {
      this.#round = undefined;
      if (this.#isStopped) return;
      this.#timer = this.#modules.clock.after(ROUND_MS, () => {
        this.#timer = undefined;
        this.#startRound();
      });
    });
  }

  async #askAll(): Promise<void> {
    const { clock, cluster, logger } = this.#modules;
    const asked = [...this.#wanted];
    const targets = asked.map(([, { number }]) => number);
    const request: HoldRequest = { serial: ++this.#serial, targets };
    const sentMs = clock.monotonicMs();
    const granted: (readonly [StoreId, readonly boolean[]])[] = [];
    const { members, self } = cluster.view;
    const take = ({ storeId, granted: bits }: HoldAnswer): void => {
      granted.push([storeId, bits]);
      this.#hold(asked, granted, { serial: request.serial, sentMs });
    };
    take(this.#answer(self, request));
    const body = encodeHoldRequest(request);
    const others = members.filter(({ name, state }) => name !== self.name && state !== "joining" && state !== "dead");
    await Promise.all(
      others.map(async ({ name }) => {
        try {
          const answer = decodeHoldAnswer(await cluster.peers.request(name, "scrape", body, { timeoutMs: ROUND_MS }), targets.length);
          if (answer.digest !== cluster.view.digest) await cluster.learnFrom(name, answer.digest);
          take(answer);
        } catch (error) {
          logger.debug("a member did not answer for holds on targets to scrape", { peer: name, reason: messageOf(error) });
        }
      }),
    );
  }

  /** `granted`: of each store that answered, by target. */
  #hold(asked: readonly (readonly [string, Wanted])[], granted: readonly (readonly [StoreId, readonly boolean[]])[], { serial, sentMs }: { readonly serial: number; readonly sentMs: number }): void {
    const { clock, cluster } = this.#modules;
    // Targets are mostly granted by the same stores.
    const known = new Map<string, Granted | undefined>();
    for (const [index, [key, wanted]] of asked.entries()) {
      if (this.#wanted.get(key) !== wanted) continue;
      const stores = granted.filter(([, bits]) => bits[index] === true).map(([storeId]) => storeId);
      const group = stores.join();
      if (!known.has(group)) known.set(group, cluster.isMajority(new Set(stores)) ? { serial, stores } : undefined);
      const byMajority = known.get(group);
      if (byMajority === undefined) continue;
      const untilMs = sentMs + HOLD_MS;
      const nowMs = clock.monotonicMs();
      if (wanted.hold === undefined || nowMs >= wanted.hold.untilMs) {
        if (nowMs < untilMs) wanted.hold = { sinceMs: nowMs, untilMs, granted: byMajority };
      } else if (serial >= wanted.hold.granted.serial) {
        wanted.hold.untilMs = Math.max(wanted.hold.untilMs, untilMs);
        wanted.hold.granted = byMajority;
      }
    }
  }
}
