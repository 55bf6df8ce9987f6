/** A client of HTTP/2 that sends its frames one by one, as no library would, and reads nothing but what it must. */
import { once } from "node:events";
import net from "node:net";

export const DATA = 0;
export const HEADERS = 1;
const SETTINGS = 4;
export const END_HEADERS = 4;
const ACK = 1;

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** Of the settings. */
const INITIAL_WINDOW_SIZE = 4;

export class Http2Peer {
  isClosed = false;
  #socket;

  /** `windowBytes`: what the node may send on each stream before it is told to go on, which it never is. */
  static async open(url, { windowBytes }) {
    const peer = new Http2Peer();
    peer.#socket = net.connect({ port: Number(new URL(url).port), host: "127.0.0.1", noDelay: true });
    peer.#socket.resume().on("error", () => undefined);
    peer.#socket.on("close", () => (peer.isClosed = true));
    await once(peer.#socket, "connect");
    const window = Buffer.alloc(6);
    window.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
    window.writeUInt32BE(windowBytes, 2);
    await peer.write(PREFACE, frame(SETTINGS, 0, 0, window), frame(SETTINGS, ACK, 0));
    return peer;
  }

  /** Resolves when the kernel has taken the bytes, or the connection is closed. */
  write(...frames) {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => this.#socket.write(Buffer.concat(frames), () => resolve()));
  }

  destroy() {
    this.#socket.destroy();
  }
}

export function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literals without an index (RFC 7541, 6.2.2). Names and values have at most 126 characters. */
export function postFields(path) {
  const text = (value) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const headers = { ":method": "POST", ":scheme": "http", ":path": path, ":authority": "127.0.0.1" };
  return Buffer.concat(Object.entries(headers).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}
