/** The senders to all members that records were sent to, and which of them do not answer. One of a member that went from the view is dropped. */
import { assert } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { ClusterView } from "@pyromesh/ring";
import { AppendSender } from "./append-sender.ts";
import type { Cluster } from "./ports.ts";

export interface AppendSendersModules {
  readonly cluster: Pick<Cluster, "view" | "peers" | "onChange">;
  readonly clock: Clock;
}

export class AppendSenders {
  readonly #modules: AppendSendersModules;
  readonly #senders = new Map<string, AppendSender>();
  #silent: ReadonlySet<string> = NONE;
  /** Pushes announced and not arrived. */
  #expectedCount = 0;
  #view: ClusterView;
  readonly #unfollow: () => void;

  constructor(modules: AppendSendersModules) {
    this.#modules = modules;
    this.#view = modules.cluster.view;
    this.#unfollow = modules.cluster.onChange((view) => this.#follow(view));
  }

  of(member: string): AppendSender {
    let sender = this.#senders.get(member);
    if (sender === undefined) {
      const { clock, cluster } = this.#modules;
      this.#senders.set(member, (sender = new AppendSender(member, { peers: cluster.peers, clock, areMoreExpected: () => this.#expectedCount > 0, onChange: () => this.#noteSilent() })));
    }
    return sender;
  }

  /** A push is being made ready: what is sent meanwhile waits a little for its records, so that one request takes both. */
  announce(): void {
    this.#expectedCount++;
  }

  /** Once for each `announce`: its records were given to their senders, or will not come. */
  arrived(): void {
    assert(this.#expectedCount > 0, "arrived() follows announce()");
    if (--this.#expectedCount === 0) for (const sender of this.#senders.values()) sender.noteArrived();
  }

  /** Names of members whose last request failed. The same object until that changes. */
  get silent(): ReadonlySet<string> {
    return this.#silent;
  }

  stop(): void {
    this.#unfollow();
    for (const sender of this.#senders.values()) sender.stop();
  }

  #noteSilent(): void {
    const silent = [...this.#senders].filter(([, { isAnswering }]) => !isAnswering).map(([name]) => name);
    this.#silent = silent.length === 0 ? NONE : new Set(silent);
  }

  /** A member that began anew, or that refuted its death, is tried at once. */
  #follow(view: ClusterView): void {
    const before = new Map(this.#view.members.map((member) => [member.name, member]));
    this.#view = view;
    const names = new Set<string>();
    for (const { name, bootId, incarnation, state } of view.members) {
      names.add(name);
      const known = before.get(name);
      if (known === undefined || known.bootId !== bootId || (known.incarnation !== incarnation && state === "active")) this.#senders.get(name)?.noteAnswer();
    }
    for (const [name, sender] of this.#senders) {
      if (names.has(name)) continue;
      sender.stop();
      this.#senders.delete(name);
    }
    this.#noteSilent();
  }
}

const NONE: ReadonlySet<string> = new Set();
