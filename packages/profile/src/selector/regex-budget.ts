/** How large the regular expressions of one request may be, together. Each is charged before it is compiled: one that does not fit is refused. */
import { invalidArgument } from "@pyromesh/base";
import { regexCharge } from "./regex-cost.ts";

/**
 * Instructions, by the charge of regex-cost.ts. An expression of this charge, none of it leading text, is checked in 2 ms, compiled in 5 ms,
 * and at its worst matched against a value of 2048 bytes in 400 ms (Node 20, 2 cores; the last two in a worker). Go's engine and Prometheus
 * have no such bound.
 */
export const REGEX_COST_MAX = 2048;

export class RegexBudget {
  readonly #costMax: number;
  #left: number;

  constructor(costMax: number = REGEX_COST_MAX) {
    this.#costMax = costMax;
    this.#left = costMax;
  }

  /** Returns the charge. `label` names the matcher, with its operator. Throws `REGEX_TOO_LARGE`. */
  take(pattern: string, label: string): number {
    const charge = regexCharge(pattern, this.#left);
    if (charge > this.#left) {
      const others = this.#left < this.#costMax ? `, of which the ones before it took ${this.#costMax - this.#left}` : "";
      throw invalidArgument(
        "REGEX_TOO_LARGE",
        `the regular expression of ${label}${quote(pattern)} is too large: all of a request may compile to ${this.#costMax} instructions together${others}: ` +
          "use fewer repetitions and smaller counts, or alternatives of plain text (a|b|c), which are not counted",
      );
    }
    this.#left -= charge;
    return charge;
  }
}

function quote(pattern: string): string {
  return JSON.stringify(pattern.length > 60 ? `${pattern.slice(0, 60)}...` : pattern);
}
