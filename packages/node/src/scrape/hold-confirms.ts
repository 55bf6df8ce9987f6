/**
 * Asks the members, after a program was asked, whether what they had granted before that is unbroken. A hold's end by this node's own clock does not say so: a machine
 * that was suspended wakes with the clock that it fell asleep with, and its targets may have been another member's for an hour.
 *
 *   round 7: a, b and c grant x ──► x is asked ──► its answer is read ──► "x, unbroken since round 7?" ──► a majority of a, b and c says yes ──► it may be stored
 *
 * What must stay true: only a member counts whose grant had been received when the program was asked. So at a majority the grant was this store's from before that until
 * after the answer had been read, by the order of events there and no clock. Two members that store the same target have a member in common that said so to
 * both, of times that do not overlap.
 *
 * Bounds: one question a target that waits; those that come within GAP_MS go together, in one request for each member and round. A member that does not answer within TIMEOUT_MS has said nothing.
 */
import { CodedError, messageOf } from "@pyromesh/base";
import type { Clock, Logger } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import { decodeHoldAnswer, encodeHoldRequest } from "../cluster/hold-message.ts";
import type { TargetNumber } from "../cluster/hold-message.ts";
import type { Cluster } from "../cluster/ports.ts";

/** Some hundred scrapes a second are 20 requests a second to each member. A scrape waits half of it. */
const GAP_MS = 50;
const TIMEOUT_MS = 2_500;

/** What had been granted when a target was asked: in which round, and the stores whose answers had come. */
export interface Granted {
  readonly serial: number;
  readonly stores: readonly StoreId[];
}

/** `unknown`: too few have answered. */
export type Confirmed = "yes" | "no" | "unknown";

export interface HoldConfirmsModules {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What this node itself says, as one who grants. */
  readonly own: (serial: number, targets: readonly TargetNumber[]) => readonly boolean[];
}

interface Question extends Granted {
  readonly target: TargetNumber;
  readonly answer: (confirmed: Confirmed) => void;
}

export class HoldConfirms {
  readonly #modules: HoldConfirmsModules;
  #waiting: Question[] = [];
  #isTimerSet = false;
  #sentMs = -Infinity;

  constructor(modules: HoldConfirmsModules) {
    this.#modules = modules;
  }

  /** Whether `granted` has been unbroken until now. */
  ask(target: TargetNumber, granted: Granted): Promise<Confirmed> {
    const { clock } = this.#modules;
    return new Promise((answer) => {
      this.#waiting.push({ ...granted, target, answer });
      if (this.#isTimerSet) return;
      this.#isTimerSet = true;
      clock.after(Math.max(0, this.#sentMs + GAP_MS - clock.monotonicMs()), () => {
        this.#isTimerSet = false;
        this.#sentMs = clock.monotonicMs();
        const questions = this.#waiting.splice(0);
        // Most are of the last few rounds.
        for (const serial of new Set(questions.map((question) => question.serial))) void this.#send(serial, questions.filter((question) => question.serial === serial));
      });
    });
  }

  async #send(serial: number, questions: readonly Question[]): Promise<void> {
    const { cluster, logger, own } = this.#modules;
    const targets = questions.map(({ target }) => target);
    const said = questions.map(() => ({ yes: new Set<StoreId>(), no: new Set<StoreId>() }));
    const take = (storeId: StoreId, bits: readonly boolean[]): void => {
      for (const [index, { stores, answer }] of questions.entries()) {
        if (!stores.includes(storeId)) continue;
        const { yes, no } = said[index]!;
        (bits[index] === true ? yes : no).add(storeId);
        if (cluster.isMajority(yes)) answer("yes");
        else if (!cluster.isMajority(new Set(stores.filter((store) => !no.has(store))))) answer("no");
      }
    };
    const { members, self } = cluster.view;
    take(self.storeId, own(serial, targets));
    const body = encodeHoldRequest({ serial, targets });
    const granting = new Set(questions.flatMap(({ stores }) => stores));
    const others = members.filter(({ name, storeId }) => name !== self.name && granting.has(storeId));
    await Promise.all(
      others.map(async ({ name, storeId }) => {
        try {
          const reply = decodeHoldAnswer(await cluster.peers.request(name, "scrape-confirm", body, { timeoutMs: TIMEOUT_MS }), targets.length);
          if (reply.digest !== cluster.view.digest) await cluster.learnFrom(name, reply.digest);
          take(reply.storeId, reply.granted);
        } catch (error) {
          // A process that does not know the question kept no order of what it granted, or has granted nothing: it may have taken the place of the one that did.
          if (error instanceof CodedError && error.code === "PEER_METHOD_UNKNOWN") take(storeId, targets.map(() => false));
          else logger.debug("a member did not say whether holds on targets to scrape are unbroken", { peer: name, reason: messageOf(error) });
        }
      }),
    );
    for (const { answer } of questions) answer("unknown");
  }
}
