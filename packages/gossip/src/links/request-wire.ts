/**
 * The requests of one link, in both directions: ids, frames and bodies.
 *
 *   of this node   sent -> (reply in frames) -> settled; or canceled, and then the rest of a reply is dropped as it comes
 *   of the peer    frames -> whole -> served -> its reply is sent; or refused at once, and then the rest of its frames is dropped
 *
 * What must stay true: `load` counts a body from its first frame until it is settled or sent, whatever happens to the link.
 */
import { CodedError } from "@pyromesh/base";
import { decodeError, encodeError, malformed, type BodyFrame, type PeerMethod } from "./frame.ts";
import type { ProvenLink } from "./link-session.ts";
import { busy, type PeerBudget, type PeerLoad } from "./peer-budget.ts";
import type { Channel } from "./peer-network.ts";
import { SendQueue, type Outgoing } from "./send-queue.ts";

/** Who waits for the reply of a request. */
export interface Waiting {
  resolve(reply: Uint8Array): void;
  reject(error: Error): void;
}

/** A request of this node. */
export interface Sent extends Waiting {
  readonly outgoing: Outgoing;
  readonly queue: SendQueue;
  reply: Assembly | undefined;
  isErrorReply: boolean;
}

/** A body of which not all frames have come. `bytes` undefined: nobody wants it, its frames are counted only. */
interface Assembly {
  bytes: Uint8Array | undefined;
  readonly length: number;
  filledBytes: number;
}

/** A request of the peer that is whole. */
export interface Served {
  readonly method: PeerMethod | undefined;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}

/** A request of the peer. */
interface Taken {
  readonly method: PeerMethod | undefined;
  readonly channel: Channel;
  readonly length: number;
  /** What it counts in the budget: its body, then its reply until that was sent. */
  heldBytes: number;
  readonly assembly: Assembly;
  /** Undefined: it was refused, and only the rest of its frames is awaited. */
  controller: AbortController | undefined;
}

export interface RequestWireModules {
  readonly load: PeerLoad;
  readonly budget: PeerBudget;
  readonly serve: (request: Served) => Promise<Uint8Array>;
}

export class RequestWire {
  readonly #link: ProvenLink;
  readonly #load: PeerLoad;
  readonly #budget: PeerBudget;
  readonly #serve: (request: Served) => Promise<Uint8Array>;
  readonly #queues: Readonly<Record<"push" | "read", SendQueue>>;
  readonly #sent = new Map<number, Sent>();
  readonly #taken = new Map<number, Taken>();
  /** Replies to requests that were given up, of which frames may come still. As many as were given up while their reply was under way. */
  readonly #abandoned = new Map<number, Assembly>();
  #lastId = 0;
  #isEnded = false;

  constructor(link: ProvenLink, { load, budget, serve }: RequestWireModules) {
    this.#link = link;
    this.#load = load;
    this.#budget = budget;
    this.#serve = serve;
    this.#queues = { push: new SendQueue(link, "push"), read: new SendQueue(link, "read") };
  }

  get isIdle(): boolean {
    return this.#sent.size === 0 && this.#taken.size === 0;
  }

  send(method: PeerMethod, body: Uint8Array, waiting: Waiting): Sent {
    const queue = method === "append" ? this.#queues.push : this.#queues.read;
    const outgoing: Outgoing = { kind: "request", method, id: this.#newId(), body, onSent: nothing, sentBytes: -1, isDropped: false };
    const sent: Sent = { resolve: waiting.resolve, reject: waiting.reject, outgoing, queue, reply: undefined, isErrorReply: false };
    this.#sent.set(outgoing.id, sent);
    queue.add(outgoing);
    return sent;
  }

  cancel(sent: Sent): void {
    if (!this.#sent.delete(sent.outgoing.id)) return;
    if (sent.reply !== undefined) this.#abandon(sent.outgoing.id, sent.reply);
    sent.queue.cancel(sent.outgoing);
  }

  timeOut(sent: Sent): void {
    this.cancel(sent);
    this.#link.noteTimeout();
  }

  take(channel: Channel, frame: BodyFrame): void {
    switch (frame.kind) {
      case "request":
        return this.#takeRequest(channel, frame);
      case "reply":
      case "error":
        return this.#takeReply(frame);
      case "more":
        return frame.isOfReply ? this.#takeMoreOfReply(frame.id, frame.bytes) : this.#takeMoreOfRequest(frame.id, frame.bytes);
      case "cancel":
        return this.#takeCancel(frame.id);
    }
  }

  /** The link is closed. */
  end(error: CodedError): void {
    this.#isEnded = true;
    const waiting = [...this.#sent.values()];
    this.#sent.clear();
    for (const { reply, reject } of waiting) {
      if (reply !== undefined) this.#load.add("replyBytes", -reply.length);
      reject(error);
    }
    this.#abandoned.clear();
    for (const { controller } of this.#taken.values()) controller?.abort(error);
    for (const [id, taken] of this.#taken) this.#finish(id, taken);
  }

  #newId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0;
    while (this.#sent.has(this.#lastId) || this.#abandoned.has(this.#lastId));
    return this.#lastId;
  }

  // --- replies to this node's requests --------------------------------------------------------------------------------

  #takeReply({ kind, id, length, bytes }: BodyFrame & { kind: "reply" | "error" }): void {
    const sent = this.#sent.get(id);
    const isWhole = bytes.length === length;
    if (sent === undefined) {
      if (!isWhole) this.#abandoned.set(id, { bytes: undefined, length, filledBytes: bytes.length });
      return this.#checkAbandoned();
    }
    if (sent.reply !== undefined) throw malformed("two replies to one request");
    if (length > this.#budget.bodyBytesMax) throw malformed(`a reply of ${length} bytes`);
    sent.isErrorReply = kind === "error";
    if (isWhole) return this.#settle(id, sent, bytes);
    if (this.#load.isFull("replyBytes", length, this.#budget)) {
      this.#sent.delete(id);
      this.#abandoned.set(id, { bytes: undefined, length, filledBytes: bytes.length });
      sent.queue.cancel(sent.outgoing);
      return sent.reject(busy(`replies of ${this.#link.peer.name} with ${this.#load.replyBytes} bytes are on their way`));
    }
    this.#load.add("replyBytes", length);
    sent.reply = { bytes: new Uint8Array(length), length, filledBytes: 0 };
    fill(sent.reply, bytes);
  }

  #takeMoreOfReply(id: number, bytes: Uint8Array): void {
    const sent = this.#sent.get(id);
    const assembly = sent?.reply ?? this.#abandoned.get(id);
    if (assembly === undefined) throw malformed("the rest of a reply that never began");
    if (!fill(assembly, bytes)) return;
    if (sent === undefined) return void this.#abandoned.delete(id);
    this.#load.add("replyBytes", -assembly.length);
    sent.reply = undefined;
    this.#settle(id, sent, assembly.bytes!);
  }

  #settle(id: number, sent: Sent, body: Uint8Array): void {
    this.#sent.delete(id);
    // A reply that comes before the whole request was sent makes the rest of no use.
    if (sent.outgoing.sentBytes < sent.outgoing.body.length) sent.queue.cancel(sent.outgoing);
    if (sent.isErrorReply) sent.reject(decodeError(body));
    else sent.resolve(body);
  }

  #abandon(id: number, reply: Assembly): void {
    this.#load.add("replyBytes", -reply.length);
    reply.bytes = undefined;
    this.#abandoned.set(id, reply);
    this.#checkAbandoned();
  }

  #checkAbandoned(): void {
    if (this.#abandoned.size > this.#budget.countMax * 2) this.#link.refuse("over-budget", "it began more replies than were asked for");
  }

  // --- requests of the peer -------------------------------------------------------------------------------------------

  #takeRequest(channel: Channel, { method, id, length, bytes }: BodyFrame & { kind: "request" }): void {
    if (this.#taken.has(id)) throw malformed("two requests with one id");
    const { countMax, bodyBytesMax } = this.#budget;
    if (length > bodyBytesMax) throw malformed(`a request of ${length} bytes`);
    const load = this.#load;
    const isWhole = bytes.length === length;
    if (this.#taken.size >= countMax * 2 || this.#queueOf(channel).length > countMax * 4) return this.#link.refuse("over-budget", "it sent more requests than its budget allows, and takes no replies");
    const isRefused = load.takenCount >= countMax || load.isFull("takenBytes", length, this.#budget);
    const assembly: Assembly = { bytes: isRefused || isWhole ? undefined : new Uint8Array(length), length, filledBytes: 0 };
    if (isRefused) {
      if (!isWhole) {
        assembly.filledBytes = bytes.length;
        this.#taken.set(id, { method, channel, length, heldBytes: 0, assembly, controller: undefined });
      }
      return this.#answer(channel, id, "error", encodeError(busy(`${load.takenCount} requests of this member with ${load.takenBytes} bytes are not answered yet`)), nothing);
    }
    load.add("takenCount", 1);
    load.add("takenBytes", length);
    const taken: Taken = { method, channel, length, heldBytes: length, assembly, controller: new AbortController() };
    this.#taken.set(id, taken);
    if (isWhole) void this.#run(id, taken, bytes);
    else fill(assembly, bytes);
  }

  #takeMoreOfRequest(id: number, bytes: Uint8Array): void {
    const taken = this.#taken.get(id);
    if (taken === undefined || taken.assembly.filledBytes === taken.length) throw malformed("the rest of a request that never began");
    if (!fill(taken.assembly, bytes)) return;
    if (taken.controller === undefined) return void this.#taken.delete(id);
    void this.#run(id, taken, taken.assembly.bytes!);
  }

  #takeCancel(id: number): void {
    const taken = this.#taken.get(id);
    if (taken === undefined) return; // the reply has crossed it
    taken.controller?.abort(new CodedError({ code: "PEER_CANCELED", kind: "canceled", message: `${this.#link.peer.name} no longer waits` }));
    if (taken.assembly.filledBytes < taken.length && taken.assembly.bytes !== undefined) this.#finish(id, taken);
    else if (taken.controller === undefined) this.#taken.delete(id);
  }

  async #run(id: number, taken: Taken, body: Uint8Array): Promise<void> {
    taken.assembly.filledBytes = taken.length;
    taken.assembly.bytes = undefined;
    const { signal } = taken.controller!;
    let kind: "reply" | "error" = "reply";
    const reply = await this.#serve({ method: taken.method, body, signal }).catch((error: unknown) => {
      kind = "error";
      return encodeError(error);
    });
    if (this.#isEnded) return; // `end` has given the bytes back
    if (signal.aborted) return this.#finish(id, taken);
    this.#load.add("takenBytes", reply.length - taken.heldBytes); // the request's body is of no use any more
    taken.heldBytes = reply.length;
    this.#answer(taken.channel, id, kind, reply, () => {
      if (!this.#isEnded) this.#finish(id, taken);
    });
  }

  #answer(channel: Channel, id: number, kind: "reply" | "error", body: Uint8Array, onSent: () => void): void {
    this.#queueOf(channel).add({ kind, method: undefined, id, body, onSent, sentBytes: -1, isDropped: false });
  }

  #queueOf(channel: Channel): SendQueue {
    return channel === "push" ? this.#queues.push : this.#queues.read;
  }

  #finish(id: number, taken: Taken): void {
    this.#taken.delete(id);
    if (taken.controller === undefined) return;
    taken.controller = undefined;
    this.#load.add("takenCount", -1);
    this.#load.add("takenBytes", -taken.heldBytes);
  }
}

/** True: the body is whole. Throws PEER_MALFORMED where there is more than its length. */
function fill(assembly: Assembly, bytes: Uint8Array): boolean {
  if (bytes.length > assembly.length - assembly.filledBytes) throw malformed("more bytes of a body than its length");
  assembly.bytes?.set(bytes, assembly.filledBytes);
  assembly.filledBytes += bytes.length;
  return assembly.filledBytes === assembly.length;
}

function nothing(): void {}
