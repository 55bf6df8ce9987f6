/**
 * Name trees: stacktraces by function name, merged. Two children of one node never share a name, and a parent's id is
 * below its children's. Children are found by a hash of (parent, name). Nothing is recursive, so deep trees need no stack.
 */
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import type { Int64 } from "../model/results.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { SumColumn } from "../model/sums.ts";

/** Merges any number of name trees exactly. */
export class NameTreeBuilder {
  readonly #nodes = new NameNodes();
  readonly #self = new SumColumn(1);

  /** After an interrupt the builder must not be used. */
  add(tree: NameTree, interrupt: Interrupt = UNINTERRUPTED): void {
    const target = this.#nodes.place(tree, interrupt);
    this.#self.grow(this.#nodes.nodeCount);
    this.#self.addAll(tree.self, tree.nodeCount, target);
  }

  /** Adds one stacktrace, root first. */
  addStacktrace(names: readonly string[], value: Int64): void {
    let node = 0;
    for (const name of names) node = this.#nodes.child(node, this.#nodes.name(name));
    this.#self.grow(this.#nodes.nodeCount);
    this.#self.raise(value);
    this.#self.addInt64(node, value);
  }

  /** Shares its columns with the builder, so nothing may be added afterwards. */
  result(): NameTree {
    return this.#nodes.treeWith(this.#self);
  }
}

/** The nodes of merged name trees, without values, so that several columns of values can share them. */
export class NameNodes {
  nodeCount = 1;
  nodeParent: Uint32Array = new Uint32Array(64);
  nodeName: Uint32Array = new Uint32Array(64);
  readonly names: string[] = [""];
  readonly #nameIds = new Map<string, number>([["", 0]]);
  /** Hash table with open addressing. 0 is an empty slot, since the root is no node's child. */
  #slots: Uint32Array = new Uint32Array(256);

  name(text: string): number {
    let id = this.#nameIds.get(text);
    if (id === undefined) {
      id = this.names.push(text) - 1;
      this.#nameIds.set(text, id);
    }
    return id;
  }

  /** The child of `parent` with this name; a new one where there is none. */
  child(parent: number, name: number): number {
    const mask = this.#slots.length - 1;
    let slot = hashOf(parent, name) & mask;
    for (;;) {
      const node = this.#slots[slot]!;
      if (node === 0) break;
      if (this.nodeParent[node] === parent && this.nodeName[node] === name) return node;
      slot = (slot + 1) & mask;
    }
    const node = this.nodeCount++;
    if (node === this.nodeParent.length) {
      this.nodeParent = doubled(this.nodeParent);
      this.nodeName = doubled(this.nodeName);
    }
    this.nodeParent[node] = parent;
    this.nodeName[node] = name;
    this.#slots[slot] = node;
    if (this.nodeCount * 2 > this.#slots.length) this.#rehash();
    return node;
  }

  /** Adds every node of `tree`. Returns the node that each became. */
  place(tree: NameTree, interrupt: Interrupt = UNINTERRUPTED): Uint32Array {
    const nameOf = new Uint32Array(tree.names.length);
    for (let i = 0; i < tree.names.length; i++) {
      interrupt.at(i);
      nameOf[i] = this.name(tree.names[i]!);
    }
    const target = new Uint32Array(tree.nodeCount);
    for (let node = 1; node < tree.nodeCount; node++) {
      interrupt.after(1);
      target[node] = this.child(target[tree.nodeParent[node]!]!, nameOf[tree.nodeName[node]!]!);
    }
    return target;
  }

  treeWith(self: SumColumn): NameTree {
    self.grow(this.nodeCount);
    return { nodeCount: this.nodeCount, nodeParent: this.nodeParent, nodeName: this.nodeName, self: self.view(), names: this.names };
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let node = 1; node < this.nodeCount; node++) {
      let slot = hashOf(this.nodeParent[node]!, this.nodeName[node]!) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = node;
    }
    this.#slots = slots;
  }
}

/** The children of each node in the order of ids: those of i are child[start[i]] .. child[start[i + 1] - 1]. */
export interface ChildLists {
  readonly start: Uint32Array;
  readonly child: Uint32Array;
}

export function childLists(nodeParent: Uint32Array, nodeCount: number): ChildLists {
  const start = new Uint32Array(nodeCount + 1);
  for (let node = 1; node < nodeCount; node++) start[nodeParent[node]! + 1]!++;
  for (let node = 0; node < nodeCount; node++) start[node + 1]! += start[node]!;
  const child = new Uint32Array(Math.max(0, nodeCount - 1));
  const next = start.slice();
  for (let node = 1; node < nodeCount; node++) child[next[nodeParent[node]!]!++] = node;
  return { start, child };
}

function hashOf(parent: number, name: number): number {
  let hash = Math.imul(parent, 0x9e3779b1) ^ Math.imul(name, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function doubled(array: Uint32Array): Uint32Array {
  const grown = new Uint32Array(array.length * 2);
  grown.set(array);
  return grown;
}
