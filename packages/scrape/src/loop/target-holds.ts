/**
 * Who may scrape a target. On a node alone it holds them all; the members of a cluster share them (packages/node, scrape/).
 *
 * What must stay true: at no time do two members have a hold on the same target that has not ended. So what one member stores, which was answered
 * before its hold ended, and what the next one stores, which it asked for after its own began, cover different times. A member whose clock stood still may
 * take a hold for its own that has ended: before anything is stored, `HoldWatch` says whether it has.
 */

export interface TargetHolds {
  /** Replaces what this node wants to scrape: the keys of all targets. Which of them are its own it decides by the members that it sees. */
  want(keys: readonly string[]): void;
  /** The same object for as long as the hold is unbroken. Undefined: this node has none now, or no more. Ask it again after each wait. */
  holdOf(key: string): TargetHold | undefined;
  /** Asked before a program is. Undefined: there is no hold. */
  watch(key: string): HoldWatch | undefined;
  /** The member that is to scrape the target, as this node sees the cluster. Undefined: there is none. */
  ownerOf(key: string): HoldOwner | undefined;
  /** Calls `listener` when an owner may have changed. */
  onChange(listener: () => void): void;
}

export interface TargetHold {
  /** When it began, by the monotonic clock. */
  readonly sinceMs: number;
}

export interface HoldWatch {
  /**
   * Resolves with whether the hold was unbroken from when it was watched until now: a clock that stood still with its machine does not say so. Rejects where the signal
   * aborts. What was asked meanwhile may be stored; nothing else of the target may.
   */
  wasUnbroken(signal: AbortSignal): Promise<boolean>;
}

export interface HoldOwner {
  readonly name: string;
  readonly isSelf: boolean;
  /** Where its pages are reached, `host:port`. */
  readonly httpAddress: string;
}

/** Of a node without a cluster. */
export function allHeld(owner: HoldOwner): TargetHolds {
  const hold: TargetHold = { sinceMs: 0 };
  const watch: HoldWatch = { wasUnbroken: () => Promise.resolve(true) };
  return { want: () => {}, watch: () => watch, holdOf: () => hold, ownerOf: () => owner, onChange: () => {} };
}
