/**
 * The session id a client's SDK sends along, folded to few: `max_sessions_per_series` values a series, told apart by remainder,
 * so that a client that restarts every minute is not a new series each time. Pyroscope's own arithmetic, so that a session
 * has the same name here as there: 16 hex digits are eight bytes, the least first. Pure.
 */
import type { Label } from "@pyromesh/profile";
import { LABEL_SESSION_ID } from "@pyromesh/profile";

/** 0: no session is told apart, and the label goes. One that is not 16 hex digits goes too. */
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

/** Unsigned, unlike there: a remainder below zero would be a second set of sessions. */
function fold(sessionId: string, sessionCount: number): string {
  const bytes = Buffer.from(sessionId, "hex");
  bytes.writeBigUInt64LE(bytes.readBigUInt64LE() % BigInt(sessionCount));
  return bytes.toString("hex");
}
