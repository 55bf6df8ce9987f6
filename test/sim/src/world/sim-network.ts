/**
 * The way from clients to the node: requests and replies take time, and are lost when the node dies or the client goes away. It outlives the
 * runs of a node; a run listens on it.
 */
import type { Chance } from "./chance.ts";
import type { Life, Scheduler } from "./scheduler.ts";
import { WORLD } from "./scheduler.ts";

export interface SimRequest {
  readonly method: "GET" | "POST";
  /** With its query string. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface SimReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers a request; the signal says that the client has gone. */
export type Listener = (request: SimRequest, gone: AbortSignal) => Promise<SimReply>;

/** No answer: nobody knows what became of the request. `isSent` false: the node never saw it. */
export class NoAnswer extends Error {
  readonly isSent: boolean;

  constructor(why: string, isSent: boolean) {
    super(why);
    this.isSent = isSent;
  }
}

interface Listening {
  readonly life: Life;
  readonly listener: Listener;
  /** Called when the run ends. */
  readonly open: Set<(why: string) => void>;
}

export class SimNetwork {
  readonly #chance: Chance;
  readonly #scheduler: Scheduler;
  #listening: Listening | undefined;

  constructor(chance: Chance, { scheduler }: { readonly scheduler: Scheduler }) {
    this.#chance = chance;
    this.#scheduler = scheduler;
  }

  listen(life: Life, listener: Listener): void {
    this.#listening = { life, listener, open: new Set() };
  }

  /** Nobody listens any more: who waits for an answer gets none. */
  close(life: Life): void {
    const listening = this.#listening;
    if (listening?.life !== life) return;
    this.#listening = undefined;
    for (const lose of listening.open) this.#scheduler.after(this.#chance.delay(1), WORLD, () => lose("the connection was reset"));
  }

  /** Rejects NoAnswer. `goneAfterMs`: the client goes away then. */
  request(request: SimRequest, { timeoutMs, goneAfterMs = Infinity }: { readonly timeoutMs: number; readonly goneAfterMs?: number }): Promise<SimReply> {
    const scheduler = this.#scheduler;
    const chance = this.#chance;
    return new Promise((resolve, reject) => {
      const gone = new AbortController();
      let isSettled = false;
      let isSent = false;
      let open: Set<(why: string) => void> | undefined;
      const settle = (run: () => void): void => {
        if (isSettled) return;
        isSettled = true;
        patience.cancel();
        open?.delete(lose);
        run();
      };
      const lose = (why: string): void => settle(() => reject(new NoAnswer(why, isSent)));
      const isLeaving = goneAfterMs < timeoutMs;
      const patience = scheduler.after(Math.min(goneAfterMs, timeoutMs), WORLD, () => {
        lose(isLeaving ? "the client went away" : "the client's time was over");
        scheduler.after(chance.delay(0.5), WORLD, () => gone.abort(Object.assign(new Error("the client went away"), { name: "AbortError" })));
      });
      scheduler.after(chance.delay(0.5), WORLD, () => {
        const listening = this.#listening;
        if (isSettled) return;
        if (listening === undefined) return lose("nobody listens");
        isSent = true;
        open = listening.open;
        open.add(lose);
        listening.listener(request, gone.signal).then(
          (reply) => scheduler.after(chance.delay(0.5), listening.life, () => settle(() => resolve(reply))),
          () => lose("the connection was closed without an answer"),
        );
      });
    });
  }
}
