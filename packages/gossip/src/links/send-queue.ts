/**
 * What waits to be sent on one channel of one link: bodies, cut into frames. Bodies take turns, frame by frame, so that a long one does not hold up the short
 * ones behind it.
 *
 * Bound: whoever adds to it counts its bytes (requests.ts); the queue hands a frame to the link only while the link takes frames.
 */
import { encodeCancel, encodeFirst, encodeMore, PART_BYTES, type PeerMethod } from "./frame.ts";
import type { ProvenLink } from "./link-session.ts";
import type { Channel } from "./peer-network.ts";

export interface Outgoing {
  readonly kind: "request" | "reply" | "error";
  /** Of a request. */
  readonly method: PeerMethod | undefined;
  readonly id: number;
  readonly body: Uint8Array;
  /** Its last byte was handed to the link, or it was dropped. Called once, unless the link closes before. */
  readonly onSent: () => void;
  /** Bytes of the body that were handed over; -1: not even the first frame. */
  sentBytes: number;
  /** The rest is not wanted any more. */
  isDropped: boolean;
}

export class SendQueue {
  readonly #link: ProvenLink;
  readonly #channel: Channel;
  readonly #waiting: Outgoing[] = [];
  #isBlocked = false;

  constructor(link: ProvenLink, channel: Channel) {
    this.#link = link;
    this.#channel = channel;
  }

  get length(): number {
    return this.#waiting.length;
  }

  add(outgoing: Outgoing): void {
    this.#waiting.push(outgoing);
    this.#pump();
  }

  /** Nobody waits for the reply of this request. Where the other side has something of the request it is told. */
  cancel(request: Outgoing): void {
    request.isDropped = true;
    if (request.sentBytes >= 0) this.#send(encodeCancel(request.id));
  }

  #pump(): void {
    while (!this.#isBlocked) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (next.isDropped) {
        next.onSent();
        continue;
      }
      const frame = next.sentBytes < 0 ? encodeFirst(next.kind, next.method, next.id, next.body) : encodeMore(next.kind !== "request", next.id, next.body, next.sentBytes);
      next.sentBytes = Math.min(next.body.length, Math.max(0, next.sentBytes) + PART_BYTES);
      this.#send(frame);
      if (next.sentBytes < next.body.length) this.#waiting.push(next);
      else next.onSent();
    }
  }

  #send(frame: Uint8Array): void {
    if (this.#link.send(this.#channel, frame) || this.#isBlocked) return;
    this.#isBlocked = true;
    void this.#link.drained(this.#channel).then(() => {
      this.#isBlocked = false;
      this.#pump();
    });
  }
}
