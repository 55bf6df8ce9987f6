/**
 * V8's garbage collector, at once. V8 counts memory that lies outside of its heap, and lets tens of megabytes of it come together before it collects:
 * after large buffers that were used for a moment that doubles what they take.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** `minor`: only what is young, which takes a few milliseconds; without it all, which takes some 0.1 s for 500 MB that are alive. Memory outside of the heap is freed beside the thread, and leaves V8's count at the next collection. */
export type GarbageCollector = (options?: { readonly type: "minor" }) => void;

/** For the thread that calls. */
export function garbageCollector(): GarbageCollector {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as GarbageCollector; // the flag just set defines it in every new context
}
