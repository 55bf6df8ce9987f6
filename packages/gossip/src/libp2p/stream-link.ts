/** A link over the streams of one encrypted connection, one stream a channel. */
import { assert, type Clock } from "@pyromesh/base";
import { CHANNELS, FRAME_BYTES_MAX, type Channel, type LinkListener, type PeerLink } from "../links/peer-network.ts";
import { StreamChannel, type ByteStream, type ChannelListener } from "./stream-channel.ts";

export interface StreamLinkInit {
  readonly peerId: string;
  readonly isDialled: boolean;
  readonly remoteAddress: string;
  readonly control: ByteStream;
  /** The link takes part in the gossip from now on, and its other channels may open. */
  onAdmitted(link: StreamLink): void;
  /** Ends the connection at once. Called once. */
  end(): void;
}

/** While nobody has proven anything, frames are those of the handshake. */
const UNPROVEN_FRAME_BYTES_MAX = 4096;
/** How long a close takes at most: until what was sent has arrived, and the other side has closed the connection. */
const CLOSE_TIMEOUT_MS = 1000;

export class StreamLink implements PeerLink {
  readonly peerId: string;
  readonly isDialled: boolean;
  readonly remoteAddress: string;
  readonly #init: StreamLinkInit;
  readonly #channels: ReadonlyMap<Channel, StreamChannel>;
  #listener: LinkListener | undefined;
  #isAdmitted = false;
  #isOpen = true;
  #endReason: string | undefined;
  #isEnded = false;
  #onEnded: () => void = () => undefined;
  readonly #clock: Clock;

  constructor(init: StreamLinkInit, { clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.peerId = init.peerId;
    this.isDialled = init.isDialled;
    this.remoteAddress = init.remoteAddress;
    this.#init = init;
    const listenerOf = (channel: Channel): ChannelListener => ({
      onFrame: (frame) => this.#listener!.onFrame(channel, frame), // a channel is paused until there is a listener
      onFinished: () => (channel === "control" ? this.end("the other side closed it") : undefined), // it is the last one that a close ends
      onEnd: (reason) => this.end(reason),
    });
    this.#channels = new Map(CHANNELS.map((channel) => [channel, new StreamChannel(UNPROVEN_FRAME_BYTES_MAX, listenerOf(channel))]));
    this.attach("control", init.control);
  }

  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  /** False: the channel has a stream already. */
  attach(channel: Channel, stream: ByteStream): boolean {
    const own = this.#channels.get(channel)!;
    if (own.hasStream) return false;
    own.attach(stream);
    return true;
  }

  admit(): void {
    if (!this.#isOpen || this.#isAdmitted) return;
    this.#isAdmitted = true;
    for (const channel of this.#channels.values()) channel.setFrameBytesMax(FRAME_BYTES_MAX);
    this.#init.onAdmitted(this);
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    assert(frame.length <= FRAME_BYTES_MAX, "a frame is no longer than its bound");
    return this.#channels.get(channel)!.send(frame);
  }

  drained(channel: Channel): Promise<void> {
    return this.#channels.get(channel)!.drained();
  }

  listen(listener: LinkListener): void {
    assert(this.#listener === undefined, "a link has one listener");
    this.#listener = listener;
    const reason = this.#endReason;
    if (reason !== undefined) return queueMicrotask(() => listener.onClosed(reason));
    for (const channel of this.#channels.values()) channel.pause(false);
  }

  pause(channel: Channel, isPaused: boolean): void {
    this.#channels.get(channel)!.pause(isPaused);
  }

  /**
   * Tells the other side by the end of the control stream, and leaves the rest to it: to close the connection here would lose what the encryption has not
   * handed on.
   */
  close(): void {
    if (!this.#isOpen) return;
    this.#finish("this side closed it");
    const { signal, cancel } = timeoutSignal(CLOSE_TIMEOUT_MS, { clock: this.#clock });
    const onAbort = (): void => this.#endConnection();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#onEnded = cancel;
    const [control, ...others] = CHANNELS.map((channel) => this.#channels.get(channel)!);
    void Promise.all(others.map((channel) => channel.finish(signal))).then(() => control!.finish(signal));
  }

  /** The connection is of no use any more. */
  end(reason: string): void {
    this.#finish(reason);
    this.#endConnection();
  }

  #finish(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#endReason = reason;
    for (const channel of this.#channels.values()) channel.close();
    const listener = this.#listener;
    if (listener !== undefined) queueMicrotask(() => listener.onClosed(reason));
  }

  #endConnection(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#onEnded();
    this.#init.end();
  }
}

/** A signal that aborts after `timeoutMs`, and what cancels its timer. */
function timeoutSignal(timeoutMs: number, { clock }: { readonly clock: Clock }): { readonly signal: AbortSignal; cancel(): void } {
  const controller = new AbortController();
  const timer = clock.after(timeoutMs, () => controller.abort(new Error(`not over after ${timeoutMs} ms`)));
  return { signal: controller.signal, cancel: () => timer.cancel() };
}
