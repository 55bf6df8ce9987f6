/**
 * Sends a large reply in pieces, the next one when the kernel has taken the one before: so it is known how much its reader has taken,
 * and a slow reader can be told from a dead one. The bytes stay where they are; only views of them are made. A small reply is handed over
 * whole; what is left of it then is watched here, too.
 *
 * What must stay true: a response is ended after the kernel has taken its last byte, not before. Node closes the connection of a response
 * that was ended as soon as the server closes, and would cut off what is left.
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

  /** The headers were written. Resolves with true when all was taken; with false, or never, where the reader goes away first. */
  async send(bytes: Uint8Array): Promise<boolean> {
    // A reader may be as fast as the kernel takes pieces: then all of them would leave in one turn of the loop.
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
    // Behind another reply of its connection it has no socket yet: its reader cannot read it.
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
