/**
 * Logs refused requests, a bounded number of lines per minute. The first refusal of a tenant and reason is logged at once. Those of each
 * following minute are counted and logged as one line, until a minute has none. A client that is refused a thousand times a second causes
 * two lines in the first minute.
 *
 *   {"level":"warn","tenant":"team-a","reason":"series_limit","count":1834,"status":429,"route":"/ingest","example":"...","msg":"requests were refused"}
 *
 * What must stay true: the only text of a client in a line is its tenant, which has been validated. An error message quotes what the
 * client sent, so quoted text is removed (`withoutQuotes`).
 */
import { CodedError } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";
import { discardReason } from "../write/discards.ts";
import { OTHER_TENANTS } from "../ports/tenant-labels.ts";

export interface Refusal {
  /** "" where the tenant is not known. */
  readonly tenant: string;
  readonly reason: string;
  /** The data of the request is lost unless the client sends it again, or the node failed. Such a refusal is logged as a warning. */
  readonly isLoss: boolean;
  readonly status: number | undefined;
  /** The route's name in metrics. */
  readonly route: string;
  /** The message of the error. */
  readonly message: string;
}

interface Pair {
  readonly tenant: string;
  readonly reason: string;
  /** Refusals since its last line. */
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

  /** Logs what was counted since the last lines. */
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
/**
 * Pairs of tenant and reason that had a refusal within the last minute. At the bound all further ones share one line a minute, named
 * `OTHERS`.
 */
const PAIR_COUNT_MAX = 100;
const OTHERS = OTHER_TENANTS;

/** The reason: for a write the label value of the metrics of discarded profiles, else the error's code, else its status. */
export function refusalReason(error: unknown, status: number, isWrite: boolean): string {
  if (!(error instanceof CodedError)) return `http_${status}`;
  // A push of several profiles is refused with the worst of its errors as cause.
  const worst = error.code === "PUSH_REFUSED" && error.cause instanceof CodedError ? error.cause : error;
  return isWrite || typeof worst.details["reason"] === "string" ? discardReason(worst) : worst.code.toLowerCase();
}

/**
 * Removes what an error message quotes or puts in braces, since a client may have sent it. The result has one line and a bounded length.
 * The removed part reaches from the first quote or brace to the last, as quoted text may contain quotes.
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
