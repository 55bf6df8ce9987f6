/**
 * Requests between members: many at a time on one link, each with an id, each side asking and answering. `append` has the channel `push`, all others `read`.
 *
 * Bounds, for each peer: requests under way and bytes of their bodies, in both directions; and their bytes for all peers together. Beyond them this node's own requests are refused with PEER_BUSY before
 * anything is sent, and the peer's are answered with PEER_BUSY. So a peer that is slow or stopped costs no more than that, and the others nothing.
 */
import { CodedError, messageOf, unavailable, type Clock, type Histogram, type Logger, type Metrics, type Timer } from "@pyromesh/base";
import { decodeBodyFrame, METHODS, type PeerMethod } from "./frame.ts";
import type { LinkedPeer, ProvenLink } from "./link-session.ts";
import { busy, PEER_BUDGET, PeerLoad, type PeerBudget } from "./peer-budget.ts";
import type { LinkUser, PeerLinks } from "./peer-links.ts";
import type { Channel } from "./peer-network.ts";
import { RequestWire, type Sent, type Served } from "./request-wire.ts";

/** `from`: the member that asks, as its handshake proved. The signal is aborted when the peer goes away or no longer waits. */
export type PeerHandler = (from: PeerIdentity, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;

export interface PeerIdentity {
  readonly name: string;
  readonly storeId: string;
  readonly bootId: string;
  /** The version of the peer protocol that both agreed on. */
  readonly protocol: number;
}

export interface PeerRequestOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

interface PeerRequestsModules {
  readonly links: PeerLinks;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
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
  /** What is under way with all members. */
  readonly #all = new PeerLoad();
  /** By the member's name. One with nothing under way is removed with its link. */
  readonly #loads = new Map<string, PeerLoad>();
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

  /** Whether anything comes from the member within `timeoutMs`, which is asked for a sign of life. False where it has no link by then. */
  async hears(member: string, timeoutMs: number): Promise<boolean> {
    const link = this.#links.current(member);
    if (link !== undefined) return link.ping(timeoutMs);
    await this.#clock.sleep(timeoutMs);
    return this.#links.isLinked(member);
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

  #loadOf(member: string): PeerLoad {
    let load = this.#loads.get(member);
    if (load === undefined) this.#loads.set(member, (load = new PeerLoad(this.#all)));
    return load;
  }

  #forgetLoad(member: string): void {
    const load = this.#loads.get(member);
    if (load === undefined || load.sentCount + load.takenCount > 0 || this.#links.isLinked(member)) return;
    for (const { peer } of this.#wires.keys()) if (peer.name === member) return;
    this.#loads.delete(member);
  }

  async #send(member: string, method: PeerMethod, body: Uint8Array, { timeoutMs, signal }: PeerRequestOptions): Promise<Uint8Array> {
    const { countMax, bodyBytesMax } = this.#budget;
    signal?.throwIfAborted();
    if (body.length > bodyBytesMax) throw new CodedError({ code: "PEER_BODY_TOO_LARGE", kind: "resource_exhausted", message: `a request of ${body.length} bytes to ${member} is longer than ${bodyBytesMax} bytes` });
    const load = this.#loadOf(member);
    if (load.sentCount >= countMax || load.isFull("sentBytes", body.length, this.#budget)) throw busy(`${load.sentCount} requests with ${load.sentBytes} bytes to ${member} are not answered yet`);
    load.add("sentCount", 1);
    load.add("sentBytes", body.length);
    try {
      return await this.#exchange(member, method, body, timeoutMs, signal);
    } finally {
      load.add("sentCount", -1);
      load.add("sentBytes", -body.length);
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
      const reply = await handler({ name: peer.name, storeId: peer.storeId, bootId: peer.bootId, protocol: peer.protocol }, body, signal);
      const { bodyBytesMax } = this.#budget;
      if (reply.length > bodyBytesMax) throw new CodedError({ code: "PEER_BODY_TOO_LARGE", kind: "resource_exhausted", message: `the reply to ${method} of ${reply.length} bytes is longer than ${bodyBytesMax} bytes` });
      end("ok");
      const bytes = this.#bytes.get(method)!; // it has all methods
      bytes.received += body.length;
      bytes.sent += reply.length;
      return reply;
    } catch (error) {
      end(signal.aborted ? "canceled" : "error");
      if (error instanceof CodedError && error.code === "PEER_MALFORMED") this.#links.noteMalformed(peer, error.message);
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
