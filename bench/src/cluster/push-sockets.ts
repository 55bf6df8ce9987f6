/**
 * Sends pushes to one node over kept-alive connections: the least of HTTP/1.1 that does it, on node:net, one request at a time on each connection. With node:http
 * the generator of an open load takes a third of the processors that it shares with the nodes.
 *
 * Bounded: SOCKET_COUNT_MAX connections, as many requests as wait for an answer. One more fails at once, as does one without an answer within ANSWER_MS_MAX.
 */
import { Buffer } from "node:buffer";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { PUSH_PATH } from "../load/push-run.ts";

export interface PushAnswer {
  readonly status: number;
  /** In seconds; undefined where the answer has no Retry-After. */
  readonly retryAfter: number | undefined;
  /** Of an answer other than 200. */
  readonly text: string;
}

export const SOCKET_COUNT_MAX = 1_024;
const ANSWER_MS_MAX = 60_000;
const SWEEP_MS = 1_000;

export class PushSockets {
  readonly #host: string;
  readonly #port: number;
  readonly #all = new Set<PushSocket>();
  readonly #idle: PushSocket[] = [];
  readonly #sweep: NodeJS.Timeout;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
    this.#sweep = setInterval(() => {
      for (const socket of this.#all) socket.endStale();
    }, SWEEP_MS);
    this.#sweep.unref();
  }

  /** Rejects where there is no answer. */
  post(body: Buffer): Promise<PushAnswer> {
    let socket = this.#idle.pop();
    if (socket === undefined) {
      if (this.#all.size >= SOCKET_COUNT_MAX) return Promise.reject(new Error(`${SOCKET_COUNT_MAX} requests wait for an answer`));
      socket = new PushSocket(connect({ host: this.#host, port: this.#port, noDelay: true }), this.#idle, this.#all);
      this.#all.add(socket);
    }
    const head = `POST ${PUSH_PATH} HTTP/1.1\r\nhost: ${this.#host}:${this.#port}\r\ncontent-type: application/proto\r\ncontent-length: ${body.length}\r\n\r\n`;
    return socket.send(head, body);
  }

  close(): void {
    clearInterval(this.#sweep);
    for (const socket of this.#all) socket.close();
  }
}

class PushSocket {
  readonly #socket: Socket;
  #sentMs = 0;
  #bytes: Buffer = EMPTY;
  #resolve: ((answer: PushAnswer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor(socket: Socket, idle: PushSocket[], all: Set<PushSocket>) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
      const answer = readAnswer(this.#bytes);
      if (answer === undefined) return;
      const resolve = this.#resolve;
      this.#bytes = EMPTY;
      this.#resolve = this.#reject = undefined;
      if (answer.isLast) socket.destroy();
      else idle.push(this);
      resolve?.(answer);
    });
    socket.on("error", ignore); // "close" follows
    socket.on("close", () => {
      all.delete(this);
      const at = idle.indexOf(this);
      if (at >= 0) idle.splice(at, 1);
      this.#reject?.(new Error("the connection was closed"));
      this.#resolve = this.#reject = undefined;
    });
  }

  send(head: string, body: Buffer): Promise<PushAnswer> {
    this.#sentMs = performance.now();
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.cork();
      this.#socket.write(head, "latin1");
      this.#socket.write(body);
      this.#socket.uncork();
    });
  }

  endStale(): void {
    if (this.#resolve !== undefined && performance.now() - this.#sentMs > ANSWER_MS_MAX) this.#socket.destroy();
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Undefined: it is not whole yet. Every answer to a push has a Content-Length. */
function readAnswer(bytes: Buffer): (PushAnswer & { readonly isLast: boolean }) | undefined {
  const end = bytes.indexOf("\r\n\r\n", 0, "latin1");
  if (end < 0) return undefined;
  const head = bytes.toString("latin1", 0, end);
  const bodyAt = end + 4;
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (bytes.length < bodyAt + length) return undefined;
  const status = Number(head.slice(9, 12));
  const retryAfter = /^retry-after: *(\d+)/im.exec(head)?.[1];
  const text = status === 200 ? "" : bytes.toString("utf8", bodyAt, bodyAt + length);
  return { status, retryAfter: retryAfter === undefined ? undefined : Number(retryAfter), text, isLast: /^connection: *close/im.test(head) };
}

const EMPTY = Buffer.alloc(0);

function ignore(): void {}
