/**
 * Decides which uploads begin now. Pure.
 *
 * There is one queue per store id, tenant and window. It is uploaded in the order of its ordinals, so that the bucket never shows a later
 * segment without the earlier ones. What must stay true:
 *
 *   - a queue that fails, or whose put hangs, waits by itself and holds up no other;
 *   - in an outage (the bucket as a whole fails) one upload at a time is tried, however many queues wait;
 *   - `POST /flush` asks each queue for one try now, and changes no pause.
 */

export interface UploadQueueView {
  readonly id: string;
  readonly tenant: string;
  /** How long the try under way has lasted; undefined where none is under way. */
  readonly busyForMs: number | undefined;
  /** The next try is not before this time; 0 where the last one did not fail. */
  readonly retryAtMs: number;
  /** One try was asked for now, whatever `retryAtMs` says. */
  readonly isAsked: boolean;
  /** When the last try began; -1: never. */
  readonly triedAtMs: number;
  /** Its last try failed with an error of the bucket, and no upload of any queue has succeeded since. */
  readonly isFailing: boolean;
}

export interface UploadView {
  readonly nowMs: number;
  /** All queues that hold a segment. */
  readonly queues: readonly UploadQueueView[];
  /** In an outage the next try is not before this time. */
  readonly outageRetryAtMs: number;
}

export interface UploadPlan {
  readonly startIds: readonly string[];
  /** When to plan again if nothing changes before; undefined: only after a change. */
  readonly wakeAtMs: number | undefined;
}

/** Tries under way at once; each holds its segment's bytes in memory. At the bound the other queues wait. */
export const CONCURRENCY_MAX = 4;
/** Tries of one tenant under way at once: one slot is left for the other tenants. */
export const TENANT_CONCURRENCY_MAX = 3;
/** A try that takes longer no longer counts as one of `CONCURRENCY_MAX`, so that hanging tries hold up no others. The bucket client's own timeouts end it. */
export const SLOW_AFTER_MS = 10_000;
/** Tries under way, slow ones included: of all tenants, and of one. At the bound no other begins. */
export const BUSY_MAX = 12;
export const TENANT_BUSY_MAX = 6;
/** Once uploads of this many tenants fail, the bucket counts as the cause, even while other tenants have not been tried. */
const OUTAGE_TENANT_COUNT = 3;

/**
 * True in an outage: at least two queues are failing, and they belong to every tenant that has a queue, or to three tenants. A bucket that
 * refuses only one tenant's prefix is no outage while another tenant's segments wait.
 */
export function isOutage(queues: readonly UploadQueueView[]): boolean {
  const failing = queues.filter((queue) => queue.isFailing);
  if (failing.length < 2) return false;
  const tenantCount = new Set(queues.map(({ tenant }) => tenant)).size;
  return new Set(failing.map(({ tenant }) => tenant)).size >= Math.min(OUTAGE_TENANT_COUNT, tenantCount);
}

/**
 * True where an upload that succeeded, of a queue that was not failing, shows that the bucket was there all the time: all queues that fail are one other
 * tenant's. Their pauses stay as they are. Else every upload of the one tenant would begin the tries of the other anew, at the shortest pause. Where it was an outage
 * after all, the failing queues wait for the rest of their pauses, 15 s at most.
 */
export function isRefusalOfOneTenant(queues: readonly Pick<UploadQueueView, "tenant" | "isFailing">[], succeeded: Pick<UploadQueueView, "tenant" | "isFailing">): boolean {
  if (succeeded.isFailing) return false;
  const tenants = new Set(queues.filter(({ isFailing }) => isFailing).map(({ tenant }) => tenant));
  return tenants.size === 1 && !tenants.has(succeeded.tenant);
}

export function planUploads({ nowMs, queues, outageRetryAtMs }: UploadView): UploadPlan {
  const busy = queues.filter(({ busyForMs }) => busyForMs !== undefined);
  const slots = new Slots(busy);
  const wakeTimes: number[] = busy.filter((queue) => !isSlow(queue)).map(({ busyForMs }) => nowMs - busyForMs! + SLOW_AFTER_MS); // busy ones have it
  const idle = queues.filter(({ busyForMs }) => busyForMs === undefined);

  if (isOutage(queues)) {
    if (slots.fastCount > 0 || idle.length === 0) return { startIds: [], wakeAtMs: earliest(wakeTimes) };
    if (outageRetryAtMs > nowMs && !idle.some(({ isAsked }) => isAsked)) return { startIds: [], wakeAtMs: earliest([...wakeTimes, outageRetryAtMs]) };
    // Next comes the tenant whose last try is longest ago, and of its queues the one whose last try is: so a tenant whose prefix is refused does not get all tries.
    const triedAtMs = new Map<string, number>();
    for (const queue of queues) triedAtMs.set(queue.tenant, Math.max(triedAtMs.get(queue.tenant) ?? -1, queue.triedAtMs));
    const probe = idle.filter((queue) => slots.mayStart(queue)).sort((a, b) => triedAtMs.get(a.tenant)! - triedAtMs.get(b.tenant)! || a.triedAtMs - b.triedAtMs)[0]; // every tenant has a time
    return { startIds: probe === undefined ? [] : [probe.id], wakeAtMs: earliest(wakeTimes) };
  }

  const startIds: string[] = [];
  for (const queue of idle.sort((a, b) => a.triedAtMs - b.triedAtMs)) {
    if (queue.retryAtMs > nowMs && !queue.isAsked) {
      wakeTimes.push(queue.retryAtMs);
    } else if (slots.mayStart(queue)) {
      slots.take(queue);
      startIds.push(queue.id);
    }
  }
  return { startIds, wakeAtMs: earliest(wakeTimes) };
}

class Slots {
  fastCount = 0;
  #busyCount = 0;
  readonly #fastOf = new Map<string, number>();
  readonly #busyOf = new Map<string, number>();

  constructor(busy: readonly UploadQueueView[]) {
    for (const queue of busy) this.take(queue);
  }

  take(queue: UploadQueueView): void {
    const { tenant } = queue;
    this.#busyCount++;
    this.#busyOf.set(tenant, (this.#busyOf.get(tenant) ?? 0) + 1);
    if (isSlow(queue)) return;
    this.fastCount++;
    this.#fastOf.set(tenant, (this.#fastOf.get(tenant) ?? 0) + 1);
  }

  mayStart({ tenant }: UploadQueueView): boolean {
    return (
      this.fastCount < CONCURRENCY_MAX &&
      this.#busyCount < BUSY_MAX &&
      (this.#fastOf.get(tenant) ?? 0) < TENANT_CONCURRENCY_MAX &&
      (this.#busyOf.get(tenant) ?? 0) < TENANT_BUSY_MAX
    );
  }
}

function isSlow({ busyForMs = 0 }: UploadQueueView): boolean {
  return busyForMs >= SLOW_AFTER_MS;
}

function earliest(timesMs: readonly number[]): number | undefined {
  return timesMs.length === 0 ? undefined : Math.min(...timesMs);
}
