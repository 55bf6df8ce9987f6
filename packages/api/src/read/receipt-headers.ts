/**
 * Reply headers that say what an answer counted and what it lacks. The same question to any node has the same record count and identity
 * sum.
 */
import type { Receipt } from "@pyromesh/profile";
import type { Answer, ListingReply } from "../ports/ports.ts";

/** Where an endpoint asks the source twice (flame graph and timeline), the first answer's receipt is used. */
export function receiptHeaders(...answers: readonly Pick<Answer<unknown>, "receipt" | "missing" | "isSaturated">[]): Record<string, string> {
  const headers: Record<string, string> = {};
  if (answers[0] !== undefined) writeReceipt(answers[0].receipt, headers);
  const missing = new Set(answers.flatMap((answer) => answer.missing));
  if (missing.size > 0) headers["x-pyromesh-missing"] = headerText([...missing]);
  if (answers.some((answer) => answer.isSaturated)) headers["x-pyromesh-saturated"] = "true";
  return headers;
}

/** A listing that is cut off says how many entries it has, and of how many. */
export function listingHeaders(answer: Answer<ListingReply>): Record<string, string> {
  const headers = receiptHeaders(answer);
  const { entryCount, totalCount } = answer.value;
  if (totalCount !== entryCount) headers["x-pyromesh-truncated"] = `${entryCount} of ${totalCount ?? "more"}`;
  return headers;
}

function writeReceipt(receipt: Receipt, headers: Record<string, string>): void {
  headers["x-pyromesh-records"] = String(receipt.recordCount);
  headers["x-pyromesh-identity-sum"] = receipt.identitySum;
  headers["x-pyromesh-objects"] = String(receipt.objectCount);
  headers["x-pyromesh-stores"] = String(receipt.storeCount);
  if (receipt.nodes !== undefined) headers["x-pyromesh-nodes"] = headerText(receipt.nodes.map((name) => encodeURIComponent(name)));
}

/** Many clients refuse headers of more than 8 KiB. A longer list is cut off, and says so. */
const MISSING_LENGTH_MAX = 4096;

/** The parts joined by `; `, which none of them contains. */
function headerText(parts: readonly string[]): string {
  const text = parts.map((part) => part.replaceAll("; ", ", ")).join("; ").replace(/[^\x20-\x7e]/g, "?");
  return text.length <= MISSING_LENGTH_MAX ? text : `${text.slice(0, MISSING_LENGTH_MAX)}... and more`;
}
