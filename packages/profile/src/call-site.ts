/** Call sites: the stacktraces that begin, at the root, with given function names. The others leave no trace in the answer. */
import { NameNodes } from "./name-tree.ts";
import type { NameTree } from "./stacktrace-tree.ts";
import { SumColumn, sumOf } from "./sums.ts";

/** The stacktraces of `tree` that begin with `callSite`, whole, from the root. An empty call site keeps everything. */
export function underCallSite(tree: NameTree, callSite: readonly string[]): NameTree {
  if (callSite.length === 0) return tree;
  // How many names of the call site the path to a node spells; -1 where it left it.
  const matched = new Int32Array(tree.nodeCount);
  const target = new Uint32Array(tree.nodeCount);
  const kept = new NameNodes();
  const self = new SumColumn(1);
  self.raise(sumOf(tree.self, tree.nodeCount));
  for (let node = 1; node < tree.nodeCount; node++) {
    const parent = tree.nodeParent[node]!;
    const before = matched[parent]!;
    const name = tree.names[tree.nodeName[node]!]!;
    const isStill = before === callSite.length || (before >= 0 && callSite[before] === name);
    matched[node] = isStill ? Math.min(before + 1, callSite.length) : -1;
    if (matched[node] !== callSite.length) continue;
    // The way down is made only once something at its end stays.
    if (before < callSite.length) target[parent] = pathTo(kept, callSite.slice(0, -1));
    target[node] = kept.child(target[parent]!, kept.name(name));
    self.grow(kept.nodeCount);
    self.addFrom(target[node]!, tree.self, node);
  }
  return kept.treeWith(self);
}

function pathTo(nodes: NameNodes, names: readonly string[]): number {
  let node = 0;
  for (const name of names) node = nodes.child(node, nodes.name(name));
  return node;
}
