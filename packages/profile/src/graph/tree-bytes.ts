/**
 * Pyroscope's tree bytes (`PROFILE_FORMAT_TREE`): names and selfs, depth first; totals are the reader's to add up.
 *
 *   node: uvarint length of the name, name, uvarint self, uvarint number of children, then each child's node
 *
 * The first node is a root without name. The last child comes first, so "other", where there is one, leads. A tree of nothing is
 * no bytes at all.
 */
import { ByteReader, ByteWriter, encodeUtf8 } from "@pyromesh/base";
import type { PrunedBar } from "./flame-graph.ts";
import { pruneNames } from "./flame-graph.ts";
import { NameNodes } from "./name-tree.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { Saturation, SumColumn } from "../model/sums.ts";

/** `maxNodes` below 1 keeps everything. Selfs are limited to int64. */
export function encodeTree(tree: NameTree, maxNodes: number): { readonly bytes: Uint8Array; readonly isSaturated: boolean } {
  const pruned = pruneNames(tree, maxNodes);
  const writer = new ByteWriter(4096);
  const saturation = new Saturation();
  saturation.hold(pruned.root.total);
  if (pruned.root.total === 0) return { bytes: writer.finish(), isSaturated: false };
  const nameBytes = new Map<string, Uint8Array>();
  const stack: PrunedBar[] = [pruned.root];
  while (stack.length > 0) {
    const bar = stack.pop()!;
    let name = nameBytes.get(bar.name);
    if (name === undefined) {
      name = encodeUtf8(bar.name);
      nameBytes.set(bar.name, name);
    }
    const children = pruned.childrenOf(bar);
    writer.prefixed(name).uvarint64(BigInt(saturation.hold(bar.self))).uvarint(children.length);
    for (const child of children) stack.push(child);
  }
  return { bytes: writer.finish(), isSaturated: saturation.isSaturated };
}

/** Reads what `encodeTree` or another writer of the format made. Throws `CORRUPTION` on anything else. */
export function decodeTree(bytes: Uint8Array): NameTree {
  const nodes = new NameNodes();
  const self = new SumColumn(1);
  if (bytes.length === 0) return nodes.treeWith(self);
  const reader = new ByteReader(bytes, "tree bytes");
  const parents: number[] = [];
  const lefts: number[] = [];
  let isRoot = true;
  for (;;) {
    const name = reader.text();
    const value = reader.uvarint64();
    const childCount = reader.uvarint();
    // A node takes 3 bytes or more: a count that is too large is refused here, before it is used.
    if (childCount * 3 > reader.remaining) reader.fail(`room for ${childCount} children`, `${reader.remaining} bytes`);
    const node = isRoot ? 0 : nodes.child(parents.at(-1)!, nodes.name(name));
    isRoot = false;
    self.grow(nodes.nodeCount);
    self.raise(value);
    self.addBig(node, value);
    parents.push(node);
    lefts.push(childCount);
    while (lefts.length > 0 && lefts.at(-1) === 0) {
      lefts.pop();
      parents.pop();
    }
    if (lefts.length === 0) break;
    lefts[lefts.length - 1]!--;
  }
  if (reader.remaining > 0) reader.fail("the end", `${reader.remaining} more bytes`);
  return nodes.treeWith(self);
}
