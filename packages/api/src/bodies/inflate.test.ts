import { randomBytes } from "node:crypto";
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { compress, init } from "@bokuweb/zstd-wasm";
import { areLargeBytes, CodedError, freeBytes, largeBytes, MemoryBudget } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { inflateBody } from "./inflate.ts";
import { threadPoolCompression } from "../ports/compression.ts";
import type { Compression } from "../ports/compression.ts";
import type { ContentCoding } from "../ports/content-coding.ts";
import type { Caller } from "../ports/ports.ts";
import { RequestMemory } from "../ports/request-memory.ts";
import { zstdFrame, zstdFrameOfSize } from "../testing/zstd-frames.ts";

const MIB = 2 ** 20;
const WAIT_MS = 5000;
const compression = threadPoolCompression();
const WAITING_CALLER: Caller = { throwIfAborted: () => {} };

interface Rig {
  readonly budget: MemoryBudget;
  readonly clock: ManualClock;
  open(): RequestMemory;
}

function rig(bytesMax: number): Rig {
  const clock = new ManualClock();
  const budget = new MemoryBudget({ bytesMax, waitTimeoutMs: WAIT_MS }, { clock });
  return { budget, clock, open: () => new RequestMemory(budget) };
}

interface InflateCall {
  readonly copyCount?: number;
  readonly coding?: ContentCoding;
  readonly sizeBytesMax?: number;
  readonly caller?: Caller;
  readonly isFreedAtEnd?: boolean;
}

function inflate(bytes: Uint8Array, memory: RequestMemory, { coding = "gzip", sizeBytesMax = 100 * MIB, caller = WAITING_CALLER, copyCount, isFreedAtEnd }: InflateCall = {}): Promise<Uint8Array> {
  return inflateBody(bytes, { coding, sizeBytesMax, advice: "send less", copyCount, isFreedAtEnd }, { memory, caller, compression });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : String(thrown)),
  );
}

describe("inflated bodies", () => {
  it("are complete, small and large, and hold their memory until the request ends", async () => {
    const { budget, open } = rig(16 * MIB);
    for (const sizeBytes of [1, 1000, 256 * 1024, 256 * 1024 + 1, 5 * MIB + 3]) {
      const bytes = Uint8Array.from({ length: sizeBytes }, (_, i) => i * 7);
      const memory = open();
      expect(Buffer.compare(await inflate(gzipSync(bytes), memory), bytes), String(sizeBytes)).to.equal(0);
      expect(budget.bytes).to.equal(sizeBytes);
      memory.release();
      expect(budget.bytes).to.equal(0);
    }
  });

  it("free what earlier ones left before memory is made for a large one, and its pieces when it is whole; a small one costs no collection", async () => {
    for (const [coding, compressed] of [["gzip", gzipSync], ["deflate", deflateSync]] as const) {
      for (const [sizeBytes, freedCount] of [[5 * MIB, 0], [8 * MIB, 2]] as const) {
        let count = 0;
        const counting: Compression = { ...compression, freeGarbage: () => void count++ };
        const { open } = rig(16 * MIB);
        await inflateBody(compressed(new Uint8Array(sizeBytes)), { coding, sizeBytesMax: 16 * MIB, advice: "send less" }, { memory: open(), caller: WAITING_CALLER, compression: counting });
        expect(count, `${coding} ${sizeBytes}`).to.equal(freedCount);
      }
    }
  });

  it("a large one that nobody uses after its request is freed with it, and no other", async () => {
    const bytes = Uint8Array.from({ length: 5 * MIB }, (_, i) => i * 7);
    const blocks = Array.from({ length: bytes.length / (128 * 1024) }, (_, i) => bytes.subarray(i * 128 * 1024, (i + 1) * 128 * 1024));
    const compressed = { gzip: gzipSync(bytes), deflate: deflateSync(bytes), zstd: zstdFrame(blocks) };
    for (const coding of ["gzip", "deflate", "zstd"] as const) {
      const memory = rig(64 * MIB).open();
      const body = compressed[coding];
      const [freed, kept] = [await inflate(body, memory, { coding, isFreedAtEnd: true }), await inflate(body, memory, { coding })];
      expect([Buffer.compare(freed, bytes), Buffer.compare(kept, bytes)], coding).to.deep.equal([0, 0]);
      memory.release();
      expect([freed.length, kept.length], coding).to.deep.equal([0, 5 * MIB]);
    }
  });

  it("a large one that grows past what its gzip says is whole, and is freed as well", async () => {
    const memory = rig(64 * MIB).open();
    const bytes = Uint8Array.from({ length: 12 * MIB }, (_, i) => i * 7);
    const inflated = await inflate(Buffer.concat([gzipSync(bytes.subarray(0, 7 * MIB)), gzipSync(bytes.subarray(7 * MIB))]), memory, { isFreedAtEnd: true });
    expect(Buffer.compare(inflated, bytes)).to.equal(0);
    memory.release();
    expect(inflated.length).to.equal(0);
  });

  it("a compressed body that is freed as soon as it is refused is read by no thread any more", async () => {
    // Random bytes do not compress: the body itself is large. It is refused at its first piece, while zlib has more of it to read.
    const plain = randomBytes(3 * MIB);
    for (const coding of ["gzip", "deflate"] as const) {
      const compressed = coding === "gzip" ? Buffer.concat([gzipSync(plain), gzipSync(Buffer.alloc(1))]) : deflateSync(plain);
      for (let n = 0; n < 20; n++) {
        const body = largeBytes(compressed.length);
        body.set(compressed);
        const memory = rig(16 * MIB).open();
        expect(await codeOf(inflate(body, memory, { coding, sizeBytesMax: 1 + n * 64 * 1024 }))).to.equal("BODY_TOO_LARGE");
        freeBytes(body);
        expect([areLargeBytes(body), body.length]).to.deep.equal([true, 0]);
      }
    }
  });

  it("a large compressed body is read in full", async () => {
    const plain = randomBytes(3 * MIB);
    for (const [coding, compressed] of [["gzip", gzipSync(plain)], ["deflate", deflateSync(plain)], ["deflate", deflateRawSync(plain)]] as const) {
      const body = largeBytes(compressed.length);
      body.set(compressed);
      expect(Buffer.compare(await inflate(body, rig(16 * MIB).open(), { coding }), plain), coding).to.equal(0);
      if (coding === "deflate") expect(await codeOf(inflate(body.subarray(0, -9), rig(16 * MIB).open(), { coding }))).to.equal("CONTENT_ENCODING_TORN");
    }
  });

  it("a body that will lie in memory several times takes as much, or the most that one request can get", async () => {
    for (const coding of ["gzip", "deflate"] as const) {
      const { budget, open } = rig(16 * MIB);
      const compressed = coding === "gzip" ? gzipSync : deflateSync;
      const [small, large] = [open(), open()];
      await inflate(compressed(new Uint8Array(MIB)), small, { coding, copyCount: 3 });
      expect(budget.bytes).to.equal(3 * MIB);
      small.release();
      expect((await inflate(compressed(new Uint8Array(5 * MIB)), large, { coding, copyCount: 3 })).length).to.equal(5 * MIB);
      expect(budget.bytes).to.equal(12 * MIB);
    }
  });

  it("a bomb is refused by its trailer, before anything is decompressed", async () => {
    const { budget, open } = rig(64 * MIB);
    expect(await codeOf(inflate(gzipSync(new Uint8Array(40 * MIB)), open(), { sizeBytesMax: 16 * MIB }))).to.equal("BODY_TOO_LARGE");
    expect(budget.bytes).to.equal(0);
  });

  it("a body larger than the memory for all bodies is refused, whatever its own limit", async () => {
    const { open } = rig(4 * MIB);
    const refusal = await inflate(gzipSync(new Uint8Array(3 * MIB + 1)), open()).catch((thrown: unknown) => thrown as CodedError);
    expect(refusal).to.include({ code: "BODY_TOO_LARGE" });
    expect((refusal as CodedError).message).to.contain("what this node's memory allows");
    expect((await inflate(gzipSync(new Uint8Array(3 * MIB)), open())).length).to.equal(3 * MIB);
  });

  it("a body that fits waits for others, then is decompressed", async () => {
    const { budget, open } = rig(4 * MIB);
    const first = open();
    await inflate(gzipSync(new Uint8Array(2 * MIB)), first);
    const waiting = inflate(gzipSync(new Uint8Array(2 * MIB)), open());
    expect(budget.waitingCount).to.equal(1);
    first.release();
    expect((await waiting).length).to.equal(2 * MIB);
  });

  it("a body that waits too long is refused as unavailable, and holds nothing", async () => {
    const { budget, clock, open } = rig(4 * MIB);
    await inflate(gzipSync(new Uint8Array(3 * MIB)), open());
    const waiting = inflate(gzipSync(new Uint8Array(3 * MIB)), open()).catch((thrown: unknown) => thrown as CodedError);
    clock.advance(WAIT_MS);
    const refusal = await waiting;
    expect(refusal).to.include({ code: "BODIES_TOO_MANY", kind: "unavailable" });
    expect((refusal as CodedError).details).to.deep.equal({ retryAfterSeconds: 5 });
    expect(budget.bytes).to.equal(3 * MIB);
  });

  it("a client that goes away no longer waits", async () => {
    const { budget, open } = rig(4 * MIB);
    await inflate(gzipSync(new Uint8Array(3 * MIB)), open());
    const leaving = open();
    const refused = codeOf(inflate(gzipSync(new Uint8Array(3 * MIB)), leaving));
    leaving.onClosed();
    expect([await refused, budget.waitingCount]).to.deep.equal(["BODIES_TOO_MANY", 0]);
  });

  it("all members of a body are decompressed, though its trailer has only the size of the last", async () => {
    const { budget, open } = rig(16 * MIB);
    const members = [gzipSync(Buffer.alloc(2 * MIB, "a")), gzipSync(Buffer.from("b"))];
    const memory = open();
    const inflated = await inflate(Buffer.concat(members), memory);
    expect([inflated.length, inflated[0], inflated.at(-1)]).to.deep.equal([2 * MIB + 1, 97, 98]);
    memory.release();
    expect(budget.bytes).to.equal(0);
  });

  it("a bomb with a small trailer grows only while there is memory, and never waits", async () => {
    const { budget, open } = rig(4 * MIB);
    const hidden = Buffer.concat([gzipSync(new Uint8Array(60 * MIB)), gzipSync(Buffer.from("b"))]);
    const memories = [open(), open(), open()];
    const codes = await Promise.all(memories.map((memory) => codeOf(inflate(hidden, memory))));
    expect(codes).to.satisfy((all: string[]) => all.every((code) => code === "BODIES_TOO_MANY" || code === "BODY_TOO_LARGE"));
    expect(budget.bytes).to.be.at.most(4 * MIB);
    for (const memory of memories) memory.release();
    expect(budget.bytes).to.equal(0);
  });

  it("a body with a trailer that claims too much, or is truncated, is refused as an incomplete gzip stream", async () => {
    const { open } = rig(16 * MIB);
    const lying = new Uint8Array(gzipSync(new Uint8Array(50_000)));
    lying[lying.length - 4]! ^= 1;
    expect(await codeOf(inflate(lying, open()))).to.equal("CONTENT_ENCODING_TORN");
    expect(await codeOf(inflate(gzipSync(new Uint8Array(50_000)).subarray(0, 40), open()))).to.equal("CONTENT_ENCODING_TORN");
    expect(await codeOf(inflate(Buffer.from("no gzip at all"), open()))).to.equal("CONTENT_ENCODING_TORN");
  });

  it("zeros behind a gzip are padding, and anything else is not", async () => {
    for (const sizeBytes of [1000, 700_000]) {
      const { open } = rig(16 * MIB);
      const gzip = gzipSync(RANDOMISH.subarray(0, sizeBytes));
      expect(Buffer.compare(await inflate(Buffer.concat([gzip, Buffer.alloc(100)]), open()), RANDOMISH.subarray(0, sizeBytes)), String(sizeBytes)).to.equal(0);
      expect(await codeOf(inflate(Buffer.concat([gzip, Buffer.from([1, 0, 0, 0])]), open())), String(sizeBytes)).to.equal("CONTENT_ENCODING_TORN");
    }
  });

  it("a body whose client went away is not decompressed further", async () => {
    const { open } = rig(64 * MIB);
    let pieceCount = 0;
    const caller: Caller = {
      throwIfAborted: () => {
        if (++pieceCount > 2) throw new CodedError({ code: "CLIENT_GONE", kind: "canceled", message: "gone" });
      },
    };
    expect(await codeOf(inflate(gzipSync(new Uint8Array(20 * MIB)), open(), { caller }))).to.equal("CLIENT_GONE");
    expect(pieceCount).to.equal(3);
  });
});

const RANDOMISH = Uint8Array.from({ length: 700_000 }, (_, i) => (i * i * 31) >> 7);

describe("inflated bodies: deflate", () => {
  it("are complete in zlib's format and raw, small and large, and hold their memory until the request ends", async () => {
    for (const deflate of [deflateSync, deflateRawSync]) {
      for (const sizeBytes of [1, 1000, 256 * 1024 + 1, 700_000]) {
        const { budget, open } = rig(16 * MIB);
        const bytes = RANDOMISH.subarray(0, sizeBytes);
        const memory = open();
        expect(Buffer.compare(await inflate(deflate(bytes), memory, { coding: "deflate" }), bytes), `${deflate.name} ${sizeBytes}`).to.equal(0);
        expect(budget.bytes).to.equal(sizeBytes);
        memory.release();
        expect(budget.bytes).to.equal(0);
      }
    }
  });

  it("a bomb is refused at its limit, or at what memory allows of one body, before memory is taken for it", async () => {
    const { budget, open } = rig(8 * MIB);
    const bomb = deflateSync(new Uint8Array(40 * MIB));
    expect(await codeOf(inflate(bomb, open(), { coding: "deflate", sizeBytesMax: 2 * MIB }))).to.equal("BODY_TOO_LARGE");
    expect(await Promise.all([open(), open(), open()].map((memory) => codeOf(inflate(bomb, memory, { coding: "deflate" }))))).to.deep.equal(Array(3).fill("BODY_TOO_LARGE"));
    expect(budget.bytes).to.equal(0);
  });

  // A thousand small bodies took hundreds of megabytes of pieces, and the thread pool for as long as it liked.
  it("they are counted as many at once as there is memory for their pieces; others wait, and all are complete", async () => {
    const { budget, open } = rig(4 * MIB);
    const memories = Array.from({ length: 20 }, open);
    const inflated = memories.map(async (memory) => {
      const { length } = await inflate(deflateSync(RANDOMISH), memory, { coding: "deflate" });
      memory.release();
      return length;
    });
    expect([budget.bytes, budget.waitingCount]).to.deep.equal([3 * MIB, 17]);
    expect(new Set(await Promise.all(inflated))).to.deep.equal(new Set([RANDOMISH.length]));
    expect(budget.bytes).to.equal(0);
  });

  it("one that cannot be counted, and one whose client goes away meanwhile, hold nothing", async () => {
    const { budget, open } = rig(4 * MIB);
    const gone: Caller = {
      throwIfAborted: () => {
        throw new CodedError({ code: "CLIENT_GONE", kind: "canceled", message: "gone" });
      },
    };
    expect(await codeOf(inflate(Buffer.from("no deflate at all"), open(), { coding: "deflate" }))).to.equal("CONTENT_ENCODING_TORN");
    expect(await codeOf(inflate(deflateSync(RANDOMISH), open(), { coding: "deflate", caller: gone }))).to.equal("CLIENT_GONE");
    expect(budget.bytes).to.equal(0);
  });

  it("one that is truncated, is something else, or goes on after its end is refused", async () => {
    const { open } = rig(16 * MIB);
    const whole = deflateSync(RANDOMISH);
    for (const torn of [whole.subarray(0, 5000), Buffer.from("no deflate at all"), Buffer.concat([whole, Buffer.from("more")]), Buffer.concat([deflateRawSync(RANDOMISH), Buffer.from("more")])]) {
      expect(await codeOf(inflate(torn, open(), { coding: "deflate" }))).to.equal("CONTENT_ENCODING_TORN");
    }
  });
});

describe("inflated bodies: zstd", () => {
  before(init);

  it("are complete with and without their size, of one frame and of several, and hold twice their memory until the request ends", async () => {
    const { budget, open } = rig(64 * MIB);
    const parts = [RANDOMISH.subarray(0, 100_000), { byte: 7, count: 60_000 }, RANDOMISH.subarray(0, 3)];
    const ofParts = Buffer.concat([RANDOMISH.subarray(0, 100_000), Buffer.alloc(60_000, 7), RANDOMISH.subarray(0, 3)]);
    for (const [sent, bytes] of [
      [compress(RANDOMISH), RANDOMISH],
      [compress(RANDOMISH.subarray(0, 1)), RANDOMISH.subarray(0, 1)],
      [zstdFrame(parts), ofParts],
      [Buffer.concat([compress(RANDOMISH), zstdFrame(parts)]), Buffer.concat([RANDOMISH, ofParts])],
      [compress(new Uint8Array(9 * MIB)), new Uint8Array(9 * MIB)],
    ] as const) {
      const memory = open();
      expect(Buffer.compare(await inflate(sent, memory, { coding: "zstd" }), bytes)).to.equal(0);
      expect(budget.bytes).to.be.at.least(2 * bytes.length);
      memory.release();
      expect(budget.bytes).to.equal(0);
    }
  });

  it("a bomb is refused by what it says, or where it says nothing at its limit, or where there is no memory left", async () => {
    const { budget, open } = rig(8 * MIB);
    const bomb = zstdFrame(Array.from({ length: 400 }, () => ({ byte: 0, count: 128 * 1024 })));
    expect(bomb.length).to.be.below(2000);
    expect(await codeOf(inflate(zstdFrameOfSize(2 ** 40, RANDOMISH.subarray(0, 100)), open(), { coding: "zstd" }))).to.equal("BODY_TOO_LARGE");
    expect(await codeOf(inflate(compress(new Uint8Array(4 * MIB)), open(), { coding: "zstd", sizeBytesMax: 2 * MIB }))).to.equal("BODY_TOO_LARGE");
    expect(budget.bytes).to.equal(0);
    expect(await codeOf(inflate(bomb, open(), { coding: "zstd", sizeBytesMax: MIB }))).to.equal("BODY_TOO_LARGE");
    const codes = await Promise.all([open(), open(), open()].map((memory) => codeOf(inflate(bomb, memory, { coding: "zstd" }))));
    expect(codes).to.satisfy((all: string[]) => all.every((code) => code === "BODIES_TOO_MANY" || code === "BODY_TOO_LARGE"));
    expect(budget.bytes).to.be.at.most(8 * MIB);
  });

  it("one that is truncated at any byte, is something else, says a wrong size, or goes on after its end is refused", async () => {
    const { open } = rig(64 * MIB);
    const whole = compress(RANDOMISH.subarray(0, 300));
    for (let length = 1; length < whole.length; length += 7) expect(await codeOf(inflate(whole.subarray(0, length), open(), { coding: "zstd" })), String(length)).to.equal("CONTENT_ENCODING_TORN");
    for (const torn of [Buffer.from("no zstd at all, not at all"), Buffer.concat([whole, Buffer.from("more")]), zstdFrameOfSize(200, RANDOMISH.subarray(0, 100))]) {
      expect(await codeOf(inflate(torn, open(), { coding: "zstd" }))).to.equal("CONTENT_ENCODING_TORN");
    }
    expect((await inflate(whole, open(), { coding: "zstd" })).length, "the thread goes on").to.equal(300);
  });
});
