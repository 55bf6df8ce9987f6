/**
 * Pyroscope's `tree`: nodes in pre-order (binary-nodes.ts), each with the name of a frame and its own value. The first node is the root and
 * stands for no frame, whatever its name: its value is of stacks without frames.
 *
 *   root ─ main (0) ┬ work (3)      main;work 3
 *                   └ idle (1)      main;idle 1
 *
 * As in Pyroscope, names are no longer than max_profile_symbol_value_length and children no more than max_profile_stacktrace_samples.
 */
import { orUnbounded } from "../labels/limits.ts";
import { malformed, refusal } from "../labels/refusal.ts";
import type { AppProfile } from "../text/folded.ts";
import { walkNodes } from "./binary-nodes.ts";
import type { FormatBody, FormatContext } from "./format.ts";
import { FrameNames } from "./frame-names.ts";
import { pprofOfCounts, StackCounts } from "./stack-counts.ts";
import { ROOT, StackTree } from "./stack-tree.ts";

export interface TreeForm {
  readonly profile: AppProfile;
}

export function readTree(body: Uint8Array, { profile }: TreeForm, { labels, limits }: FormatContext): FormatBody {
  const tree = new StackTree(limits);
  const names = new FrameNames();
  const counts = new StackCounts(limits);
  const nameBytesMax = orUnbounded(limits.symbolLengthBytesMax);
  const childCountMax = orUnbounded(limits.sampleCountMax);
  walkNodes<number>(body, NONE, ({ name, value, childCount }, parent) => {
    if (name.length > nameBytesMax) throw malformed(`a name has ${name.length} bytes and may have ${nameBytesMax}: shorten it, or raise limits.max_profile_symbol_value_length`);
    if (childCount > childCountMax) throw refusal("samples_limit", `a node has ${childCount} children and may have ${childCountMax}: profile for a shorter time, or raise limits.max_profile_stacktrace_samples`);
    // A frame without a name is none, as in folded text.
    const node = parent === NONE ? ROOT : name.length === 0 ? parent : tree.child(parent, names.numberOf(name));
    if (value !== 0) counts.add(node, value);
    return node;
  });
  return { profiles: [{ pprof: pprofOfCounts(tree, counts, (frame) => ({ name: names.nameOf(frame) }), profile, limits), labels }] };
}

/** The parent of the first node. */
const NONE = -1;
