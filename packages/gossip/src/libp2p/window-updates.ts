/**
 * Fewer window updates of yamux. It tells the other side of all that was read after each message: a frame, an encrypted record, a system call and a wake-up of the other process,
 * for each of our requests and for each of their answers. Told when half of the window is used up, the other side is never kept waiting by it, since it may send the other half meanwhile.
 *
 * What must stay true: the first update of a stream that the other side opened is sent at once, as it accepts the stream.
 */

/** What of yamux's streams is used here. Its types hide some of it; where a later version has other names, its own updates stay. */
interface YamuxWindow {
  /** Bytes that the other side may send before it must wait for an update. */
  readonly recvWindowCapacity: number;
  /** The whole window. */
  readonly recvWindow: number;
  readonly state: number;
  sendWindowUpdate(): void;
}

/** `StreamState.Established` of yamux: flags of the stream's beginning are sent already. */
const ESTABLISHED = 3;

export function sendFewerWindowUpdates(stream: object): void {
  if (!hasWindow(stream)) return;
  const send = stream.sendWindowUpdate.bind(stream);
  stream.sendWindowUpdate = () => {
    if (stream.state === ESTABLISHED && stream.recvWindowCapacity > stream.recvWindow / 2) return;
    send();
  };
}

function hasWindow(stream: object): stream is YamuxWindow {
  const { recvWindowCapacity, recvWindow, state, sendWindowUpdate } = stream as Partial<YamuxWindow>;
  return typeof recvWindowCapacity === "number" && typeof recvWindow === "number" && typeof state === "number" && typeof sendWindowUpdate === "function";
}
