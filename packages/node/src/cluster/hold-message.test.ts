import { expect } from "chai";
import fc from "fast-check";
import { decodeHoldAnswer, decodeHoldRequest, encodeHoldAnswer, encodeHoldRequest, targetNumberOf } from "./hold-message.ts";

describe("hold messages", () => {
  it("are read as they were written", () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.record({ target: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), isGranted: fc.boolean() })), (serial, entries) => {
        const targets = entries.map(({ target }) => target);
        expect(decodeHoldRequest(encodeHoldRequest({ serial, targets }))).deep.equal({ serial, targets });
        const answer = { storeId: "0a".repeat(16), digest: "f0".repeat(16), granted: entries.map(({ isGranted }) => isGranted) };
        expect(decodeHoldAnswer(encodeHoldAnswer(answer), targets.length)).deep.equal(answer);
      }),
    );
  });

  it("that are cut off, and noise, are refused", () => {
    const request = encodeHoldRequest({ serial: 300, targets: [1n, 2n] });
    const answer = encodeHoldAnswer({ storeId: "0a".repeat(16), digest: "f0".repeat(16), granted: [true, false] });
    for (let length = 0; length < request.length; length++) expect(() => decodeHoldRequest(request.subarray(0, length))).throw().property("code", "PEER_MALFORMED");
    for (let length = 0; length < answer.length; length++) expect(() => decodeHoldAnswer(answer.subarray(0, length), 2)).throw().property("code", "PEER_MALFORMED");
    expect(() => decodeHoldRequest(Uint8Array.of(1, 0xff, 0xff, 0xff, 0x7f))).throw("at most 100000 targets");
  });

  it("the number of a target is the same on every machine", () => {
    expect(targetNumberOf("app http://a:1/debug/pprof/heap").toString(16)).equal("58accc235170de37");
  });
});
