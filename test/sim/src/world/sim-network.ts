/**
 * The network between clients and the node: requests and replies take time, and are lost when the node dies or the client goes away. It outlives
 * the runs of a node; each run listens on it.
 */
import { MemoryNetwork } from "@pyromesh/api/testing";
import type { MemoryCall } from "@pyromesh/api/testing";
import type { Network } from "pyromesh";
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

/** The client has no answer and does not know what became of the request. `isSent` is false if it never reached the node. */
export class NoAnswer extends Error {
  readonly isSent: boolean;

  constructor(why: string, isSent: boolean) {
    super(why);
    this.isSent = isSent;
  }
}

interface Listening {
  readonly life: Life;
  readonly network: MemoryNetwork;
}

export class SimNetwork {
  readonly #chance: Chance;
  readonly #scheduler: Scheduler;
  #listening: Listening | undefined;

  constructor(chance: Chance, { scheduler }: { readonly scheduler: Scheduler }) {
    this.#chance = chance;
    this.#scheduler = scheduler;
  }

  /** The network that one run of the node listens on. */
  openFor(life: Life): Network {
    const network = new MemoryNetwork({ deliver: (step) => void this.#scheduler.after(this.#chance.delay(0.3), life, step) });
    this.#listening = { life, network };
    return network;
  }

  /** Closes all connections of a run that has ended: its clients get no answer. */
  close(life: Life): void {
    if (this.#listening?.life !== life) return;
    this.#listening.network.crash();
    this.#listening = undefined;
  }

  /** Rejects with NoAnswer. The client closes the connection after `goneAfterMs`. */
  request(request: SimRequest, { timeoutMs, goneAfterMs = Infinity }: { readonly timeoutMs: number; readonly goneAfterMs?: number }): Promise<SimReply> {
    const scheduler = this.#scheduler;
    const chance = this.#chance;
    return new Promise((resolve, reject) => {
      let call: MemoryCall | undefined;
      let isSettled = false;
      const settle = (run: () => void): void => {
        if (isSettled) return;
        isSettled = true;
        timeout.cancel();
        run();
      };
      const lose = (why: string): void => settle(() => reject(new NoAnswer(why, call !== undefined)));
      const timeout = scheduler.after(Math.min(goneAfterMs, timeoutMs), WORLD, () => {
        lose(goneAfterMs < timeoutMs ? "the client went away" : "the client's timeout passed");
        call?.goAway();
      });
      scheduler.after(chance.delay(0.5), WORLD, () => {
        if (isSettled) return;
        const network = this.#listening?.network;
        if (network === undefined) return lose("nobody listens");
        call = network.send(PORT, { method: request.method, target: request.path, headers: request.headers, ...(request.body.length === 0 && request.method === "GET" ? {} : { body: this.#pieces(request.body) }) });
        void call.reply.then((reply) => {
          // The reply is on its way to the client and arrives even if the node dies meanwhile.
          if (reply === undefined) scheduler.after(chance.delay(0.5), WORLD, () => lose("the connection was closed"));
          else scheduler.after(chance.delay(0.5), WORLD, () => settle(() => resolve({ status: reply.status, headers: Object.fromEntries(reply.headers), body: Buffer.from(reply.body).toString("utf8") })));
        });
      });
    });
  }

  /** The pieces in which the body arrives: mostly one, at times two. */
  #pieces(body: Uint8Array): Uint8Array[] {
    if (body.length < 2 || !this.#chance.isTrue(0.1)) return [body];
    const at = this.#chance.int(1, body.length - 1);
    return [body.subarray(0, at), body.subarray(at)];
  }
}

/** The port of `--http-addr`. */
const PORT = 4040;
