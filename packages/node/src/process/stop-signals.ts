/**
 * What SIGTERM and SIGINT do.
 *
 *   the first                          a clean stop, which takes at most `timeoutMs`, then exit 0
 *   SIGTERM again                      nothing: supervisors repeat it, and the stop is under way
 *   SIGINT again, within a second      nothing: a terminal sends Ctrl-C to the whole group, and npm and shells pass it on as well
 *   SIGINT again, later                ends at once with exit 130: a person does not want to wait. What was answered is on disk
 *
 * None of these is logged as an error, since the node is not at fault. A stop that failed or took too long is.
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Logger } from "@pyromesh/base";

export type StopSignal = "SIGTERM" | "SIGINT";

export interface StopSignalsModules {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the signals come from: `process`. */
  readonly signals: { on(signal: StopSignal, listener: (signal: StopSignal) => void): unknown };
  /** Ends the process. */
  readonly exit: (code: number) => void;
}

export interface StopSignalsOptions {
  readonly timeoutMs: number;
}

/** Resolves after the first signal and a clean stop. */
export function stopOnSignals(stop: () => Promise<void>, { timeoutMs }: StopSignalsOptions, { clock, exit, logger, signals }: StopSignalsModules): Promise<void> {
  return new Promise((resolve) => {
    let stoppingSinceMs: number | undefined;
    const onSignal = (signal: StopSignal): void => {
      const nowMs = clock.monotonicMs();
      if (stoppingSinceMs !== undefined) {
        if (signal !== "SIGINT" || nowMs - stoppingSinceMs < REPEAT_MS) return;
        logger.warn("ended at once by a second SIGINT; what was accepted is on disk");
        exit(EXIT_INTERRUPTED);
        return;
      }
      stoppingSinceMs = nowMs;
      logger.info("stopping", { signal });
      clock.after(timeoutMs, () => {
        logger.error("the node did not stop in time; what was accepted is on disk", { timeoutMs });
        exit(1);
      });
      stop().then(
        () => {
          logger.info("stopped");
          resolve();
          exit(0);
        },
        (error: unknown) => {
          logger.error("the node stopped with an error", { reason: messageOf(error), error });
          exit(1);
        },
      );
    };
    signals.on("SIGTERM", onSignal);
    signals.on("SIGINT", onSignal);
  });
}

/** A second SIGINT within this time is taken to be the first one, passed on by npm or a shell. */
const REPEAT_MS = 1_000;
/** 128 plus the number of SIGINT, as shells have it. */
const EXIT_INTERRUPTED = 130;
