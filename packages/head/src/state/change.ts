/**
 * A change of the head: what to write, and how memory follows once that is durable.
 *
 * Planned between two writes, from a state that nothing else changes until the change was applied or refused. `apply` must not throw:
 * the store holds the change by then.
 */
import type { StoreOp } from "../entries/store.ts";
import type { Probe } from "../store/store-writer.ts";

export interface Change {
  readonly ops: Iterable<StoreOp>;
  /** What to ask a store that was opened again after a refusal, to learn whether it holds the change. */
  readonly probe: Probe;
  readonly apply: () => void;
}
