/**
 * How far the start has come: in words for `/ready`, and as the error for requests that come before the replay has ended.
 *
 * The replay is the only step whose length is known. How long the rest of it takes is estimated from its pace so far.
 */
import { CodedError } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { ReplayProgress } from "@pyromesh/head";

export class StartProgress {
  readonly #clock: Clock;
  #step = "starting";
  #replay: { readonly progress: ReplayProgress; readonly startMs: number } | undefined;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  /** Names the step that begins now, as in "not ready: opening the head". */
  begin(step: string): void {
    this.#step = step;
    this.#replay = undefined;
  }

  replayed(progress: ReplayProgress): void {
    this.#replay = { progress, startMs: this.#replay?.startMs ?? this.#clock.monotonicMs() };
  }

  get words(): string {
    return this.#replay === undefined ? this.#step : printReplay(this.#replay.progress);
  }

  /** The error for a request that comes too early. It had no effect, so it may be sent again. */
  refusal(): CodedError {
    const replay = this.#replay;
    return new CodedError({
      code: "NODE_STARTING",
      kind: "unavailable",
      message: `this node is starting (${this.words}): try again, or ask another`,
      details: { retryAfterSeconds: replay === undefined ? RETRY_SECONDS_MIN : retrySecondsOf(replay.progress, this.#clock.monotonicMs() - replay.startMs) },
    });
  }
}

export function printReplay({ recordCount, bytes, recordCountAll, bytesAll }: ReplayProgress): string {
  return `replaying the head: ${recordCount} of ${recordCountAll} records, ${megabytes(bytes)} of ${megabytes(bytesAll)} MB`;
}

/** Seconds until the replay ends if it goes on at its pace so far. */
export function retrySecondsOf({ bytes, bytesAll }: ReplayProgress, elapsedMs: number): number {
  if (bytes === 0) return RETRY_SECONDS_MIN;
  const leftMs = (elapsedMs / bytes) * Math.max(0, bytesAll - bytes);
  return Math.min(RETRY_SECONDS_MAX, Math.max(RETRY_SECONDS_MIN, Math.ceil(leftMs / 1000)));
}

/** `Retry-After` has whole seconds. */
const RETRY_SECONDS_MIN = 1;
/** Bounds how long a client waits where the replay gets faster than it looked. */
const RETRY_SECONDS_MAX = 60;

function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);
}
