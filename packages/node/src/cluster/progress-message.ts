/** `progress`: the number of the sender's last synced commit, and in the answer the highest one that the receiver knew of before (0: none). */
import { openMessage, packMessage } from "./message.ts";

export function packProgress(commit: number): Uint8Array {
  return packMessage({ commit });
}

/** Throws PEER_MALFORMED. */
export function openProgress(bytes: Uint8Array): number {
  return openMessage(bytes, "a store's progress").integer("commit");
}

export function packProgressAnswer(known: number): Uint8Array {
  return packMessage({ known });
}

/** Throws PEER_MALFORMED. */
export function openProgressAnswer(bytes: Uint8Array): number {
  return openMessage(bytes, "an answer with a store's progress").integer("known");
}
