/**
 * The prefix tree of one push, built by the kernel while samples are decoded (../kernel/walk.ts).
 * Node 0 is the root; nodes are numbered as they are first walked, so a parent is below its children.
 */
import type { PprofKernel } from "./pprof-kernel.ts";
import type { StacktraceTree } from "../model/stacktrace-tree.ts";

export class StacktraceWalk implements StacktraceTree {
  readonly #kernel: PprofKernel;
  readonly nodeParent: Uint32Array;
  readonly nodeLocation: Uint32Array;

  constructor(kernel: PprofKernel) {
    this.#kernel = kernel;
    this.nodeParent = kernel.memory.columns.nodeParent;
    this.nodeLocation = kernel.memory.columns.nodeLocation;
  }

  get nodeCount(): number {
    return this.#kernel.nodeCount;
  }

  /** The child at a location, by the push's own id; made where there is none, 0 where there is no room. Not to be called once `normalize` has replaced ids by indexes. */
  childAt(parent: number, location: number): number {
    return this.#kernel.childAt(parent, location);
  }

  /** The child at a location, or 0 where there is none. */
  findChild(parent: number, location: number): number {
    return this.#kernel.findChild(parent, location);
  }
}
