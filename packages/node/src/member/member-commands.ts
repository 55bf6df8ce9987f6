/**
 * The operator's words at a member: leave, drain, resume, forget. Leaving and draining take as long as the flush does, so they go on in the background, one of them at a
 * time; the word is answered once it has begun, and all members see it.
 */
import { CodedError, messageOf } from "@pyromesh/base";
import type { Logger } from "@pyromesh/base";
import type { ClusterView } from "@pyromesh/ring";
import type { ClusterCommands } from "../cluster/node-cluster-admin.ts";
import type { Leaving } from "./leaving.ts";

export interface MemberCommandsModules {
  readonly cluster: {
    readonly view: ClusterView;
    onChange(listener: (view: ClusterView) => void): () => void;
    forget(name: string, options: { readonly isForced: boolean }): Promise<void>;
  };
  readonly leaving: Pick<Leaving, "leave" | "drain" | "resume">;
  /** The node has left: its process may end. */
  readonly onLeft: () => void;
  readonly logger: Logger;
  /** Aborts when the node stops. */
  readonly stopped: AbortSignal;
}

export class MemberCommands implements ClusterCommands {
  readonly #modules: MemberCommandsModules;
  /** Of what is under way. */
  #cancel: AbortController | undefined;

  constructor(modules: MemberCommandsModules) {
    this.#modules = modules;
  }

  async forget(name: string, options: { readonly isForced: boolean }): Promise<void> {
    await this.#modules.cluster.forget(name, options);
  }

  leave(): Promise<void> {
    const { leaving, onLeft } = this.#modules;
    return this.#begin(async (signal) => {
      await leaving.leave(signal);
      onLeft();
    });
  }

  drain(): Promise<void> {
    return this.#begin((signal) => this.#modules.leaving.drain(signal));
  }

  async resume(): Promise<void> {
    this.#cancel?.abort(new CodedError({ code: "LEAVE_CANCELED", kind: "canceled", message: "an operator took it back" }));
    await this.#modules.leaving.resume();
  }

  /** Resolves when this node is seen as leaving. Rejects with what `run` rejects before. */
  async #begin(run: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { cluster, logger, stopped } = this.#modules;
    this.#cancel?.abort(new CodedError({ code: "LEAVE_REPLACED", kind: "canceled", message: "another word replaced it" }));
    const cancel = new AbortController();
    this.#cancel = cancel;
    const signal = AbortSignal.any([stopped, cancel.signal]);
    const running = run(signal);
    running.catch((error: unknown) => {
      if (!signal.aborted) logger.warn("the cluster was not left", { reason: messageOf(error) });
    });
    await Promise.race([running, this.#isLeaving(cluster.view)]);
  }

  async #isLeaving({ self }: ClusterView): Promise<void> {
    if (self.state !== "active") return;
    await new Promise<void>((resolve) => {
      const stop = this.#modules.cluster.onChange((view) => {
        if (view.self.state === "active") return;
        stop();
        resolve();
      });
    });
  }
}
