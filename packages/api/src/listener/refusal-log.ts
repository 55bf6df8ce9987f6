/**
 * Refused requests in the log. The first of a tenant and reason is logged at once; those of the next minute are counted and make one
 * line, and so on each minute until a minute brings none. So a client that is refused a thousand times a second writes two lines.
 *
 *   {"level":"warn","tenant":"team-a","reason":"series_limit","count":1834,"status":429,"route":"/ingest","example":"...","msg":"requests were refused"}
 *
 * What must stay true: no line holds what a client sent but its tenant, which is checked, and words of a route's own: an error's
 * sentence quotes what it is about, and what stands in quotes or braces is left out (`withoutQuotes`).
 */
import { CodedError } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";
import { discardReason } from "../write/discards.ts";
import { OTHER_TENANTS } from "../ports/tenant-labels.ts";

export interface Refusal {
  /** "" where none is known yet. */
  readonly tenant: string;
  readonly reason: string;
  /** The request's data is lost unless it is sent again, or this node could not do what it should. */
  readonly isLoss: boolean;
  readonly status: number | undefined;
  /** As metrics name it. */
  readonly route: string;
  /** An error's sentence. */
  readonly message: string;
}

interface Pair {
  readonly tenant: string;
  readonly reason: string;
  /** Since its last line. */
  count: number;
  latest: Refusal;
  timer: Timer | undefined;
}

export class RefusalLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pairs = new Map<string, Pair>();

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
  }

  note(refusal: Refusal): void {
    const pair = this.#pairOf(refusal.tenant, refusal.reason, refusal);
    pair.latest = refusal;
    pair.count++;
    if (pair.timer === undefined) this.#print(pair);
  }

  /** Prints what was counted. */
  stop(): void {
    for (const pair of this.#pairs.values()) {
      pair.timer?.cancel();
      if (pair.count > 0) this.#print(pair);
      pair.timer?.cancel();
    }
    this.#pairs.clear();
  }

  #pairOf(tenant: string, reason: string, latest: Refusal): Pair {
    const key = `${tenant}\n${reason}`;
    const known = this.#pairs.get(key);
    if (known !== undefined) return known;
    if (this.#pairs.size >= PAIR_COUNT_MAX && reason !== OTHERS) return this.#pairOf(OTHERS, OTHERS, latest);
    const pair: Pair = { tenant, reason, count: 0, latest, timer: undefined };
    this.#pairs.set(key, pair);
    return pair;
  }

  #print(pair: Pair): void {
    const { tenant, reason, count, latest } = pair;
    const { isLoss, message, route, status } = latest;
    const fields = { tenant, reason, count, status, route, example: withoutQuotes(message) };
    if (isLoss) this.#logger.warn(LINE, fields);
    else this.#logger.info(LINE, fields);
    pair.count = 0;
    pair.timer = this.#clock.after(INTERVAL_MS, () => {
      if (pair.count > 0) this.#print(pair);
      else this.#pairs.delete(`${tenant}\n${reason}`);
    });
  }
}

const LINE = "requests were refused";
const INTERVAL_MS = 60_000;
/** Of tenants and reasons that had a refusal within the last minute. At the bound further ones share one line a minute, under `OTHERS`. */
const PAIR_COUNT_MAX = 100;
const OTHERS = OTHER_TENANTS;

/** Why it was refused: the reason that the metrics of discarded profiles name, else the error's code, else its status. */
export function refusalReason(error: unknown, status: number, isWrite: boolean): string {
  if (!(error instanceof CodedError)) return `http_${status}`;
  // A push of several profiles is refused for the worst of its reasons.
  const worst = error.code === "PUSH_REFUSED" && error.cause instanceof CodedError ? error.cause : error;
  return isWrite || typeof worst.details["reason"] === "string" ? discardReason(worst) : worst.code.toLowerCase();
}

/**
 * The sentence of an error without what it quotes or puts in braces, which may be what a client sent; on one line, of a bounded length.
 * From the first quote or brace to the last: what is quoted may hold quotes.
 */
export function withoutQuotes(message: string): string {
  return message
    .slice(0, 8 * LENGTH_MAX)
    .replace(/["`{].*["`}]|["`{].*$/s, "...")
    .replace(/'.{1,2}'/gu, "...")
    .replace(/[\0-\x1f\x7f]+/g, " ")
    .slice(0, LENGTH_MAX);
}

const LENGTH_MAX = 300;
