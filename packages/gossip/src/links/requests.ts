/**
 * Requests between members: many at a time on one link, each with an id, each side asking and answering. `append` has the channel `push`, all others `read`.
 *
 * Bounds, for each peer: requests under way and bytes of their bodies, in both directions. Beyond them this node's own requests are refused with PEER_BUSY before
 * anything is sent, and the peer's are answered with PEER_BUSY. So a peer that is slow or stopped costs no more than that, and the others nothing.
 */
import { CodedError, messageOf, unavailable, type Clock, type Histogram, type Logger, type Metrics, type Timer } from "@pyromesh/base";
import { decodeBodyFrame, decodeError, encodeError, malformed, METHODS, type BodyFrame, type PeerMethod } from "./frame.ts";
import type { LinkedPeer, ProvenLink } from "./link-session.ts";
import type { LinkUser, PeerLinks } from "./peer-links.ts";
import type { Channel } from "./peer-network.ts";
import { SendQueue, type Outgoing } from "./send-queue.ts";

/** `from`: the member that asks, as its handshake proved. The signal is aborted when the peer goes away or no longer waits. */
export type PeerHandler = (from: PeerIdentity, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;

export interface PeerIdentity {
  readonly name: string;
  readonly storeId: string;
  /** The version of the peer protocol that both agreed on. */
  readonly protocol: number;
}

export interface PeerRequestOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** For each peer, each way. */
export interface PeerBudget {
  readonly countMax: number;
  readonly bytesMax: number;
  /** The longest body of a request or a reply. */
  readonly bodyBytesMax: number;
}

export const PEER_BUDGET: PeerBudget = { countMax: 1024, bytesMax: 64 * 2 ** 20, bodyBytesMax: 64 * 2 ** 20 };

interface PeerRequestsModules {
  readonly links: PeerLinks;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** What is under way with one peer. */
interface Load {
  sentCount: number;
  /** Bodies of requests that are not answered yet. */
  sentBytes: number;
  /** Replies that are not whole yet. */
  replyBytes: number;
  takenCount: number;
  /** Bodies of requests that are not answered yet, and of replies that the link has not taken. */
  takenBytes: number;
}

type Outcome = "ok" | "error" | "timeout" | "unreachable" | "busy" | "canceled";

const DURATION_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export class PeerRequests implements LinkUser {
  readonly #links: PeerLinks;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #budget: PeerBudget;
  readonly #handlers = new Map<PeerMethod, PeerHandler>();
  readonly #wires = new Map<ProvenLink, RequestWire>();
  /** By the member's name. One with nothing under way is removed with its link. */
  readonly #loads = new Map<string, Load>();
  readonly #sentSeconds: Histogram;
  readonly #servedSeconds: Histogram;
  /** Bytes of bodies, of this node's requests and of others': by method, sent and received. */
  readonly #bytes: ReadonlyMap<PeerMethod, { sent: number; received: number }> = new Map(METHODS.map((method) => [method, { sent: 0, received: 0 }]));

  constructor({ links, clock, logger, metrics }: PeerRequestsModules, budget: PeerBudget = PEER_BUDGET) {
    this.#links = links;
    this.#clock = clock;
    this.#logger = logger;
    this.#budget = budget;
    this.#sentSeconds = metrics.histogram("pyromesh_peer_request_duration_seconds", "Requests of this node to other members, by method and outcome.", ["method", "outcome"], DURATION_BUCKETS_S);
    this.#servedSeconds = metrics.histogram("pyromesh_peer_served_duration_seconds", "Requests of other members that this node answered, by method and outcome.", ["method", "outcome"], DURATION_BUCKETS_S);
    metrics.readCounter("pyromesh_peer_body_bytes_total", "Bytes of requests and their replies between this node and other members, of those that were answered, by method and direction.", () =>
      [...this.#bytes].flatMap(([method, bytes]) => (["sent", "received"] as const).map((direction) => ({ labels: { method, direction }, value: bytes[direction] }))),
    );
    const shown = new Set<string>();
    metrics.gauge("pyromesh_peer_queue_bytes", "Bytes of requests and replies that are under way with a member: of its own requests (in), of this node's (out).", ["member", "direction"], (gauge) => {
      for (const member of shown) {
        if (this.#loads.has(member)) continue;
        shown.delete(member);
        for (const direction of ["in", "out"]) gauge.remove({ member, direction });
      }
      for (const [member, { sentBytes, replyBytes, takenBytes }] of this.#loads) {
        shown.add(member);
        gauge.set({ member, direction: "out" }, sentBytes + replyBytes);
        gauge.set({ member, direction: "in" }, takenBytes);
      }
    });
    links.setUser(this);
  }

  /** One handler a method. */
  handle(method: PeerMethod, handler: PeerHandler): void {
    this.#handlers.set(method, handler);
  }

  /**
   * Rejects PEER_UNREACHABLE (no link, or it closed), PEER_TIMEOUT, PEER_BUSY (the budget of this peer is used up), all of kind `unavailable`, with the signal's
   * reason, or with the coded error of the peer's handler. Whether the peer did what was asked is unknown after the first two.
   */
  async request(member: string, method: PeerMethod, body: Uint8Array, options: PeerRequestOptions): Promise<Uint8Array> {
    const startMs = this.#clock.monotonicMs();
    const end = (outcome: Outcome): void => this.#sentSeconds.observe({ method, outcome }, (this.#clock.monotonicMs() - startMs) / 1000);
    try {
      const reply = await this.#send(member, method, body, options);
      end("ok");
      const bytes = this.#bytes.get(method)!; // it has all methods
      bytes.sent += body.length;
      bytes.received += reply.length;
      return reply;
    } catch (error) {
      end(outcomeOf(error, options.signal));
      throw error;
    }
  }

  onFrame(link: ProvenLink, channel: Channel, frame: Uint8Array): void {
    this.#wireOf(link).take(channel, decodeBodyFrame(frame));
  }

  onDown(link: ProvenLink, reason: string): void {
    this.#wires.get(link)?.end(unavailable("PEER_UNREACHABLE", `the link to ${link.peer.name} closed: ${reason}`));
    this.#wires.delete(link);
    this.#forgetLoad(link.peer.name);
  }

  isIdle(link: ProvenLink): boolean {
    return this.#wires.get(link)?.isIdle ?? true;
  }

  /** Call it for a link that is not closed. */
  #wireOf(link: ProvenLink): RequestWire {
    let wire = this.#wires.get(link);
    if (wire === undefined) {
      wire = new RequestWire(link, { load: this.#loadOf(link.peer.name), budget: this.#budget, serve: (request) => this.#serve(link.peer, request) });
      this.#wires.set(link, wire);
    }
    return wire;
  }

  #loadOf(member: string): Load {
    let load = this.#loads.get(member);
    if (load === undefined) this.#loads.set(member, (load = { sentCount: 0, sentBytes: 0, replyBytes: 0, takenCount: 0, takenBytes: 0 }));
    return load;
  }

  #forgetLoad(member: string): void {
    const load = this.#loads.get(member);
    if (load === undefined || load.sentCount + load.takenCount > 0 || this.#links.isLinked(member)) return;
    for (const { peer } of this.#wires.keys()) if (peer.name === member) return;
    this.#loads.delete(member);
  }

  async #send(member: string, method: PeerMethod, body: Uint8Array, { timeoutMs, signal }: PeerRequestOptions): Promise<Uint8Array> {
    const { countMax, bytesMax, bodyBytesMax } = this.#budget;
    signal?.throwIfAborted();
    if (body.length > bodyBytesMax) throw new CodedError({ code: "PEER_BODY_TOO_LARGE", kind: "resource_exhausted", message: `a request of ${body.length} bytes to ${member} is longer than ${bodyBytesMax} bytes` });
    const load = this.#loadOf(member);
    if (load.sentCount >= countMax || load.sentBytes + body.length > bytesMax) throw busy(`${load.sentCount} requests with ${load.sentBytes} bytes to ${member} are not answered yet`);
    load.sentCount++;
    load.sentBytes += body.length;
    try {
      return await this.#exchange(member, method, body, timeoutMs, signal);
    } finally {
      load.sentCount--;
      load.sentBytes -= body.length;
      if (load.sentCount === 0) this.#forgetLoad(member);
    }
  }

  #exchange(member: string, method: PeerMethod, body: Uint8Array, timeoutMs: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      let wire: RequestWire | undefined;
      let sent: Sent | undefined;
      let isOver = false;
      const stop = (): void => {
        isOver = true;
        timer.cancel();
        signal?.removeEventListener("abort", onAbort);
      };
      const fail = (error: Error): void => {
        stop();
        reject(error);
      };
      const onAbort = (): void => {
        if (sent !== undefined) wire?.cancel(sent);
        fail(signal!.reason as Error); // abort() accepts anything as a reason
      };
      const timer: Timer = this.#clock.after(timeoutMs, () => {
        if (sent !== undefined) wire?.timeOut(sent);
        fail(unavailable("PEER_TIMEOUT", `${member} did not answer ${method} within ${timeoutMs} ms`));
      });
      const begin = (link: ProvenLink): void => {
        if (isOver) return;
        if (link.isRetired) return fail(unavailable("PEER_UNREACHABLE", `the link to ${member} closed`));
        wire = this.#wireOf(link);
        sent = wire.send(method, body, {
          resolve: (reply) => {
            stop();
            resolve(reply);
          },
          reject: fail,
        });
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      const link = this.#links.current(member);
      if (link !== undefined) begin(link);
      else this.#links.linkTo(member).then(begin, fail);
    });
  }

  async #serve(peer: LinkedPeer, { method, body, signal }: Served): Promise<Uint8Array> {
    const startMs = this.#clock.monotonicMs();
    const end = (outcome: Outcome): void => this.#servedSeconds.observe({ method: method ?? "unknown", outcome }, (this.#clock.monotonicMs() - startMs) / 1000);
    try {
      const handler = method && this.#handlers.get(method);
      if (method === undefined || handler === undefined) throw new CodedError({ code: "PEER_METHOD_UNKNOWN", kind: "unimplemented", message: `this node does not answer ${method ?? "this method"}` });
      const reply = await handler({ name: peer.name, storeId: peer.storeId, protocol: peer.protocol }, body, signal);
      const { bodyBytesMax } = this.#budget;
      if (reply.length > bodyBytesMax) throw new CodedError({ code: "PEER_BODY_TOO_LARGE", kind: "resource_exhausted", message: `the reply to ${method} of ${reply.length} bytes is longer than ${bodyBytesMax} bytes` });
      end("ok");
      const bytes = this.#bytes.get(method)!; // it has all methods
      bytes.received += body.length;
      bytes.sent += reply.length;
      return reply;
    } catch (error) {
      end(signal.aborted ? "canceled" : "error");
      if (!(error instanceof CodedError) && !signal.aborted) this.#logger.error(`answering ${method ?? "a request"} of ${peer.name} failed: ${messageOf(error)}`, { member: peer.name, method, error });
      throw error;
    }
  }
}

function outcomeOf(error: unknown, signal: AbortSignal | undefined): Outcome {
  if (signal?.aborted === true) return "canceled";
  if (!(error instanceof CodedError)) return "error";
  if (error.code === "PEER_TIMEOUT") return "timeout";
  if (error.code === "PEER_UNREACHABLE") return "unreachable";
  return error.code === "PEER_BUSY" ? "busy" : "error";
}

function busy(why: string): CodedError {
  return unavailable("PEER_BUSY", `${why}: try again later`);
}

interface Waiting {
  resolve(reply: Uint8Array): void;
  reject(error: Error): void;
}

/** A request of this node. */
interface Sent extends Waiting {
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

interface Served {
  readonly method: PeerMethod | undefined;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}

/** A request of the peer. */
interface Taken {
  readonly method: PeerMethod | undefined;
  readonly channel: Channel;
  readonly length: number;
  /** What it counts in the budget: its body, and its reply while that waits to be sent. */
  heldBytes: number;
  readonly assembly: Assembly;
  /** Undefined: it was refused, and only the rest of its frames is awaited. */
  controller: AbortController | undefined;
}

interface RequestWireModules {
  readonly load: Load;
  readonly budget: PeerBudget;
  readonly serve: (request: Served) => Promise<Uint8Array>;
}

/** The requests of one link. */
class RequestWire {
  readonly #link: ProvenLink;
  readonly #load: Load;
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
      if (reply !== undefined) this.#load.replyBytes -= reply.length;
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
    if (this.#load.replyBytes + length > this.#budget.bytesMax) {
      this.#sent.delete(id);
      this.#abandoned.set(id, { bytes: undefined, length, filledBytes: bytes.length });
      sent.queue.cancel(sent.outgoing);
      return sent.reject(busy(`replies of ${this.#link.peer.name} with ${this.#load.replyBytes} bytes are on their way`));
    }
    this.#load.replyBytes += length;
    sent.reply = { bytes: new Uint8Array(length), length, filledBytes: 0 };
    fill(sent.reply, bytes);
  }

  #takeMoreOfReply(id: number, bytes: Uint8Array): void {
    const sent = this.#sent.get(id);
    const assembly = sent?.reply ?? this.#abandoned.get(id);
    if (assembly === undefined) throw malformed("the rest of a reply that never began");
    if (!fill(assembly, bytes)) return;
    if (sent === undefined) return void this.#abandoned.delete(id);
    this.#load.replyBytes -= assembly.length;
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
    this.#load.replyBytes -= reply.length;
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
    const { countMax, bytesMax, bodyBytesMax } = this.#budget;
    if (length > bodyBytesMax) throw malformed(`a request of ${length} bytes`);
    const load = this.#load;
    const isWhole = bytes.length === length;
    if (this.#taken.size >= countMax * 2 || this.#queueOf(channel).length > countMax * 4) return this.#link.refuse("over-budget", "it sent more requests than its budget allows, and takes no replies");
    const isRefused = load.takenCount >= countMax || load.takenBytes + length > bytesMax;
    const assembly: Assembly = { bytes: isRefused || isWhole ? undefined : new Uint8Array(length), length, filledBytes: 0 };
    if (isRefused) {
      if (!isWhole) {
        assembly.filledBytes = bytes.length;
        this.#taken.set(id, { method, channel, length, heldBytes: 0, assembly, controller: undefined });
      }
      return this.#answer(channel, id, "error", encodeError(busy(`${load.takenCount} requests of this member with ${load.takenBytes} bytes are not answered yet`)), nothing);
    }
    load.takenCount++;
    load.takenBytes += length;
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
    this.#load.takenBytes += reply.length;
    taken.heldBytes += reply.length;
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
    this.#load.takenCount--;
    this.#load.takenBytes -= taken.heldBytes;
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
