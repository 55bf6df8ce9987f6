/**
 * Sends a large reply in pieces, each one after the kernel has taken the one before. So the progress of the reader is known, and a slow
 * reader can be told from a dead one. Nothing is copied. A small reply is written whole; where the kernel does not take all of it, its
 * rest is watched here too.
 *
 * What must stay true: a response is ended after the kernel has taken its last byte, not before. When the server closes, Node.js closes
 * the connections whose response has ended, and would cut off the rest.
 */
import { Turns } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { OutgoingResponse } from "../ports/http-stream.ts";
import { ReaderPace } from "./reader-pace.ts";
import type { PaceContext, PaceRule } from "./reader-pace.ts";

const PIECE_BYTES = 64 * 2 ** 10;

export class ReplySender {
  readonly sizeBytes: number;
  readonly #response: OutgoingResponse;
  readonly #clock: Clock;
  readonly #pace: ReaderPace;
  #takenBytes = 0;

  constructor({ response, sizeBytes, rule }: { readonly response: OutgoingResponse; readonly sizeBytes: number; readonly rule: PaceRule }, { clock }: { readonly clock: Clock }) {
    this.sizeBytes = sizeBytes;
    this.#response = response;
    this.#clock = clock;
    this.#pace = new ReaderPace(rule, clock.monotonicMs());
  }

  /**
   * Call it after the headers are written. Resolves with true when everything was taken; with false, or never, where the client goes away
   * first.
   */
  async send(bytes: Uint8Array): Promise<boolean> {
    // A fast reader lets all pieces leave in one turn of the event loop, so other work gets a turn between them.
    const turns = new Turns({ clock: this.#clock });
    for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES) {
      const piece = bytes.subarray(offset, offset + PIECE_BYTES);
      if (!(await this.#write(piece))) return false;
      this.#takenBytes += piece.length;
      if (turns.areDue) await turns.give();
    }
    return true;
  }

  isTooSlow(context: PaceContext): boolean {
    // While it waits behind another reply of its connection it has no socket, and its client cannot read it.
    if (this.#response.socket === null) {
      this.#pace.pause(context.nowMs);
      return false;
    }
    return this.#pace.isTooSlow(this.#takenBytes, context);
  }

  endsInMs(nowMs: number): number {
    return this.#pace.endsInMs(this.#takenBytes, this.sizeBytes - this.#takenBytes, nowMs);
  }

  #write(piece: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => this.#response.write(piece, (error) => resolve(error === undefined || error === null)));
  }
}
