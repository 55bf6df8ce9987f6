/** A client of HTTP/2 that sends its frames one by one, as no library would, and reads nothing but what it must. */
import { once } from "node:events";
import net from "node:net";
import { frame, PREFACE, SETTINGS } from "../../packages/api/dist/testing/http2-frames.js";

const ACK = 1;
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
