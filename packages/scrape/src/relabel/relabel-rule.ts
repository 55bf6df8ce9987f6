/** A rule of `relabel_configs`, as it is written: plain data. `relabel.ts` compiles and applies it. */

export const RELABEL_ACTIONS = [
  "replace",
  "keep",
  "drop",
  "keepequal",
  "dropequal",
  "hashmod",
  "labelmap",
  "labeldrop",
  "labelkeep",
  "lowercase",
  "uppercase",
] as const;

export type RelabelAction = (typeof RELABEL_ACTIONS)[number];

export interface RelabelRule {
  readonly action: RelabelAction;
  readonly sourceLabels: readonly string[];
  /** Stands between the values of the source labels. */
  readonly separator: string;
  /** RE2 syntax. It must match the whole of the joined values (or of a label's name), and its dot matches line breaks. */
  readonly regex: string;
  /** An unsigned 64-bit number; 0 for all actions but hashmod. */
  readonly modulus: bigint;
  /** May hold `$1` and `${name}` with the action replace. */
  readonly targetLabel: string;
  readonly replacement: string;
}
