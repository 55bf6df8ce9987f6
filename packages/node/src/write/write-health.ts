/**
 * Tells `/ready` whether the disk lets this node take writes.
 *
 *   taking ── the store refused a write, the disk is full, or the disk budget is used up ──► refusing
 *   refusing ── none of these for 3 s, and there is room for more than the next push ──► taking
 *
 * A load balancer that follows `/ready` sends no push any more once it says 503, and only a write shows that the store takes writes again. So while
 * the store refuses writes, this tries one every now and then. The 3 s and the room keep `/ready` from changing with every push.
 *
 * What must stay true: from the moment at which a push was refused for lack of disk, `/ready` says so. Pushes that come all the same are tried.
 */
import { messageOf, retryDelayMs } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";
import type { DiskSpace } from "../process/data-disk.ts";

/** What this needs of the head. */
export interface WrittenHead {
  readonly cutBytesMax: number;
  readonly diskNeeds: { readonly commitBytes: number; readonly reopenBytes: number };
  refusalOf(entryBytes: number): { readonly code: string; readonly message: string } | undefined;
  tryWrite(): Promise<void>;
}

export interface WriteHealthModules {
  readonly head: WrittenHead;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The free space of the disk; undefined where it cannot be found out. */
  readonly measureDisk: () => Promise<DiskSpace | undefined>;
}

// --- deciding, pure ---------------------------------------------------------------------------------------------------

export type WriteState =
  | { readonly kind: "taking" }
  | { readonly kind: "refusing"; readonly reason: string; readonly sinceMs: number; /** When there was last a reason. */ readonly refusedAtMs: number };

export interface WriteView {
  readonly nowMs: number;
  /** Why a push is refused now, or would be; undefined where it would not be. */
  readonly refusal: string | undefined;
  /** What is still missing before pushes may be sent here again, though none would be refused now. */
  readonly lacks: string | undefined;
}

export function nextWriteState(state: WriteState, { nowMs, refusal, lacks }: WriteView): WriteState {
  const sinceMs = state.kind === "refusing" ? state.sinceMs : nowMs;
  if (refusal !== undefined) return { kind: "refusing", reason: refusal, sinceMs, refusedAtMs: nowMs };
  if (state.kind === "taking") return state;
  if (lacks !== undefined) return { ...state, reason: lacks };
  return nowMs - state.refusedAtMs < QUIET_MS ? state : { kind: "taking" };
}

// --- doing ------------------------------------------------------------------------------------------------------------

export class WriteHealth {
  readonly #modules: WriteHealthModules;
  #state: WriteState = { kind: "taking" };
  /** Free space as measured last; undefined where it could not be. */
  #freeBytes: number | undefined;
  #timer: Timer | undefined;
  #checking: Promise<void> = Promise.resolve();
  #isStopped = false;
  #isChecking = false;
  #failedTryCount = 0;
  #tryAtMs = 0;

  constructor(modules: WriteHealthModules) {
    this.#modules = modules;
  }

  /** Resolves after the first check. */
  async start(): Promise<void> {
    await this.#check();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#checking;
  }

  /** Why writes are refused; undefined while they are taken. */
  get refusesBecause(): string | undefined {
    this.#step();
    return this.#state.kind === "refusing" ? this.#state.reason : undefined;
  }

  #check(): Promise<void> {
    this.#isChecking = true;
    this.#checking = this.#look().finally(() => {
      this.#isChecking = false;
      this.#schedule();
    });
    return this.#checking;
  }

  #schedule(): void {
    if (this.#isStopped || this.#isChecking) return;
    this.#timer?.cancel();
    const hasPlenty = this.#state.kind === "taking" && this.#freeBytes !== undefined && this.#freeBytes >= PLENTY_BYTES;
    this.#timer = this.#modules.clock.after(hasPlenty ? PLENTY_INTERVAL_MS : CHECK_INTERVAL_MS, () => void this.#check());
  }

  async #look(): Promise<void> {
    const { measureDisk } = this.#modules;
    this.#freeBytes = (await measureDisk().catch(() => undefined))?.freeBytes;
    this.#step(); // before the try, so that the refusal counts also where the try succeeds
    await this.#tryWhereRefused();
    this.#step();
  }

  /** Tries a write while the store refuses writes. Not without room to open the store again: every such try would fail and log an error. */
  async #tryWhereRefused(): Promise<void> {
    const { clock, head, logger } = this.#modules;
    if (this.#isStopped || head.refusalOf(0)?.code !== "HEAD_WRITE_FAILED") {
      this.#failedTryCount = 0;
      return;
    }
    if (clock.monotonicMs() < this.#tryAtMs || (this.#freeBytes ?? Infinity) < head.diskNeeds.reopenBytes) return;
    try {
      await head.tryWrite();
      this.#failedTryCount = 0;
    } catch (error) {
      this.#failedTryCount++;
      this.#tryAtMs = clock.monotonicMs() + retryDelayMs(this.#failedTryCount, TRY_PAUSE);
      logger.debug("the head's store does not take a write yet", { reason: messageOf(error) });
    }
  }

  #step(): void {
    const { clock, logger } = this.#modules;
    const nowMs = clock.monotonicMs();
    const before = this.#state;
    const { refusal, lacks } = this.#view();
    const after = nextWriteState(before, { nowMs, refusal, lacks });
    this.#state = after;
    if (before.kind !== after.kind) this.#schedule();
    if (before.kind === "taking" && after.kind === "refusing") logger.warn("writes are refused, and /ready says so", { reason: after.reason });
    if (before.kind === "refusing" && after.kind === "taking") logger.info("writes are taken again", { afterMs: Math.round(nowMs - before.sinceMs) });
  }

  #view(): Pick<WriteView, "refusal" | "lacks"> {
    const { head } = this.#modules;
    const { commitBytes, reopenBytes } = head.diskNeeds;
    const freeBytes = this.#freeBytes ?? Infinity;
    const isFull = freeBytes < commitBytes;
    const lacks = (bytes: number, when: string): string => `its disk has ${megabytes(freeBytes)} MB free, ${when} ${megabytes(bytes)} MB`;
    const refusal = head.refusalOf(ENTRY_BYTES)?.message ?? (isFull ? lacks(commitBytes, "and one commit may take") : undefined);
    if (freeBytes < reopenBytes) return { refusal, lacks: lacks(reopenBytes, "and is ready again with") };
    return { refusal, lacks: head.refusalOf(Math.min(head.cutBytesMax, ROOM_BYTES_MAX))?.message };
  }
}

const CHECK_INTERVAL_MS = 1_000;
/** With so much free, and no write refused, the disk is looked at less often: it is not full within that time at less than 200 MB/s, and a push that it refuses says so before. */
const PLENTY_BYTES = 2 ** 30;
const PLENTY_INTERVAL_MS = 5_000;
/** How long nothing must be refused before `/ready` says so. A disk that is almost full takes one write and refuses the next; load balancers ask every few seconds. */
const QUIET_MS = 3_000;
const TRY_PAUSE = { firstMs: 1_000, maxMs: 10_000 };
/** The size of the record that the head is asked about: most records are smaller. */
const ENTRY_BYTES = 64 << 10;
/** Room that must be left in the disk budget before it counts as not used up any more: one cut, but at most this. */
const ROOM_BYTES_MAX = 64 << 20;

function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
