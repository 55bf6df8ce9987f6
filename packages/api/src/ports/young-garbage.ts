/**
 * Collects what is young and that nothing refers to any more. V8 counts memory that lies outside of its heap, and lets tens of megabytes of it come together
 * before it collects: after large buffers that were used for a moment that doubles what they take.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** For the thread that calls. A collection takes a few milliseconds of it. */
export function youngCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { readonly type: "minor" }) => void; // the flag just set defines it in every new context
  return () => collect({ type: "minor" });
}
