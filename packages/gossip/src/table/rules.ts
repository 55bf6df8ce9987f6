/**
 * The rules of membership that a promise hangs on, one function each. The table takes them from here; a test takes one away and shows the history that
 * breaks (rules.test.ts). docs/decisions/0016-membership.md has the argument for each.
 */
import type { Loss } from "../items/losses.ts";

export interface MembershipRules {
  /** The store was forgotten, or left, since it last joined: it joins anew, and until then its claim to be full does not count. */
  isGone(joins: number, goneJoins: number): boolean;
  /** Only full members vote. */
  votes(isFull: boolean): boolean;
  /** A full member acknowledges nobody who does not read what it has promised to, or may have written what another member does not read. */
  mayAcknowledge(isApart: boolean): boolean;
  /** Only a full member acknowledges entries and answers probes for contact: a fresh store knows nothing of whom its name's last store fenced. */
  mayAnswer(isSelfFull: boolean): boolean;
  /** A member that is dead here gets no answer until it refutes with a higher incarnation. */
  fences(isDeadHere: boolean): boolean;
  /** A joining member is full once a majority of the full ones, itself not counted, has acknowledged its entry. */
  isJoined(acknowledged: number, voters: number, silent: number): boolean;
  /** The loss counts, silent, in every majority: its store voted, another one has its name, and it is not cleared. */
  isSilentVote(loss: Loss, isReplaced: boolean): boolean;
  /** A store that was fenced for longer than the lease counts on none of its old answers any more. */
  isFencedLong(fencedMs: number, leaseMs: number): boolean;
  /** A majority has fenced the lost store for longer than the lease. */
  isFencedByMajority(isMajority: () => boolean): boolean;
  /** A survivor has flushed all that it took before it learned of the loss. */
  hasFlushed(isFlushed: boolean): boolean;
  /** Losses are cleared without an operator only while fewer stores are lost than any record's acks. */
  mayClear(lostCount: number, acksMin: number): boolean;
  /** Nobody is forgotten without an operator where fewer than three live full members remain. */
  mayForget(liveFullCount: number): boolean;
  /** The declared replication rises only when nothing is held under fewer acks. */
  mayRise(heldAcks: number, acks: number): boolean;
}

export const RULES: MembershipRules = {
  isGone: (joins, goneJoins) => goneJoins >= joins,
  votes: (isFull) => isFull,
  mayAcknowledge: (isApart) => !isApart,
  mayAnswer: (isSelfFull) => isSelfFull,
  fences: (isDeadHere) => isDeadHere,
  isJoined: (acknowledged, voters, silent) => voters > 0 && 2 * acknowledged > voters + silent,
  isSilentVote: (loss, isReplaced) => isReplaced && loss.wasFull && !loss.isCleared,
  isFencedLong: (fencedMs, leaseMs) => fencedMs > leaseMs,
  isFencedByMajority: (isMajority) => isMajority(),
  hasFlushed: (isFlushed) => isFlushed,
  mayClear: (lostCount, acksMin) => lostCount < acksMin,
  mayForget: (liveFullCount) => liveFullCount >= 3,
  mayRise: (heldAcks, acks) => heldAcks >= acks,
};
