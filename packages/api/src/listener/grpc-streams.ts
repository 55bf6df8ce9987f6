/**
 * Calls of several messages over gRPC. Requests and replies are streams of frames (rpc/message-frame.ts); the status is in the trailers.
 *
 * What must stay true: a call ends with its client, its deadline and the stop of the node, whether its client reads or not. What a call holds
 * is bounded: MESSAGE_BYTES_MAX of a message that arrives, WAITING_BYTES_MAX of messages that nobody has received yet, and the one message
 * that is being sent.
 */
import { CodedError, invalidArgument, unavailable } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";
import type { Compression } from "../ports/compression.ts";
import { errorReply } from "../ports/error-status.ts";
import type { IncomingRequest, OutgoingResponse } from "../ports/http-stream.ts";
import type { ContentCoding } from "../ports/content-coding.ts";
import type { UnpackMemory } from "../ports/request-memory.ts";
import type { StreamCall, StreamHandler } from "../ports/stream-call.ts";
import { inflateMessage } from "../rpc/adapted-request.ts";
import { ArrivingFrames } from "../rpc/arriving-frames.ts";
import { encodingMissing, GRPC_ENCODINGS_ACCEPTED, grpcEncodingOf } from "../rpc/grpc-encoding.ts";
import { applyGrpcTimeout } from "../rpc/grpc-timeout.ts";
import { OK_STATUS, statusHeaders } from "../rpc/grpc.ts";
import { FRAME_HEADER_BYTES, frameHeader } from "../rpc/message-frame.ts";
import type { MessageFrame } from "../rpc/message-frame.ts";

interface GrpcStreamsModules {
  readonly clock: Clock;
  readonly compression: Compression;
  readonly logger: Logger;
}

export class GrpcStreams {
  readonly #modules: GrpcStreamsModules;
  /** At the bound one more is refused. */
  readonly #running = new Set<GrpcStream>();
  #isStopping = false;

  constructor(modules: GrpcStreamsModules) {
    this.#modules = modules;
  }

  /** Throws STREAMS_TOO_MANY. Call it before the request is handed over. */
  checkRoom(): void {
    if (this.#running.size < CALL_COUNT_MAX) return;
    throw new CodedError({ code: "STREAMS_TOO_MANY", kind: "resource_exhausted", message: `${CALL_COUNT_MAX} calls with streams run on this node: end one, or ask another node`, details: { retryAfterSeconds: 1 } });
  }

  run(request: IncomingRequest, response: OutgoingResponse, handler: StreamHandler): void {
    const stream = new GrpcStream(request, response, this.#modules);
    this.#running.add(stream);
    if (this.#isStopping) stream.end(stopping());
    void stream.run(handler).finally(() => this.#running.delete(stream));
  }

  beginStop(): void {
    this.#isStopping = true;
    for (const stream of this.#running) stream.end(stopping());
  }
}

class GrpcStream implements StreamCall {
  readonly #response: OutgoingResponse;
  readonly #modules: GrpcStreamsModules;
  readonly #controller = new AbortController();
  readonly #messages: MessageFrame[] = [];
  /** Of its messages; undefined: none may be compressed. */
  #coding: ContentCoding | undefined;
  readonly #arriving = new ArrivingFrames();
  #waitingBytes = 0;
  #isComplete = false;
  /** A message waits to be sent. */
  #isSending = false;
  #onMessage: (() => void) | undefined;
  #deadline: Timer | undefined;

  constructor(request: IncomingRequest, response: OutgoingResponse, modules: GrpcStreamsModules) {
    const { headers } = request;
    this.#response = response;
    this.#modules = modules;
    response.on("close", () => this.end(new CodedError({ code: "CLIENT_GONE", kind: "canceled", message: "the client went away" })));
    response.setTrailers?.(OK_STATUS); // replaced when the call ends
    response.writeHead(200, ["content-type", headers["content-type"] ?? "application/grpc", "grpc-accept-encoding", GRPC_ENCODINGS_ACCEPTED]);
    request.on("data", (chunk) => this.#take(chunk)).on("end", () => this.#complete());
    try {
      this.#coding = grpcEncodingOf({ headers: headers as Readonly<Record<string, string>> }); // lists are for set-cookie only
      const endAfter = (ms: number, reason: CodedError): void => void (this.#deadline = modules.clock.after(ms, () => this.end(reason)));
      applyGrpcTimeout({ headers: headers as Readonly<Record<string, string>>, endAfter }); // as above
    } catch (refusal) {
      this.end(refusal);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async run(handler: StreamHandler): Promise<void> {
    let trailers = OK_STATUS;
    try {
      await handler(this);
    } catch (thrown) {
      const error: unknown = this.signal.aborted ? this.signal.reason : thrown;
      if (!(error instanceof CodedError)) this.#modules.logger.error("a call with streams failed", { error });
      trailers = statusHeaders(errorReply(error));
    }
    this.#deadline?.cancel();
    if (this.#response.destroyed) return;
    this.#response.setTrailers?.(trailers);
    this.#response.end();
  }

  /** The first reason counts. A client that has not read the message before is told nothing: its status would wait behind that. */
  end(reason: unknown): void {
    this.#controller.abort(reason);
    this.#onMessage?.();
    if (this.#isSending) this.#response.destroy();
  }

  async receive(): Promise<Uint8Array | undefined> {
    const idle = this.#modules.clock.after(IDLE_MS, () => this.end(new CodedError({ code: "STREAM_IDLE", kind: "deadline_exceeded", message: `no message came in ${IDLE_MS / 1000} s: call again when there is one` })));
    while (this.#messages.length === 0 && !this.#isComplete && !this.signal.aborted) await new Promise<void>((resolve) => (this.#onMessage = resolve));
    idle.cancel();
    this.signal.throwIfAborted();
    const frame = this.#messages.shift();
    if (frame === undefined) return undefined;
    this.#waitingBytes -= heldBytes(frame);
    if (!frame.isCompressed) return frame.message;
    if (this.#coding === undefined) throw encodingMissing();
    return inflateMessage(frame.message, { coding: this.#coding, sizeBytesMax: MESSAGE_BYTES_MAX }, { unpackMemory: MESSAGE_MEMORY, caller: this.signal, compression: this.#modules.compression });
  }

  async send(message: Uint8Array): Promise<void> {
    this.signal.throwIfAborted();
    const late = this.#modules.clock.after(SEND_MS, () => this.end(new CodedError({ code: "STREAM_UNREAD", kind: "deadline_exceeded", message: `the client did not read a message in ${SEND_MS / 1000} s` })));
    this.#isSending = true;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#response.write(Buffer.concat([frameHeader(message.length, 0), message]), (error) => (error === undefined || error === null ? resolve() : reject(error)));
      });
    } finally {
      this.#isSending = false;
      late.cancel();
    }
  }

  #take(chunk: Buffer): void {
    if (this.signal.aborted) return;
    try {
      this.#arriving.add(chunk);
      for (let frame = this.#arriving.next(); frame !== undefined; frame = this.#arriving.next()) {
        this.#messages.push(frame);
        this.#waitingBytes += heldBytes(frame);
        if (this.#waitingBytes > WAITING_BYTES_MAX) throw tooLarge(`more than ${WAITING_BYTES_MAX} bytes of messages wait here, where each counts ${MESSAGE_COST_BYTES} bytes more than it has: send less at once`);
      }
      if (this.#arriving.sizeBytes > FRAME_HEADER_BYTES + MESSAGE_BYTES_MAX) throw tooLarge(`a message has more than ${MESSAGE_BYTES_MAX} bytes: send less at once`);
    } catch (refusal) {
      return this.end(refusal);
    }
    this.#onMessage?.();
  }

  #complete(): void {
    this.#isComplete = true;
    this.#onMessage?.();
  }
}

/** Calls with streams are of probes and of tools: few, and their messages small. */
const CALL_COUNT_MAX = 256;
const MESSAGE_BYTES_MAX = 64 * 2 ** 10;
/** What a message that waits costs beside its bytes: it is two objects. Empty ones would be 13,000 in 64 KiB. */
const MESSAGE_COST_BYTES = 256;
/** Room for one of the largest. */
const WAITING_BYTES_MAX = MESSAGE_BYTES_MAX + MESSAGE_COST_BYTES;
/** For one message decompressed, of which CALL_COUNT_MAX bounds all. zstd may have a quarter of what a request may. */
const MESSAGE_MEMORY: UnpackMemory = { bytesMax: 4 * MESSAGE_BYTES_MAX, take: () => Promise.resolve(), tryTake: () => true, give: () => {}, freeAtEnd: () => {} };
/** A client that has opened a call and sends nothing holds one of few. */
const IDLE_MS = 300_000;
/** So does one that does not read what it is sent. */
const SEND_MS = 30_000;

function heldBytes({ message }: MessageFrame): number {
  return MESSAGE_COST_BYTES + message.length;
}

function stopping(): CodedError {
  return unavailable("NODE_STOPPING", "this node is stopping: ask another, or try again in a second");
}

function tooLarge(message: string): CodedError {
  return invalidArgument("BODY_TOO_LARGE", message);
}
