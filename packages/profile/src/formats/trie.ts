/**
 * Pyroscope's `trie`: nodes in pre-order (binary-nodes.ts), whose names put together from the root spell folded stacks. A name may end
 * anywhere, in the middle of a frame or of a character too.
 *
 *   "" ─ "main;" (0) ┬ "work" (3)      main;work 3
 *                    └ "idle" (1)      main;idle 1
 *
 * Each node keeps the stack of the frames that are whole, and the bytes of the one that is not. A body whose names spell much more than it
 * holds is refused: SPELLED_BYTES_MAX.
 */
import { malformed } from "../labels/refusal.ts";
import type { AppProfile } from "../text/folded.ts";
import { walkNodes } from "./binary-nodes.ts";
import type { FormatBody, FormatContext } from "./format.ts";
import { FrameNames } from "./frame-names.ts";
import { pprofOfCounts, StackCounts } from "./stack-counts.ts";
import { ROOT, StackTree } from "./stack-tree.ts";
import type { StackNode } from "./stack-tree.ts";

export interface TrieForm {
  readonly profile: AppProfile;
}

interface Spelled {
  /** Frames that are whole. */
  readonly stack: StackNode;
  /** The beginning of the next one. */
  readonly rest: Uint8Array;
}

/** Real tries spell the end of a frame for each node that ends it or begins with it: a few times their size. */
const SPELLED_BYTES_MAX = 32 * 2 ** 20;

export function readTrie(body: Uint8Array, { profile }: TrieForm, { labels, limits }: FormatContext): FormatBody {
  const tree = new StackTree(limits);
  const names = new FrameNames();
  const counts = new StackCounts(limits);
  let spelledBytes = 0;
  const spell = (bytes: number): void => {
    spelledBytes += bytes;
    if (spelledBytes > SPELLED_BYTES_MAX) throw malformed(`the names of the trie spell more than ${SPELLED_BYTES_MAX} bytes: send format=tree, or fewer stacks at once`);
  };
  const joined = (begun: Uint8Array, more: Uint8Array): Uint8Array => {
    if (begun.length === 0) return more;
    if (more.length === 0) return begun;
    spell(begun.length + more.length);
    return Buffer.concat([begun, more]);
  };
  const endFrame = (stack: StackNode, name: Uint8Array): StackNode => {
    if (name.length === 0) return stack; // an empty frame is none, as in folded text
    spell(name.length);
    return tree.child(stack, names.numberOf(name));
  };
  walkNodes<Spelled>(body, { stack: ROOT, rest: new Uint8Array(0) }, ({ name, value }, above) => {
    let { stack, rest } = above;
    let from = 0;
    for (let end = name.indexOf(SEMICOLON); end >= 0; end = name.indexOf(SEMICOLON, from)) {
      stack = endFrame(stack, joined(rest, name.subarray(from, end)));
      rest = name.subarray(0, 0);
      from = end + 1;
    }
    rest = joined(rest, name.subarray(from));
    if (value !== 0) counts.add(endFrame(stack, rest), value);
    return { stack, rest };
  });
  return { profiles: [{ pprof: pprofOfCounts(tree, counts, (frame) => ({ name: names.nameOf(frame) }), profile, limits), labels }] };
}

const SEMICOLON = 0x3b;
