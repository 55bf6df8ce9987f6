/**
 * One link from its first frame to its last: it runs the handshake, and then hands on what arrives.
 *
 *   handshake -> proven -> closed
 *
 * What must stay true: before the link is proven, its frames reach the handshake alone; after it is closed, nobody gets another one.
 */
import { compareBytes, messageOf, type Clock, type Timer } from "@pyromesh/base";
import { decodeControlFrame, encodeMessage, encodePing } from "./frame.ts";
import { type Handshake, type HandshakeStep, type Introduction, type Refusal } from "./handshake.ts";
import type { Channel, LinkListener, PeerLink } from "./peer-network.ts";

/** Who is at the other end of a proven link. */
export interface LinkedPeer {
  readonly name: string;
  readonly storeId: string;
  readonly bootId: string;
  readonly peerId: string;
  readonly build: string;
  /** The version of the peer protocol that both agreed on. */
  readonly protocol: number;
}

/** A link, for those who use its channels `push` and `read`. */
export interface ProvenLink {
  readonly peer: LinkedPeer;
  /** Closed, or about to be: another link to this peer took its place. Begin nothing new on it. */
  readonly isRetired: boolean;
  send(channel: Channel, frame: Uint8Array): boolean;
  drained(channel: Channel): Promise<void>;
  /** A request timed out. After `TIMEOUTS_MAX` in a row without a frame from the other side the link is closed: a half-open connection stays open for minutes. */
  noteTimeout(): void;
  /** Whether the other side sends anything within `timeoutMs`; it is asked for a sign of life, on the channel `control`, which no body holds up. */
  ping(timeoutMs: number): Promise<boolean>;
  /** Closes it, since the other side broke the protocol or a bound. */
  refuse(reason: "malformed" | "over-budget", sentence: string): void;
}

export interface SessionOwner {
  /** Undefined: the other side may join. */
  judge(session: LinkSession, introduction: Introduction): Promise<Refusal | undefined>;
  onProven(session: LinkSession): void;
  /** `onClosed` follows. */
  onRefused(session: LinkSession, refusal: Refusal, isByPeer: boolean): void;
  onMessage(session: LinkSession, message: Uint8Array): void;
  onFrame(session: LinkSession, channel: Channel, frame: Uint8Array): void;
  onClosed(session: LinkSession, reason: string): void;
  onBroken(session: LinkSession, reason: "malformed" | "over-budget", sentence: string): void;
}

/** From the first frame to the last, with the judging: 6 frames, and one ping of another link. */
const HANDSHAKE_TIMEOUT_MS = 5000;
/** No frame of the handshake is longer. */
const HANDSHAKE_FRAME_BYTES_MAX = 4096;
const TIMEOUTS_MAX = 3;

export class LinkSession implements LinkListener, ProvenLink {
  readonly link: PeerLink;
  /** Fresh, of this side's hello. */
  readonly ownNonce: Uint8Array;
  readonly #owner: SessionOwner;
  readonly #clock: Clock;
  readonly #handshake: Handshake;
  #timer: Timer | undefined;
  #phase: "handshake" | "proven" | "closed" = "handshake";
  #peer: LinkedPeer | undefined;
  #isRetired = false;
  #isControlFull = false;
  #timeouts = 0;
  #heardCount = 0;
  #pingNumber = 0;
  readonly #pings = new Map<number, (isAlive: boolean) => void>();

  constructor({ link, handshake, ownNonce, owner }: { readonly link: PeerLink; readonly handshake: Handshake; readonly ownNonce: Uint8Array; readonly owner: SessionOwner }, { clock }: { readonly clock: Clock }) {
    this.link = link;
    this.#owner = owner;
    this.#clock = clock;
    this.#handshake = handshake;
    this.ownNonce = ownNonce;
  }

  /** Call it in the turn in which the link was got. */
  start(): void {
    this.#timer = this.#clock.after(HANDSHAKE_TIMEOUT_MS, () => this.#step(this.#handshake.refuse({ code: "timeout", sentence: `the handshake was not over after ${HANDSHAKE_TIMEOUT_MS / 1000} s` })));
    this.link.listen(this);
    this.#step(this.#handshake.begin());
  }

  get peer(): LinkedPeer {
    return this.#peer!; // whoever has a ProvenLink has it from `onProven`
  }

  get wasProven(): boolean {
    return this.#peer !== undefined;
  }

  /** The nonce of the dialler's hello: it decides between two links that the same side dialled. Known once the link is proven. */
  get diallerNonce(): Uint8Array {
    return this.link.isDialled ? this.ownNonce : this.#handshake.peerNonce!;
  }

  get isRetired(): boolean {
    return this.#isRetired || this.#phase === "closed";
  }

  get isOpen(): boolean {
    return this.#phase !== "closed";
  }

  retire(): void {
    this.#isRetired = true;
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    return this.link.send(channel, frame);
  }

  drained(channel: Channel): Promise<void> {
    return this.link.drained(channel);
  }

  /** The other side has not taken the control messages that were sent lately. */
  get isControlFull(): boolean {
    return this.#isControlFull;
  }

  /** Bound: while the other side takes nothing it is dropped, as pings and pongs are. */
  sendMessage(message: Uint8Array): void {
    this.#sendControl(encodeMessage(message));
  }

  #sendControl(frame: Uint8Array): void {
    if (this.#isControlFull || this.link.send("control", frame)) return;
    this.#isControlFull = true;
    void this.link.drained("control").then(() => (this.#isControlFull = false));
  }

  ping(timeoutMs: number): Promise<boolean> {
    if (this.#phase !== "proven") return Promise.resolve(false);
    const number = ++this.#pingNumber;
    const heardCount = this.#heardCount;
    return new Promise((resolve) => {
      const end = (isAlive: boolean): void => {
        timer.cancel();
        this.#pings.delete(number);
        resolve(isAlive);
      };
      // A process that was stopped for a while finds its timers due before it has read what arrived meanwhile.
      const timer = this.#clock.after(timeoutMs, () => void this.#clock.nextTurn().then(() => end(this.#heardCount !== heardCount)));
      this.#pings.set(number, end);
      this.#sendControl(encodePing("ping", number));
    });
  }

  noteTimeout(): void {
    void this.#countTimeout();
  }

  /** A process that was stopped for a while finds its timers due before it has read what arrived meanwhile: it counts after that. */
  async #countTimeout(): Promise<void> {
    const heardCount = this.#heardCount;
    await this.#clock.nextTurn();
    if (this.#heardCount !== heardCount) return;
    if (++this.#timeouts >= TIMEOUTS_MAX) this.close(`it did not answer ${TIMEOUTS_MAX} requests, and sent nothing in between`);
  }

  refuse(reason: "malformed" | "over-budget", sentence: string): void {
    if (this.#phase === "closed") return;
    this.#owner.onBroken(this, reason, sentence);
    this.close(sentence);
  }

  close(reason: string): void {
    if (this.#phase === "closed") return;
    this.link.close();
    this.#end(reason);
  }

  onFrame(channel: Channel, frame: Uint8Array): void {
    if (this.#phase === "closed") return;
    if (this.#phase === "handshake") return this.#takeOfHandshake(channel, frame);
    this.#timeouts = 0;
    this.#heardCount++;
    try {
      if (channel === "control") this.#takeControl(frame);
      else this.#owner.onFrame(this, channel, frame);
    } catch (error) {
      this.refuse("malformed", messageOf(error));
    }
  }

  onClosed(reason: string): void {
    this.#end(reason);
  }

  #takeControl(frame: Uint8Array): void {
    const decoded = decodeControlFrame(frame);
    if (decoded.kind === "message") this.#owner.onMessage(this, decoded.bytes);
    else if (decoded.kind === "ping") this.#sendControl(encodePing("pong", decoded.number));
    else this.#pings.get(decoded.number)?.(true);
  }

  #takeOfHandshake(channel: Channel, frame: Uint8Array): void {
    if (channel !== "control" || frame.length > HANDSHAKE_FRAME_BYTES_MAX) return this.#step(this.#handshake.refuse({ code: "malformed", sentence: "a frame came that is not of the handshake" }));
    this.#step(this.#handshake.take(frame));
  }

  #step(step: HandshakeStep): void {
    if (this.#phase !== "handshake") return;
    switch (step.kind) {
      case "wait":
        return this.#sendAll(step.frames);
      case "judge":
        void this.#judge(step.introduction);
        return;
      case "proven": {
        const { name, storeId, bootId, build } = step.introduction;
        this.#timer?.cancel();
        this.#phase = "proven";
        this.#peer = { name, storeId, bootId, peerId: this.link.peerId, build, protocol: step.protocol };
        this.link.admit();
        this.#sendAll(step.frames);
        return this.#owner.onProven(this);
      }
      case "refused":
        this.#sendAll(step.frames);
        this.#owner.onRefused(this, step.refusal, step.isByPeer);
        return this.close(step.refusal.sentence);
    }
  }

  async #judge(introduction: Introduction): Promise<void> {
    const refusal = await this.#owner.judge(this, introduction).catch((error: unknown): Refusal => ({ code: "malformed", sentence: messageOf(error) }));
    this.#step(refusal === undefined ? this.#handshake.accept() : this.#handshake.refuse(refusal));
  }

  #sendAll(frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.link.send("control", frame);
  }

  #end(reason: string): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#timer?.cancel();
    for (const end of [...this.#pings.values()]) end(false);
    this.#owner.onClosed(this, reason);
  }

}

/** Of two links to one peer, the one to keep: that which the smaller peer id dialled, then that with the larger nonce of its dialler. Both sides choose the same. */
export function isPreferred(one: LinkSession, other: LinkSession, ownPeerId: string): boolean {
  const isOfSmaller = ({ link }: LinkSession): boolean => (link.isDialled ? ownPeerId < link.peerId : link.peerId < ownPeerId);
  if (isOfSmaller(one) !== isOfSmaller(other)) return isOfSmaller(one);
  return compareBytes(one.diallerNonce, other.diallerNonce) > 0;
}
