/** Shown in place of a flame graph, or beside it: what the answer was made of, an error in the server's own words, or that nothing was found and where to look. */
import type { JSX } from "preact";
import { QuerierError } from "../client.ts";
import type { Receipt, StoreStats } from "../client.ts";
import { formatFullMoment } from "../model/local-time.ts";
import type { TimeRange } from "../model/time-range.ts";
import { useWatch } from "./use-watch.ts";

interface ErrorNoteProps {
  readonly error: Error;
  readonly onRetry: () => void;
  readonly onPartial: () => void;
}

export function ErrorNote({ error, onRetry, onPartial }: ErrorNoteProps): JSX.Element {
  const code = error instanceof QuerierError ? error.code : "page";
  const canBePartial = error instanceof QuerierError && error.canBePartial;
  return (
    <div class="notice failed" role="alert">
      <h2>{canBePartial ? "The answer would not be complete" : titleOf(code)}</h2>
      <p class="sentence">{error.message}</p>
      {code === "unauthenticated" ? <p>Write a tenant into the field above.</p> : null}
      {canBePartial ? <p>Some of what was asked for cannot be read. What is there can be shown without it: its sums may then be too small.</p> : null}
      <p>
        {canBePartial ? (
          <button type="button" class="button first" onClick={onPartial}>
            Show what is there
          </button>
        ) : null}
        <button type="button" class="button" onClick={onRetry}>
          Try again
        </button>
        <span class="code-name">{code}</span>
      </p>
    </div>
  );
}

/** Shown above a partial answer, so that nobody takes it for a complete one. */
export function MissingNote({ missing, onWhole }: { readonly missing: readonly string[]; readonly onWhole: () => void }): JSX.Element {
  return (
    <div class="missing" role="status">
      <div class="missing-words">
        <strong>Not everything is here: sums may be too small.</strong> The node could not read
        <ul>
          {missing.map((one) => (
            <li key={one}>{one}</li>
          ))}
        </ul>
      </div>
      <button type="button" class="button" onClick={onWhole}>
        Whole answers only
      </button>
    </div>
  );
}

/** What the graph was made of. The sum of the identities is the same from every node. */
export function ReceiptLine({ receipt }: { readonly receipt: Receipt }): JSX.Element {
  const { recordCount, objectCount, storeCount, nodes, identitySum } = receipt;
  return (
    <footer class="receipt" title={`Sum of the records' identities: ${identitySum}. Every node gives the same for the same query.`}>
      {counted(recordCount, "profile")} from {counted(objectCount, "object")} of the bucket and {nodes.length === 0 ? counted(storeCount, "node") : nodes.join(", ")}
    </footer>
  );
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

const JUMP_MS = 15 * 60_000;

interface NothingInRangeProps {
  readonly stats: StoreStats;
  readonly onRange: (range: TimeRange) => void;
  readonly onLook: () => void;
}

export function NothingInRange({ stats, onRange, onLook }: NothingInRangeProps): JSX.Element {
  useWatch(onLook); // data may come at any moment, also between the two queries
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
