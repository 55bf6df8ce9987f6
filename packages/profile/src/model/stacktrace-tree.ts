/**
 * Stacktraces as a prefix tree in columns: node 0 is the root (no frame), a parent's id is below its children's, so one
 * pass from the back adds up totals. A stacktrace is the id of its leaf node.
 */

/**
 * The frame under which answers show samples without a stacktrace. In a tree they lie at the root, whose own value neither a flame graph
 * nor pprof can show, though time series count it.
 */
export const NO_STACKTRACE = "[no stacktrace]";

/** A tree over locations of a symbol table. Arrays may be longer than nodeCount. */
export interface StacktraceTree {
  readonly nodeCount: number;
  readonly nodeParent: Uint32Array;
  readonly nodeLocation: Uint32Array;
}

/**
 * Exact whole-number sums by index. `low` alone holds them while every sum is below 2^53; past that bound the true value
 * is high[i] * 2^32 + low[i].
 */
export interface Sums {
  readonly low: Float64Array;
  readonly high: Float64Array | undefined;
}

/** A merged flame graph before truncation: function names only. names[0] is "" (the root's). Parent id < child id. */
export interface NameTree {
  readonly nodeCount: number;
  readonly nodeParent: Uint32Array;
  /** Index into `names`. */
  readonly nodeName: Uint32Array;
  /** Self value per node. */
  readonly self: Sums;
  readonly names: readonly string[];
}

/** A merged pprof before encoding: a location tree with its symbols. */
export interface LocationTree {
  readonly tree: StacktraceTree;
  readonly self: Sums;
  readonly symbols: Symbols;
}

import type { Symbols } from "./symbol-table.ts";
