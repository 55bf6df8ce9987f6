/** How large a reply may become, from what was asked: for the room that is reserved before it is built. A guess that is right by its order. */

/** Four numbers of a node in JSON take some 40 bytes, and a name, which several nodes share, as much again. Other forms take less. */
const NODE_BYTES = 64;

/** Nodes of a request that names none: the default of `max_flamegraph_nodes_default`. */
const NODES_DEFAULT = 8192;

/** Of a flame graph, a tree, or a diff of two. */
export function foreseenGraphBytes(...maxNodes: readonly (number | bigint | undefined)[]): number {
  const nodes = Math.max(...maxNodes.map((asked) => Number(asked ?? 0) || NODES_DEFAULT));
  return Math.max(0, nodes) * NODE_BYTES;
}
