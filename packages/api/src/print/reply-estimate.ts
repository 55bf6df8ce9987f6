/**
 * Estimates the size of a reply from its request, so that memory can be reserved before it is built. Only the order of magnitude is
 * right.
 */

/** The four numbers of a node take some 40 bytes in JSON, and its name, which several nodes share, as much again. Other forms take less. */
const NODE_BYTES = 64;

/** For a request that names no number of nodes: the default of `max_flamegraph_nodes_default`. */
const NODES_DEFAULT = 8192;

/** For a flame graph, a tree, or a diff of two graphs. */
export function estimateGraphBytes(...maxNodes: readonly (number | bigint | undefined)[]): number {
  const nodes = Math.max(...maxNodes.map((asked) => Number(asked ?? 0) || NODES_DEFAULT));
  return Math.max(0, nodes) * NODE_BYTES;
}
