/** What the samples of a segment's rows point into: the stacktraces by location, or the same ones by function name. */
import type { StacktraceTree, Symbols } from "@pyromesh/profile";

export interface Frames {
  readonly symbols: Symbols;
  readonly tree: StacktraceTree;
  /** The node of each stack that SAMPLES counts by. */
  readonly stacks: Uint32Array;
}
