/**
 * `POST /flush` in a cluster: every member that lives brings to the bucket what it holds, takeovers included. What was accepted anywhere before is in the bucket then.
 *
 * A record whose push was answered may reach its rank 0 after that has cut its head for this flush. The other stores of the record wait until it is flushed, which would be
 * at rank 0's next cut by age. So all members are asked again, after pauses, until the first answers of all are there.
 */
import { CodedError, messageOf, retryDelayMs } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { openFlushAnswer, openFlushRequest, packFlushAnswer, packFlushRequest } from "../cluster/flush-message.ts";
import type { FlushAnswer } from "../cluster/flush-message.ts";
import type { Cluster } from "../cluster/ports.ts";
import type { StoreFlush } from "./store-flush.ts";

export interface ClusterFlushModules {
  readonly cluster: Pick<Cluster, "peers" | "view">;
  readonly storeFlush: Pick<StoreFlush, "flush">;
  readonly clock: Clock;
}

/** How much longer than a member a caller waits for its answer. */
const ANSWER_MS = 1_000;
/** Each time that all are asked again may cost each a cut, and so some small segments. They are longer than a flush takes with a healthy bucket, and five at most within 30 s. */
const AGAIN_PAUSE = { firstMs: 1_000, maxMs: 8_000 };
/** Nobody waits for these answers. By then a member has cut, and goes on in the background. */
const AGAIN_TIMEOUT_MS = 1_000;

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
    const { members, self } = this.#modules.cluster.view;
    // A dead one cannot be asked: what it had is with others, who take it over.
    const others = members.filter(({ name, state }) => name !== self.name && state !== "dead");
    const asked = [self, ...others].map(({ name }) => ({ name, answer: this.#ask(name, timeoutMs, signal) }));
    const ended = new AbortController();
    void this.#askAgain(asked.map(({ name }) => name), AbortSignal.any([signal, ended.signal]));
    const outcomes = await Promise.allSettled(asked.map(({ answer }) => answer));
    ended.abort();
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

  async #ask(name: string, timeoutMs: number, signal: AbortSignal): Promise<FlushAnswer> {
    const { cluster, storeFlush } = this.#modules;
    if (name === cluster.view.self.name) return storeFlush.flush(timeoutMs, signal);
    return openFlushAnswer(await cluster.peers.request(name, "flush", packFlushRequest({ timeoutMs }), { timeoutMs: timeoutMs + ANSWER_MS, signal }));
  }

  /** Until the signal aborts. Never rejects: what it comes to is in the first answers. */
  async #askAgain(names: readonly string[], ended: AbortSignal): Promise<void> {
    for (let count = 1; ; count++) {
      await this.#modules.clock.sleep(retryDelayMs(count, AGAIN_PAUSE), ended).catch(() => undefined);
      if (ended.aborted) return;
      for (const name of names) void this.#ask(name, AGAIN_TIMEOUT_MS, ended).catch(() => undefined);
    }
  }
}
