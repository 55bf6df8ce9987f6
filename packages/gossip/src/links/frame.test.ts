import { expect } from "chai";
import fc from "fast-check";
import { CodedError, toHex } from "@pyromesh/base";
import { decodeBodyFrame, decodeControlFrame, decodeError, encodeCancel, encodeError, encodeFirst, encodeMessage, encodeMore, encodePing, METHODS, PART_BYTES } from "./frame.ts";

const BYTES = Uint8Array.of(1, 2, 3);
const ERROR = new CodedError({ code: "HEAD_FULL", kind: "resource_exhausted", message: "the head is full: ä", details: { sizeBytes: 12.5, tenant: "a", isLast: true } });

describe("frames between members", () => {
  it("golden: the frames of protocol 1", () => {
    expect(toHex(encodeMessage(BYTES))).to.equal("10010203");
    expect(toHex(encodePing("ping", 258))).to.equal("1102010000");
    expect(toHex(encodePing("pong", 258))).to.equal("1202010000");
    expect(toHex(encodeFirst("request", "scan", 0xa1b2c3d4, BYTES))).to.equal("2004d4c3b2a103000000010203");
    expect(toHex(encodeFirst("reply", undefined, 7, BYTES))).to.equal("21000700000003000000010203");
    expect(toHex(encodeFirst("error", undefined, 7, new Uint8Array(0)))).to.equal("22000700000000000000");
    expect(toHex(encodeMore(true, 7, BYTES, 1))).to.equal("2301070000000203");
    expect(toHex(encodeMore(false, 7, BYTES, 2))).to.equal("23000700000003");
    expect(toHex(encodeCancel(7))).to.equal("240007000000");
    expect(METHODS).to.deep.equal(["append", "status", "digest", "identities", "scan", "release-pin", "sealed", "announce", "arrival", "flush", "health", "usage", "progress", "scrape", "scrape-confirm"]);
    expect(toHex(encodeError(ERROR))).to.equal(
      "0409484541445f46554c4c1474686520686561642069732066756c6c3a20c3a4030973697a6542797465730100000000000029400674656e616e740001610669734c6173740201",
    );
  });

  it("what is decoded is what was encoded", () => {
    expect(decodeControlFrame(encodeMessage(BYTES))).to.deep.equal({ kind: "message", bytes: BYTES });
    expect(decodeControlFrame(encodePing("pong", 2 ** 32 - 1))).to.deep.equal({ kind: "pong", number: 2 ** 32 - 1 });
    const body = new Uint8Array(PART_BYTES + 10).fill(5);
    const first = decodeBodyFrame(encodeFirst("request", "append", 2 ** 32 - 1, body));
    expect(first).to.deep.include({ kind: "request", method: "append", id: 2 ** 32 - 1, length: body.length });
    expect(decodeBodyFrame(encodeMore(false, 9, body, PART_BYTES))).to.deep.include({ kind: "more", isOfReply: false, id: 9 });
    expect(decodeBodyFrame(encodeCancel(9))).to.deep.equal({ kind: "cancel", id: 9 });
    const error = decodeError(encodeError(ERROR));
    expect({ ...error, message: error.message }).to.deep.equal({ ...ERROR, message: ERROR.message });
  });

  it("an error without a code tells its requester nothing of itself", () => {
    expect(decodeError(encodeError(new Error("/home/secret/path")))).to.include({ code: "PEER_FAILED", kind: "internal" });
    expect(Buffer.from(encodeError(new Error("/home/secret/path"))).toString()).not.to.include("secret");
  });

  it("a long error is cut, and can be read", () => {
    const details = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`detail ${i}`, "x".repeat(10_000)]));
    const error = decodeError(encodeError(new CodedError({ code: "A", kind: "internal", message: "x".repeat(1e6), details })));
    expect(error.message.length).to.equal(4096);
    expect(Object.keys(error.details).length).to.equal(32);
  });

  it("a method that this version does not know is a request without one", () => {
    const frame = encodeFirst("request", "append", 1, BYTES);
    frame[1] = 200;
    expect(decodeBodyFrame(frame)).to.deep.include({ kind: "request", method: undefined });
  });

  it("truncated at every byte, a frame is PEER_MALFORMED", () => {
    for (const frame of [encodeFirst("request", "append", 1, BYTES), encodeFirst("reply", undefined, 1, BYTES), encodeCancel(1)]) {
      for (let length = 0; length < frame.length; length++) expect(() => decodeBodyFrame(frame.subarray(0, length))).to.throw(CodedError).with.property("code", "PEER_MALFORMED");
    }
    const error = encodeError(ERROR);
    for (let length = 0; length < error.length; length++) expect(() => decodeError(error.subarray(0, length))).to.throw(CodedError).with.property("code", "PEER_MALFORMED");
  });

  it("noise is PEER_MALFORMED, or a frame", () => {
    const code = (decode: () => unknown): string => {
      try {
        decode();
        return "decoded";
      } catch (error) {
        return error instanceof CodedError ? error.code : String(error);
      }
    };
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.tuple(fc.constantFrom(0x10, 0x11, 0x20, 0x21, 0x22, 0x23, 0x24), fc.uint8Array({ maxLength: 64 })).map(([kind, rest]) => Uint8Array.of(kind, ...rest)),
    );
    fc.assert(
      fc.property(noise, (bytes) => {
        for (const decode of [decodeControlFrame, decodeBodyFrame, decodeError]) expect(code(() => decode(bytes))).to.be.oneOf(["decoded", "PEER_MALFORMED"]);
      }),
    );
  });
});
