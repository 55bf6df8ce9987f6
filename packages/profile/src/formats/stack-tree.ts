/**
 * The stacks of a body as a prefix tree, in columns: a node for each stack, with the node of the stack below its last frame. Readers of
 * formats add stacks in the order in which they come, and `pprof` prints those that have a value.
 *
 *   main;work 3, main 1      node 0: no frame    node 1: main (parent 0)    node 2: work (parent 1)
 *
 * What must stay true: a node is as far from the root as `depthMax` at most. A deeper stack keeps its root side, as in a pprof
 * (labels/limits.ts), so the way from a node to the root is short. A node takes some 24 bytes and is made by bytes of the body: its size
 * bounds how many there are.
 */
import type { CodedError } from "@pyromesh/base";
import { orUnbounded, pprofSizeBytesMax, tooManySamples } from "../labels/limits.ts";
import type { ProfileLimits } from "../labels/limits.ts";
import { malformed, refusal } from "../labels/refusal.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import type { PprofHead } from "../pprof/pprof-write.ts";

/** A stack, by number. */
export type StackNode = number;

/** The stack without frames. */
export const ROOT: StackNode = 0;

/** Frames are numbers below this; what they stand for is known to the reader. */
export const FRAME_COUNT_MAX: number = 2 ** 24;

export interface StackFrame {
  readonly name: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
}

export class StackTree {
  readonly #depthMax: number;
  #count = 1;
  #parents = new Int32Array(NODES_MIN);
  #frames = new Int32Array(NODES_MIN);
  #depths = new Int32Array(NODES_MIN);
  /** Open addressing: a node's number, or 0 where there is none. Twice as long as the columns. */
  #table = new Int32Array(2 * NODES_MIN);

  constructor({ stacktraceDepthMax }: Pick<ProfileLimits, "stacktraceDepthMax">) {
    this.#depthMax = orUnbounded(stacktraceDepthMax);
  }

  /** The stack with one frame more. */
  child(parent: StackNode, frame: number): StackNode {
    const depth = this.#depths[parent]! + 1;
    if (depth > this.#depthMax) return parent;
    let slot = this.#slotOf(parent, frame);
    const found = this.#table[slot]!;
    if (found !== 0) return found;
    if (this.#count === this.#parents.length) {
      this.#grow();
      slot = this.#slotOf(parent, frame);
    }
    const node = this.#count++;
    this.#parents[node] = parent;
    this.#frames[node] = frame;
    this.#depths[node] = depth;
    this.#table[slot] = node;
    return node;
  }

  /** False where the stack is as deep as one may be: a frame more changes nothing. */
  takesFrame(stack: StackNode): boolean {
    return this.#depths[stack]! < this.#depthMax;
  }

  /** From the leaf to the root. */
  framesOf(node: StackNode): number[] {
    const frames: number[] = [];
    for (let at = node; at !== ROOT; at = this.#parents[at]!) frames.push(this.#frames[at]!);
    return frames;
  }

  #grow(): void {
    const length = 2 * this.#parents.length;
    this.#parents = grown(this.#parents, length);
    this.#frames = grown(this.#frames, length);
    this.#depths = grown(this.#depths, length);
    this.#table = new Int32Array(2 * length);
    for (let node = 1; node < this.#count; node++) this.#table[this.#slotOf(this.#parents[node]!, this.#frames[node]!)] = node;
  }

  /** Where the node is, or where it belongs. */
  #slotOf(parent: StackNode, frame: number): number {
    const mask = this.#table.length - 1;
    const first = hashOf(parent, frame);
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = (first + probe) & mask;
      const node = this.#table[slot]!;
      if (node === 0 || (this.#parents[node] === parent && this.#frames[node] === frame)) return slot;
    }
    throw malformed("the stacks of the body were made to slow this node down: send those of a profiler");
  }
}

/** Values of stacks, by node. */
export type StackValues = ReadonlyMap<StackNode, bigint>;

/** Prints the stacks that have a value. Throws a refusal where they are beyond the limits of a profile. */
export function pprofOfStacks(tree: StackTree, values: StackValues, frameOf: (frame: number) => StackFrame, head: PprofHead, limits: ProfileLimits): Uint8Array {
  const writer = new PprofWriter(head);
  const sizeBytesMax = pprofSizeBytesMax(limits);
  const sampleCountMax = orUnbounded(limits.sampleCountMax);
  const ids = new Map<number, number>(); // location by frame
  let sampleCount = 0;
  for (const [node, value] of values) {
    if (value === 0n) continue; // it holds nothing, but would count as a sample
    if (BigInt.asIntN(64, value) !== value) throw beyond64Bits();
    if (++sampleCount > sampleCountMax) throw tooManySamples(sampleCountMax);
    const locations = tree.framesOf(node).map((frame) => {
      let id = ids.get(frame);
      if (id !== undefined) return id;
      const { name, file, line } = frameOf(frame);
      ids.set(frame, (id = writer.frame(name, file, line)));
      return id;
    });
    writer.sample(locations, [value]);
    if (writer.sizeBytes > sizeBytesMax) {
      throw refusal("profile_size_limit", `the stacks of the profile, each with its frames, take more than ${sizeBytesMax} bytes as pprof: profile for a shorter time, or raise limits.max_profile_size_bytes`);
    }
  }
  return writer.finish();
}

export function beyond64Bits(): CodedError {
  return malformed("the values of a stack are beyond 64 bits, by themselves or together: send smaller ones");
}

/** Small: a body may hold hundreds of profiles. A power of two. */
const NODES_MIN = 64;

/**
 * The hash has no secret: who knows it can make stacks that collide. A table that is half empty has a handful of neighbours in a row, a
 * million stacks of a real profile some thirty.
 */
const PROBES_MAX = 256;

function hashOf(parent: StackNode, frame: number): number {
  let hash = Math.imul(parent, 0x9e3779b1) ^ Math.imul(frame, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

function grown(column: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(length);
  longer.set(column);
  return longer;
}
