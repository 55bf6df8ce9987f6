/**
 * A request's body, read into one ArrayBuffer of its own, since a worker will take that buffer over. Where the length is known
 * the bytes go straight to their place; where it is not (chunked) they are joined at the end.
 *
 * What must stay true: never more than `sizeBytesMax` of one body, nor more than the gate's bound of all bodies together.
 */
import type { IncomingMessage } from "node:http";
import { CodedError, unavailable } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";

export interface BodyOptions {
  /** From the first read to the last byte. */
  readonly timeoutMs: number;
}

/** What all bodies in flight hold. At the bound a new body is refused (503): the client tries again when others are done. */
export class BodyGate {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A body alone may be as large as its own limit lets it, whatever the bound: else it would never get in. */
  tryTake(bytes: number): boolean {
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

export class RequestBody {
  readonly #request: IncomingMessage;
  readonly #gate: BodyGate;
  readonly #clock: Clock;
  readonly #options: BodyOptions;
  #takenBytes = 0;
  #isStarted = false;

  constructor(options: BodyOptions, modules: { readonly request: IncomingMessage; readonly gate: BodyGate; readonly clock: Clock }) {
    this.#options = options;
    this.#request = modules.request;
    this.#gate = modules.gate;
    this.#clock = modules.clock;
  }

  /** Rejects BODY_TOO_LARGE, BODY_READ_FAILED or BODIES_TOO_MANY. */
  read(sizeBytesMax: number): Promise<Uint8Array> {
    if (this.#isStarted) return Promise.reject(new Error("the body was read twice"));
    this.#isStarted = true;
    const length = this.#request.headers["content-length"];
    if (length === undefined && this.#request.headers["transfer-encoding"] === undefined) return Promise.resolve(new Uint8Array(0));
    const sizeBytes = length === undefined ? undefined : Number(length);
    if (sizeBytes !== undefined && sizeBytes > sizeBytesMax) return Promise.reject(tooLarge(sizeBytesMax));
    if (sizeBytes !== undefined && !this.#take(sizeBytes)) return Promise.reject(tooMany());
    return this.#collect(sizeBytes === undefined ? new Chunks() : new Filled(sizeBytes), sizeBytesMax, sizeBytes === undefined);
  }

  /** Call once the request is done with: what it held counts no more. */
  release(): void {
    this.#gate.give(this.#takenBytes);
    this.#takenBytes = 0;
  }

  #take(bytes: number): boolean {
    // Our own earlier bytes do not make us alone: they count like anyone's.
    if (!this.#gate.tryTake(bytes)) return false;
    this.#takenBytes += bytes;
    return true;
  }

  #collect(into: Collector, sizeBytesMax: number, isGrowing: boolean): Promise<Uint8Array> {
    const request = this.#request;
    return new Promise((resolve, reject) => {
      let sizeBytes = 0;
      const stop = (): void => {
        timer.cancel();
        request.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onClose);
      };
      const fail = (error: CodedError): void => {
        stop();
        request.on("error", () => {}); // a later reset has been told already
        request.resume();
        reject(error);
      };
      const onData = (chunk: Buffer): void => {
        sizeBytes += chunk.length;
        if (sizeBytes > sizeBytesMax) return fail(tooLarge(sizeBytesMax));
        if (isGrowing && !this.#take(chunk.length)) return fail(tooMany());
        into.add(chunk);
      };
      const onEnd = (): void => {
        stop();
        resolve(into.finish());
      };
      const onClose = (): void => fail(readFailed("the client stopped before its body was whole: send it again"));
      const timer = this.#clock.after(this.#options.timeoutMs, () =>
        fail(readFailed(`the body did not arrive within ${Math.round(this.#options.timeoutMs / 1000)}s: send less at once, or over a better line`)),
      );
      request.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onClose);
    });
  }
}

interface Collector {
  add(chunk: Uint8Array): void;
  finish(): Uint8Array;
}

/** The parser hands over exactly as many bytes as Content-Length says, or fails the request. */
class Filled implements Collector {
  readonly #bytes: Uint8Array;
  #length = 0;

  constructor(sizeBytes: number) {
    this.#bytes = new Uint8Array(sizeBytes);
  }

  add(chunk: Uint8Array): void {
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  finish(): Uint8Array {
    return this.#bytes;
  }
}

class Chunks implements Collector {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}

function tooLarge(sizeBytesMax: number): CodedError {
  return new CodedError({ code: "BODY_TOO_LARGE", kind: "invalid_argument", message: `the body is larger than ${sizeBytesMax} bytes: send less at once` });
}

function tooMany(): CodedError {
  return unavailable("BODIES_TOO_MANY", "this node holds as many request bodies as it may: try again in a second");
}

function readFailed(message: string): CodedError {
  return new CodedError({ code: "BODY_READ_FAILED", kind: "canceled", message });
}
