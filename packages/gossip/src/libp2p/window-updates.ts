/**
 * Fewer window updates. yamux tells the sender after each piece of data, however small, that its window is whole again: each is a frame, an encrypted record, a
 * packet and a wake-up of the other side, so it doubles what a probe costs. Here the receiver waits until half of the window is used, as other implementations of
 * yamux do.
 *
 * What must stay true: a sender that has used up its window is told. By then the receiver has taken all of it, which is more than half.
 */

/** What is used here of yamux's stream. It is no part of its interface, so a stream without it stays as it is. */
interface WindowedStream {
  /** A member of yamux's enum `StreamState`. */
  readonly state: number;
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
  sendWindowUpdate(): void;
}

/** `StreamState.Established`. In other states an update also carries a flag that opens the stream, or ends a pause. */
const ESTABLISHED = 3;

/** Call it once for a stream, which it returns. */
export function sendFewerWindowUpdates<S extends object>(stream: S): S {
  if (!isWindowed(stream)) return stream;
  const send = stream.sendWindowUpdate.bind(stream);
  stream.sendWindowUpdate = () => {
    if (stream.state !== ESTABLISHED || stream.recvWindowCapacity <= stream.recvWindow / 2) send();
  };
  return stream;
}

function isWindowed(stream: object): stream is WindowedStream {
  const { state, recvWindow, recvWindowCapacity, sendWindowUpdate } = stream as Partial<WindowedStream>; // each is checked
  return typeof state === "number" && typeof recvWindow === "number" && typeof recvWindowCapacity === "number" && typeof sendWindowUpdate === "function";
}
