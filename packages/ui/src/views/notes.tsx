/** What stands where a flame graph would: a refusal in the server's own words, or nothing found and where to look. */
import type { JSX } from "preact";
import { QuerierError } from "../client.ts";
import type { StoreStats } from "../client.ts";
import { formatFullMoment } from "../model/local-time.ts";
import type { TimeRange } from "../model/time-range.ts";
import { useWatch } from "./use-watch.ts";

export function ErrorNote({ error, onRetry }: { readonly error: Error; readonly onRetry: () => void }): JSX.Element {
  const code = error instanceof QuerierError ? error.code : "page";
  return (
    <div class="notice failed" role="alert">
      <h2>{titleOf(code)}</h2>
      <p class="sentence">{error.message}</p>
      {code === "unauthenticated" ? <p>Write a tenant into the field above.</p> : null}
      <p>
        <button type="button" class="button" onClick={onRetry}>
          Try again
        </button>
        <span class="code-name">{code}</span>
      </p>
    </div>
  );
}

const JUMP_MS = 15 * 60_000;

export interface NothingInRangeProps {
  readonly stats: StoreStats;
  readonly onRange: (range: TimeRange) => void;
  readonly onLook: () => void;
}

export function NothingInRange({ stats, onRange, onLook }: NothingInRangeProps): JSX.Element {
  useWatch(onLook); // "the last so long" may have data at any moment: it may even have come between the two questions
  const hasTimes = stats.newestMs > 0;
  return (
    <main class="notice">
      <h2>No profiles in this time</h2>
      {hasTimes ? (
        <>
          <p>
            The store has profiles from {formatFullMoment(stats.oldestMs)} to {formatFullMoment(stats.newestMs)}.
          </p>
          <p>
            <button type="button" class="button" onClick={() => onRange({ kind: "between", startMs: stats.newestMs - JUMP_MS, endMs: stats.newestMs + 1000 })}>
              Show the newest
            </button>
          </p>
        </>
      ) : (
        <p>The store has profiles of another time. Choose a longer one above.</p>
      )}
    </main>
  );
}

function titleOf(code: string): string {
  switch (code) {
    case "unauthenticated":
      return "This server asks for a tenant";
    case "unreachable":
      return "No answer";
    case "invalid_argument":
      return "The query was refused";
    default:
      return "The query failed";
  }
}
