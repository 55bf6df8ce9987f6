/** `POST /flush` in a cluster: every member that lives brings to the bucket what it holds, takeovers included. What was accepted anywhere before is in the bucket then. */
import { CodedError, messageOf } from "@pyromesh/base";
import { openFlushAnswer, openFlushRequest, packFlushAnswer, packFlushRequest } from "../cluster/flush-message.ts";
import type { FlushAnswer } from "../cluster/flush-message.ts";
import type { Cluster } from "../cluster/ports.ts";
import type { StoreFlush } from "./store-flush.ts";

export interface ClusterFlushModules {
  readonly cluster: Pick<Cluster, "peers" | "view">;
  readonly storeFlush: Pick<StoreFlush, "flush">;
}

/** How much longer than a member a caller waits for its answer. */
const ANSWER_MS = 1_000;

export class ClusterFlush {
  readonly #modules: ClusterFlushModules;

  constructor(modules: ClusterFlushModules) {
    this.#modules = modules;
  }

  serve(): void {
    const { cluster, storeFlush } = this.#modules;
    cluster.peers.handle("flush", async (_, body, signal) => packFlushAnswer(await storeFlush.flush(openFlushRequest(body).timeoutMs, signal)));
  }

  /** Rejects FLUSH_TIMEOUT (503), naming what stays and at which member. What was asked of the others goes on. */
  async flush(timeoutMs: number, signal: AbortSignal): Promise<FlushAnswer> {
    const { cluster, storeFlush } = this.#modules;
    const { members, self } = cluster.view;
    // A dead one cannot be asked: what it had is with others, who take it over.
    const others = members.filter(({ name, state }) => name !== self.name && state !== "dead");
    const asked: readonly { readonly name: string; readonly answer: Promise<FlushAnswer> }[] = [
      { name: self.name, answer: storeFlush.flush(timeoutMs, signal) },
      ...others.map(({ name }) => ({ name, answer: cluster.peers.request(name, "flush", packFlushRequest({ timeoutMs }), { timeoutMs: timeoutMs + ANSWER_MS, signal }).then(openFlushAnswer) })),
    ];
    const outcomes = await Promise.allSettled(asked.map(({ answer }) => answer));
    signal.throwIfAborted();
    const failures = outcomes.flatMap((outcome, index) => (outcome.status === "rejected" ? [`${asked[index]!.name}: ${messageOf(outcome.reason)}`] : []));
    if (failures.length > 0) {
      throw new CodedError({ code: "FLUSH_TIMEOUT", kind: "unavailable", message: `${failures.length} of ${asked.length} members have not brought all to the bucket: ${failures.join(" | ")}`, details: { timeoutMs } });
    }
    return outcomes.reduce(
      (sum, outcome) => (outcome.status === "fulfilled" ? { segmentCount: sum.segmentCount + outcome.value.segmentCount, bytes: sum.bytes + outcome.value.bytes } : sum),
      { segmentCount: 0, bytes: 0 },
    );
  }
}
