/** In which worker the datasets of a tenant's service lie: all its windows in one, so that a push is at home there before its time is known. */
import type { EncodedRecord } from "@pyromesh/profile";

export function workerOf({ tenant, service }: Pick<EncodedRecord, "tenant" | "service">, workerCount: number): number {
  if (workerCount === 1) return 0;
  const text = `${tenant}\0${service}`;
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % workerCount;
}
