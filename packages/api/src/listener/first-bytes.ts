/**
 * Tells HTTP/2 from HTTP/1.1 by the first bytes of a connection, and hands the socket on with all that it has received. HTTP/2 without TLS
 * begins with the 24 bytes `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n` (RFC 9113, 3.4); no method of HTTP/1.1 begins with `PRI `.
 *
 * What must stay true: a connection that sends nothing, or too little to tell, ends after the time for headers.
 */
import type { Socket } from "node:net";
import type { Timer } from "@pyromesh/base";
import type { Timeouts, Waiting } from "../ports/timeouts.ts";

interface FirstBytesHooks {
  /** Called with a socket whose first bytes can be read again. */
  readonly onHttp1: (socket: Socket) => void;
  readonly onHttp2: (socket: Socket) => void;
  /** The bytes did not come in time. */
  readonly onLate: (socket: Socket) => void;
}

export class FirstBytes implements Waiting {
  readonly #socket: Socket;
  readonly #timeout: Timer;
  readonly #hooks: FirstBytesHooks;
  /** Too few bytes to tell: less than MARK. */
  #held: Buffer | undefined;

  constructor(socket: Socket, hooks: FirstBytesHooks, modules: { readonly timeouts: Timeouts }) {
    this.#socket = socket;
    this.#hooks = hooks;
    this.#timeout = modules.timeouts.add(this);
    socket.on("readable", this.#look).on("end", this.#giveUp).on("error", this.#giveUp).on("close", this.#stop);
  }

  onTimeout(): void {
    this.#stop();
    this.#hooks.onLate(this.#socket);
  }

  readonly #look = (): void => {
    const socket = this.#socket;
    const read = socket.read() as Buffer | null; // no encoding is set
    if (read === null) return;
    const bytes = this.#held === undefined ? read : Buffer.concat([this.#held, read]);
    const isPreface = bytes.subarray(0, MARK.length).equals(MARK.subarray(0, bytes.length));
    if (isPreface && bytes.length < MARK.length) {
      this.#held = bytes;
      return;
    }
    this.#stop();
    socket.unshift(bytes);
    if (isPreface) this.#hooks.onHttp2(socket);
    else this.#hooks.onHttp1(socket);
  };

  readonly #giveUp = (): void => {
    this.#socket.destroy();
  };

  readonly #stop = (): void => {
    this.#timeout.cancel();
    this.#socket.off("readable", this.#look).off("end", this.#giveUp).off("error", this.#giveUp).off("close", this.#stop);
  };
}

const MARK = Buffer.from("PRI ");
