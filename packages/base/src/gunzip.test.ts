import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { GzipTooLarge, gunzipWithin } from "./gunzip.ts";

describe("gunzip", () => {
  const text = Buffer.from("profile ".repeat(10_000));

  it("gives all members of a stream, up to the bound, whatever the trailer claims", () => {
    const two = Buffer.concat([gzipSync(text), gzipSync("end")]);
    expect(Buffer.from(gunzipWithin(two, text.length + 3)).toString()).equal(`${text.toString()}end`);
    expect(() => gunzipWithin(two, text.length + 2)).throw(GzipTooLarge);
    expect(() => gunzipWithin(gzipSync(Buffer.alloc(2 ** 24)), 1_000)).throw(GzipTooLarge);
  });

  it("throws where the stream is torn or damaged", () => {
    const whole = gzipSync(text);
    const damaged = Uint8Array.from(whole);
    damaged[whole.length >> 1]! ^= 0xff;
    for (const bytes of [whole.subarray(0, -9), damaged]) expect(() => gunzipWithin(bytes, 1e6)).throw().not.instanceOf(GzipTooLarge);
  });
});
