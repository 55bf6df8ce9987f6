/** How large the regular expressions of one request may be, together. Each is charged before it is compiled. */
import { invalidArgument } from "@pyromesh/base";
import { regexCost } from "./regex-cost.ts";

/**
 * Instructions, by the estimate of regex-cost.ts. An expression of this cost is checked in 2 ms, compiled in 5 ms, and at its worst matched
 * against a value of 2048 bytes in 400 ms (Node 20, 2 cores; the last two in a worker). Go's and Prometheus' own have no such bound.
 */
export const REGEX_COST_MAX = 2048;

export class RegexBudget {
  readonly #costMax: number;
  #left: number;

  constructor(costMax: number = REGEX_COST_MAX) {
    this.#costMax = costMax;
    this.#left = costMax;
  }

  /** Returns the cost. `label` names the matcher, with its operator. Throws `REGEX_TOO_LARGE`. */
  take(pattern: string, label: string): number {
    const cost = regexCost(pattern, this.#left);
    if (cost > this.#left) {
      const others = this.#left < this.#costMax ? `, of which the ones before it took ${this.#costMax - this.#left}` : "";
      throw invalidArgument(
        "REGEX_TOO_LARGE",
        `the regular expression of ${label}${quote(pattern)} is too large: all of a request may compile to ${this.#costMax} instructions together${others}: ` +
          "use fewer repetitions and smaller counts, or alternatives of plain text (a|b|c), which are not counted",
      );
    }
    this.#left -= cost;
    return cost;
  }
}

function quote(pattern: string): string {
  return JSON.stringify(pattern.length > 60 ? `${pattern.slice(0, 60)}...` : pattern);
}
