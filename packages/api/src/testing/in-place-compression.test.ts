import { expect } from "chai";
import { deflateRawSync, deflateSync } from "node:zlib";
import { isTornStream, threadPoolCompression } from "../ports/compression.ts";
import type { Compression } from "../ports/compression.ts";
import { inPlaceCompression } from "./in-place-compression.ts";

const TEXT = "main;work 5\n".repeat(20);

async function inflated(compression: Compression, bytes: Uint8Array): Promise<string> {
  let text = "";
  try {
    await compression.inflateInPieces(bytes, 64, (piece) => (text += Buffer.from(piece).toString()));
    return text;
  } catch (thrown) {
    return isTornStream(thrown) ? "torn" : String(thrown);
  }
}

describe("compression in place", () => {
  for (const [name, deflate] of [["zlib's format", deflateSync], ["raw deflate", deflateRawSync]] as const) {
    it(`${name}: bytes behind the end of the stream and a stream that is cut short are refused, as on a real node`, async () => {
      const whole = deflate(TEXT);
      for (const compression of [inPlaceCompression(queueMicrotask), threadPoolCompression()]) {
        expect(await inflated(compression, whole)).equal(TEXT);
        expect(await inflated(compression, Buffer.concat([whole, Buffer.from("more")]))).equal("torn");
        expect(await inflated(compression, whole.subarray(0, whole.length - 6))).equal("torn");
      }
    });
  }
});
