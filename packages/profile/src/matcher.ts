/** Selectors: `{service_name="api", zone=~"eu.*"}`, Prometheus' own, with a linear-time regular expression engine. */

export interface Matcher {
  readonly name: string;
  readonly operator: "=" | "!=" | "=~" | "!~";
  readonly value: string;
  /** True when a series whose label `name` is `value` ("" when absent) matches. */
  readonly matches: (value: string) => boolean;
}
