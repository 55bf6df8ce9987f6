/**
 * Which pushes are let in while a node has more to do than it can. Without it they wait for seconds, and clients give up on what is stored after all. The queue is
 * bounded by the time that a push would wait, not by its length: how long a push takes depends on the machine, the profiles and the other members.
 *
 *   open ── a window is slow: most pushes that ended in it were, or what is at work will take more than BEHIND_MS at its rate ──► bounded
 *   bounded: at most WAIT_MAX_MS of work at the rate at which pushes ended, or FEW_COUNT that end within FEW_WAIT_MS, or AT_WORK_MIN; a further push gets 503
 *   bounded ── a window is quick, or a push comes to an idle node, CALM_MS after the last slow window ──► open
 *
 * A burst that drains within WAIT_MAX_MS is never refused: while it does, the bound is above it. Nor is anything refused for a stall (a slow disk, a member that is
 * about to be declared dead): as long as no push ends there is nothing to judge by, and those that waited end together, which is a high rate. What waits then is
 * bounded by the memory for bodies.
 *
 * What must stay true: each `enter` is followed by one `leave`; a node with less than AT_WORK_MIN pushes at work refuses none.
 */
import { CodedError } from "@pyromesh/base";
import type { Clock, Counter, Metrics } from "@pyromesh/base";
import type { ApiRequest, BodyUse } from "../ports/http.ts";

/**
 * What is let in must be answered within a second. The rest of it is for the wait before and after, for the processor, and for moments in which less ends than before.
 * Longer, nothing more is done: what ends in 0.3 s keeps all parts of the node busy.
 */
const WAIT_MAX_MS = 300;
/** A push that takes longer has waited: most of that time is no work. */
const SLOW_MS = 150;
/** An overload is seen before the first push has been slow: by then twice as much would be let in, and what is let in first takes longest. */
const BEHIND_MS = 400;
/** Where so long nothing ended, the rate of the window is that of a stall, and does not say how long those at work will take. */
const PAUSE_MS = 200;
/**
 * So many are let in though they are more than that, where they end within FEW_WAIT_MS: clients that wait for their answers bound what waits by themselves, and a refusal would
 * only cost them a second.
 */
const FEW_COUNT = 64;
const FEW_WAIT_MS = 600;
/** So many are let in whatever the rate: with fewer a node that is slow for a moment could not show that it is quick again. */
const AT_WORK_MIN = 16;
/**
 * A window ends when it is so long and has so many ends, or is of the full length. Short: at three times the load, what waits grows by two seconds of work in each
 * second until the bound is there.
 */
const WINDOW_MS = 100;
const WINDOW_ENDS = 8;
const WINDOW_MS_MAX = 1_000;
/** Clients that come in bursts leave pauses, in which all is quick. A gate that opened in one would let a whole burst in. */
const CALM_MS = 1_000;
/** Of the newest window in the rate: ends come in groups, as commits do. */
const NEWEST_PART = 0.25;

export class PushGate {
  readonly #clock: Clock;
  readonly #refusals: Counter;
  #state: GateState = OPEN;
  /** When a window was slow last. */
  #slowMs = 0;
  #atWorkCount = 0;
  /** The window that runs begins with the end of a push, which it does not count. Undefined: none runs. */
  #beganMs: number | undefined;
  #endedMs = 0;
  #endedCount = 0;
  #slowCount = 0;
  #hasPause = false;
  /** The newest refusal, which those of the same words share: under overload they are most of what a node answers. */
  #latest: CodedError | undefined;

  constructor({ clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#clock = clock;
    this.#refusals = metrics.counter("pyromesh_pushes_refused_total", "Pushes that were refused since the node had more to do than it can.", ["reason"]);
  }

  /** Throws OVERLOADED where `enter` would: before the body is read, and before it is decompressed and decoded. */
  check(): void {
    if (this.#state.kind === "bounded" && this.#atWorkCount >= this.#state.atWorkMax) throw this.#refusal(this.#state);
  }

  /** Returns what `leave` needs. Throws OVERLOADED. */
  enter(): number {
    this.check();
    const nowMs = this.#clock.monotonicMs();
    if (this.#atWorkCount === 0 && nowMs - this.#slowMs >= CALM_MS) this.#state = OPEN;
    this.#atWorkCount++;
    return nowMs;
  }

  leave(enteredMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    this.#atWorkCount--;
    // A pause without ends is a stall, which says nothing of the rate.
    if (this.#beganMs === undefined || nowMs - this.#endedMs > WINDOW_MS_MAX) {
      this.#begin(nowMs);
    } else {
      this.#hasPause ||= nowMs - this.#endedMs > PAUSE_MS;
      this.#endedMs = nowMs;
      this.#endedCount++;
      if (nowMs - enteredMs > SLOW_MS) this.#slowCount++;
      const passedMs = nowMs - this.#beganMs;
      if (passedMs >= WINDOW_MS_MAX || (passedMs >= WINDOW_MS && this.#endedCount >= WINDOW_ENDS)) {
        const isBehind = !this.#hasPause && this.#atWorkCount * passedMs > BEHIND_MS * this.#endedCount;
        const isSlow = isBehind || this.#slowCount * 2 > this.#endedCount;
        if (isSlow) this.#slowMs = nowMs;
        this.#state = nextState(this.#state, { passedMs, endedCount: this.#endedCount, isSlow, calmMs: nowMs - this.#slowMs });
        this.#begin(nowMs);
      }
    }
  }

  #begin(nowMs: number): void {
    this.#beganMs = nowMs;
    this.#endedMs = nowMs;
    this.#endedCount = 0;
    this.#slowCount = 0;
    this.#hasPause = false;
  }

  #refusal({ perMs }: Bounded): CodedError {
    this.#refusals.add(REASON, 1);
    const retryAfterSeconds = Math.max(1, Math.ceil(this.#atWorkCount / perMs / 1000));
    const message = `this node works on ${this.#atWorkCount} pushes and ends ${(perMs * 1000).toFixed(0)} a second: try again in ${retryAfterSeconds} s, or at another node`;
    if (this.#latest?.message === message) return this.#latest;
    return (this.#latest = new CodedError({ code: "OVERLOADED", kind: "unavailable", message, details: { ...REASON, retryAfterSeconds } }));
  }
}

/** Reads the body of a push that is not refused: neither before it is read nor after, when others have come meanwhile. `use`: as of `ApiRequest.body`. */
export async function readAdmitted(request: ApiRequest, sizeBytesMax: number, gate: PushGate, use: BodyUse): Promise<Uint8Array> {
  gate.check();
  const body = await request.body(sizeBytesMax, use);
  gate.check();
  return body;
}

// --- deciding, pure ---------------------------------------------------------------------------------------------------

interface Bounded {
  readonly kind: "bounded";
  /** Pushes that end in a millisecond. */
  readonly perMs: number;
  readonly atWorkMax: number;
}

type GateState = { readonly kind: "open" } | Bounded;

/** What was seen in one window. */
interface GateWindow {
  readonly passedMs: number;
  readonly endedCount: number;
  /** Most that ended were slow, or those at work will be. */
  readonly isSlow: boolean;
  /** Since the last window that was. */
  readonly calmMs: number;
}

function nextState(state: GateState, { passedMs, endedCount, isSlow, calmMs }: GateWindow): GateState {
  // A bound that is too low, since fewer came than could be done, makes pushes quick, and so does not last.
  if (!isSlow && (state.kind === "open" || calmMs >= CALM_MS)) return OPEN;
  const newestPerMs = endedCount / passedMs;
  const perMs = state.kind === "bounded" ? NEWEST_PART * newestPerMs + (1 - NEWEST_PART) * state.perMs : newestPerMs;
  return { kind: "bounded", perMs, atWorkMax: Math.max(perMs * WAIT_MAX_MS, Math.min(perMs * FEW_WAIT_MS, FEW_COUNT), AT_WORK_MIN) };
}

const OPEN: GateState = { kind: "open" };
const REASON = { reason: "overloaded" } as const;
