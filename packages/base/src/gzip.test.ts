import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { claimedInflatedBytes, isGzip } from "./gzip.ts";

describe("gzip", () => {
  it("is recognised by its first two bytes", () => {
    expect(isGzip(Uint8Array.from([0x1f, 0x8b, 8]))).to.equal(true);
    expect(isGzip(Uint8Array.from([0x1f]))).to.equal(false);
    expect(isGzip(Uint8Array.of(0x0a, 0x8b))).to.equal(false);
    expect(isGzip(new Uint8Array(0))).to.equal(false);
  });

  it("claims the size it decompresses to, at most what deflate can do; 0 where it is too short for a trailer", () => {
    for (const length of [0, 1, 300, 70_000]) expect(claimedInflatedBytes(gzipSync(Buffer.alloc(length, "ab")))).to.equal(length);
    expect(claimedInflatedBytes(Uint8Array.of(0x1f, 0x8b, 0xff, 0xff, 0xff, 0xff))).to.equal(6 * 1_032);
    expect(claimedInflatedBytes(Uint8Array.of(0x1f, 0x8b, 1))).to.equal(0);
  });
});
