import { expect } from "chai";
import { ArrivingFrames } from "./arriving-frames.ts";
import { frameHeader } from "./message-frame.ts";

const MESSAGES = ["", "a", "hello", "", "x".repeat(300), "last"];
const SENT = Buffer.concat(MESSAGES.flatMap((message, index) => [frameHeader(message.length, index % 2), Buffer.from(message)]));

describe("frames that arrive", () => {
  it("are whole, whatever the size of the pieces, and keep nothing of them", () => {
    for (let pieceBytes = 1; pieceBytes <= SENT.length; pieceBytes++) {
      const arriving = new ArrivingFrames();
      const frames = [];
      for (let at = 0; at < SENT.length; at += pieceBytes) {
        const piece = Buffer.from(SENT.subarray(at, at + pieceBytes));
        arriving.add(piece);
        for (let frame = arriving.next(); frame !== undefined; frame = arriving.next()) frames.push(frame);
        piece.fill("#");
      }
      expect(frames.map(({ message }) => Buffer.from(message).toString()), String(pieceBytes)).to.deep.equal(MESSAGES);
      expect(frames.map(({ isCompressed }) => isCompressed)).to.deep.equal(MESSAGES.map((_, index) => index % 2 === 1));
      expect(arriving.sizeBytes).to.equal(0);
    }
  });

  it("what is not whole is counted, and waits", () => {
    const arriving = new ArrivingFrames();
    arriving.add(SENT.subarray(0, 9));
    expect([arriving.next()?.message.length, arriving.next(), arriving.sizeBytes]).to.deep.equal([0, undefined, 4]);
  });

  // With a new buffer for each piece it was 2 GB that were copied for a message of 64 KB.
  it("a large message in pieces of a byte is copied a few times", () => {
    const arriving = new ArrivingFrames();
    const sizeBytes = 60_000;
    let copiedBytes = 0;
    const set = Uint8Array.prototype.set;
    Uint8Array.prototype.set = function (this: Uint8Array, from: ArrayLike<number>, at?: number): void {
      copiedBytes += from.length;
      set.call(this, from, at);
    };
    try {
      for (const byte of Buffer.concat([frameHeader(sizeBytes, 0), Buffer.alloc(sizeBytes)])) arriving.add(Uint8Array.of(byte));
    } finally {
      Uint8Array.prototype.set = set;
    }
    expect(arriving.next()?.message.length).to.equal(sizeBytes);
    expect(copiedBytes).to.be.below(4 * sizeBytes);
  });
});
