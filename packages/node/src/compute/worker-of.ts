/** Which worker holds the datasets of a tenant's service. All windows are in one worker, so that it is known before a push is decoded, which tells its time. */
import type { EncodedRecord } from "@pyromesh/profile";

export function workerOf({ tenant, service }: Pick<EncodedRecord, "tenant" | "service">, workerCount: number): number {
  if (workerCount === 1) return 0;
  const text = `${tenant}\0${service}`;
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % workerCount;
}
