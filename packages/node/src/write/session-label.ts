/**
 * Folds the session ids that SDKs send along to a few values: the remainder by `max_sessions_per_series`, so that a client that restarts every
 * minute does not make a new series each time. The arithmetic is Pyroscope's, so that a session has the same value here as there: 16 hex
 * digits are eight bytes, the least significant first. Pure.
 */
import type { Label } from "@pyromesh/profile";
import { LABEL_SESSION_ID } from "@pyromesh/profile";

/** With a `sessionsPerSeriesMax` of 0 the label is removed. A value that is not 16 hex digits is removed too. */
export function foldSessions(labels: readonly Label[], sessionsPerSeriesMax: number): readonly Label[] {
  if (!labels.some(({ name }) => name === LABEL_SESSION_ID)) return labels;
  const folded: Label[] = [];
  for (const label of labels) {
    if (label.name !== LABEL_SESSION_ID) folded.push(label);
    else if (sessionsPerSeriesMax > 0 && SESSION_ID.test(label.value)) folded.push({ name: label.name, value: fold(label.value, sessionsPerSeriesMax) });
  }
  return folded;
}

const SESSION_ID = /^[0-9a-fA-F]{16}$/;

/** Unsigned, unlike Pyroscope: remainders below zero would be a second set of sessions. */
function fold(sessionId: string, sessionCount: number): string {
  const bytes = Buffer.from(sessionId, "hex");
  bytes.writeBigUInt64LE(bytes.readBigUInt64LE() % BigInt(sessionCount));
  return bytes.toString("hex");
}
