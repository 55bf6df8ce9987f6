/**
 * How a member leaves the cluster, and how it is drained.
 *
 *   active ──▶ leaving: readable, takes no record ──▶ flush ──▶ nothing is held that is not in the bucket ──▶ left, told to several members ──▶ the process may end
 *                                                        drained: it stays here, and may be stopped
 *
 * What must stay true: a member is LEFT only once this node has read every identity that it held in the bucket, whoever flushed it. It counts in nothing from then on.
 */
import { CodedError, messageOf } from "@pyromesh/base";
import type { Clock, Logger } from "@pyromesh/base";
import type { ClusterView } from "@pyromesh/ring";
import type { ClusterFlush } from "./cluster-flush.ts";

/** What membership does for a member that leaves. */
export interface LeavingMembership {
  readonly view: ClusterView;
  /** From now on it is LEAVING, and kept so on disk. Resolves at once where it is. */
  startLeaving(): Promise<void>;
  /** Ends LEAVING: it is active again. */
  cancelLeaving(): Promise<void>;
  /** It is LEFT. Resolves when several members know. */
  finishLeaving(signal: AbortSignal): Promise<void>;
}

export interface LeavingModules {
  readonly membership: LeavingMembership;
  /** Of all members: what is kept here for others is theirs to flush. */
  readonly flush: Pick<ClusterFlush, "flush">;
  /** Nothing is held that is not in the bucket. */
  readonly isEmpty: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Of one try; there is no last one. */
const FLUSH_TIMEOUT_MS = 30_000;
/** The pause after a try that failed. */
const PAUSE_MS = 1_000;

export class Leaving {
  readonly #modules: LeavingModules;

  constructor(modules: LeavingModules) {
    this.#modules = modules;
  }

  /**
   * Resolves when it has left. Rejects LEAVE_REFUSED where it may not, and is active again where that shows only at the end: all others may have begun to leave meanwhile, and
   * a cluster of which all leave would take no push any more. It stays LEAVING where `signal` aborts: called again, it goes on.
   */
  async leave(signal: AbortSignal): Promise<void> {
    const { logger, membership } = this.#modules;
    const refusal = leaveRefusedBecause(membership.view);
    if (refusal !== undefined) throw new CodedError({ code: "LEAVE_REFUSED", kind: "failed_precondition", message: `${membership.view.self.name} may not leave: ${refusal}` });
    await this.drain(signal);
    await membership.finishLeaving(signal).catch(async (error: unknown) => {
      if (error instanceof CodedError && error.code === "LEAVE_REFUSED") await this.resume();
      throw error;
    });
    logger.info("left the cluster");
  }

  /** Resolves when it holds nothing that is not in the bucket. It takes no record from then on, until `resume`. */
  async drain(signal: AbortSignal): Promise<void> {
    const { clock, flush, isEmpty, logger, membership } = this.#modules;
    await membership.startLeaving();
    logger.info("leaving: no more records are taken, and what is held is flushed");
    for (;;) {
      try {
        await flush.flush(FLUSH_TIMEOUT_MS, signal);
        // Records that were on their way when it began to leave came after the flush began.
        if (isEmpty()) return;
      } catch (error) {
        signal.throwIfAborted();
        // Another member may have failed, which keeps this one no longer.
        if (isEmpty()) return;
        logger.warn("leaving: not all is in the bucket yet", { reason: messageOf(error) });
        await clock.sleep(PAUSE_MS, signal);
      }
    }
  }

  /** After `drain`: it takes records again. */
  async resume(): Promise<void> {
    await this.#modules.membership.cancelLeaving();
  }
}

/** Why a member may not leave now; undefined: it may. Pure. */
export function leaveRefusedBecause({ members, self }: ClusterView): string | undefined {
  const others = members.filter(({ name }) => name !== self.name);
  const dead = others.filter(({ state }) => state === "dead");
  if (dead.length > 0) return `${dead.map(({ name }) => name).join(", ")} is dead: start it again, or forget it (pyromesh cluster forget), first`;
  const joining = others.filter(({ state }) => state === "joining");
  if (joining.length > 0) return `${joining.map(({ name }) => name).join(", ")} is joining: wait until it has`;
  if (!others.some(({ state }) => state === "active")) return "it is the last full member: stop it instead, and its data directory keeps what it holds";
  return undefined;
}
