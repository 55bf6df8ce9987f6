/** Interns stacktraces into one prefix tree: the child of a node at a location always has the same id, which is above its parent's. */
import { grown } from "../model/scratch.ts";
import type { StacktraceTree } from "../model/stacktrace-tree.ts";
import { mix } from "./symbol-interner.ts";

export class StacktraceInterner implements StacktraceTree {
  /** Node 0 is the root. */
  nodeCount = 1;
  nodeParent: Uint32Array = new Uint32Array(1 << 10);
  nodeLocation: Uint32Array = new Uint32Array(1 << 10);
  /** By node: the child that was asked for last. Most nodes have only one. */
  #lastChild: Uint32Array = new Uint32Array(1 << 10);
  #slots = new Uint32Array(1 << 11);

  child(parent: number, location: number): number {
    const guess = this.#lastChild[parent]!;
    if (guess !== 0 && this.nodeLocation[guess] === location) return guess;
    return (this.#lastChild[parent] = this.#find(parent, location));
  }

  #find(parent: number, location: number): number {
    const mask = this.#slots.length - 1;
    let slot = nodeHash(parent, location) & mask;
    let id = 0;
    while ((id = this.#slots[slot]!) !== 0) {
      if (this.nodeParent[id] === parent && this.nodeLocation[id] === location) return id;
      slot = (slot + 1) & mask;
    }
    id = this.nodeCount++;
    this.nodeParent = grown(this.nodeParent, id + 1);
    this.nodeLocation = grown(this.nodeLocation, id + 1);
    this.#lastChild = grown(this.#lastChild, id + 1);
    this.nodeParent[id] = parent;
    this.nodeLocation[id] = location;
    this.#slots[slot] = id;
    if (this.nodeCount * 2 > this.#slots.length) this.#rehash();
    return id;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let id = 1; id < this.nodeCount; id++) {
      let slot = nodeHash(this.nodeParent[id]!, this.nodeLocation[id]!) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.#slots = slots;
  }
}

function nodeHash(parent: number, location: number): number {
  return mix(Math.imul(parent, 0x9e3779b1) ^ location);
}
