import { EventEmitter } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { CodedError, garbageCollector } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import type { IncomingRequest } from "../ports/http-stream.ts";
import { Timeouts } from "../ports/timeouts.ts";
import { BodyMemory, RequestBody, UNREAD_BYTES_MAX } from "./request-body.ts";

/** A request whose body the test sends. */
class SentRequest extends EventEmitter {
  readonly headers: IncomingHttpHeaders;
  readonly httpVersion: string;
  readonly hasBody = true;
  isResumed = false;

  constructor({ headers = {}, httpVersion = "1.1" }: { readonly headers?: IncomingHttpHeaders; readonly httpVersion?: string } = {}) {
    super();
    this.headers = headers;
    this.httpVersion = httpVersion;
  }

  /** As a view of what was read of the connection, which Node.js uses for something else when nobody looks at it any more. */
  send(text: string): void {
    const read = Buffer.from(`frame${text}frame`);
    this.emit("data", read.subarray(5, 5 + text.length));
    read.fill("#");
  }

  resume(): void {
    this.isResumed = true;
  }
}

function world({ bytesMax = 2 ** 20 } = {}): { readonly memory: BodyMemory; readonly clock: ManualClock; readonly bodyTimeouts: Timeouts<RequestBody>; readonly of: (request: SentRequest) => RequestBody } {
  const clock = new ManualClock();
  const memory = new BodyMemory({ bytesMax, waitTimeoutMs: 5000 }, { clock });
  const bodyTimeouts = new Timeouts<RequestBody>({ lengthMs: 60_000 }, { clock });
  return { memory, clock, bodyTimeouts, of: (request) => new RequestBody(request as unknown as IncomingRequest, { bodyMemory: memory, bodyTimeouts }) }; // what the body uses of a request
}

describe("a body without a length", () => {
  it("is copied as it comes: no piece keeps what was read of its connection", async () => {
    const { of } = world();
    const request = new SentRequest();
    const body = of(request).read(1000);
    for (const letter of "hello") request.send(letter);
    request.emit("end");
    expect(Buffer.from(await body).toString()).to.equal("hello");
  });

  it("has a pooled buffer where it is small, which the next body uses again", async () => {
    const { memory, of } = world();
    const buffers = new Set<ArrayBufferLike>();
    for (let n = 0; n < 2; n++) {
      const request = new SentRequest();
      const body = of(request);
      const whole = body.read(1000);
      request.send("hello");
      request.emit("end");
      buffers.add((await whole).buffer);
      body.release();
    }
    expect([buffers.size, memory.budget.bytes]).to.deep.equal([1, 0]);
  });

  it("is whole at every size around those of the blocks", async () => {
    const { memory, of } = world();
    for (const sizeBytes of [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000]) {
      const text = Buffer.from(Array.from({ length: sizeBytes }, (_, index) => 97 + (index % 26))).toString();
      const request = new SentRequest();
      const body = of(request);
      const whole = body.read(1_000_000);
      for (let at = 0; at < sizeBytes; at += 50_001) request.send(text.slice(at, at + 50_001));
      request.emit("end");
      expect(Buffer.from(await whole).toString() === text, String(sizeBytes)).to.equal(true);
      expect(memory.budget.bytes).to.equal(sizeBytes);
      body.release();
    }
    expect(memory.budget.bytes).to.equal(0);
  });

  it("keeps no blocks once they are joined, nor when it is refused: its request may run for long", async () => {
    const collect = garbageCollector();
    const heldBytes = (): number => {
      for (let n = 0; n < 3; n++) collect(); // memory outside of the heap leaves the count only at the next collection
      return process.memoryUsage().arrayBuffers;
    };
    const { of } = world({ bytesMax: 64 * 2 ** 20 });
    const text = "x".repeat(2 ** 16);
    for (const isRefused of [false, true]) {
      const request = new SentRequest();
      const body = of(request);
      const whole = body.read(32 * 2 ** 20).catch(() => undefined);
      const beforeBytes = heldBytes();
      for (let n = 0; n < 384; n++) request.send(text);
      if (isRefused) body.onTimeout();
      else request.emit("end");
      const sizeBytes = (await whole)?.length ?? 0;
      expect(sizeBytes).to.equal(isRefused ? 0 : 384 * 2 ** 16);
      expect(heldBytes() - beforeBytes).to.be.at.most(sizeBytes + 6 * 2 ** 20); // the pool has 4 MiB
      expect(request.listenerCount("data"), "the request goes on").to.equal(1);
      body.release();
    }
  });
});

describe("a body that waits for memory", () => {
  const full = (): ReturnType<typeof world> => {
    const made = world();
    made.memory.budget.add(made.memory.budget.bytesMax);
    made.memory.reserve.add(made.memory.reserve.bytesMax);
    return made;
  };

  it("is not read where it has a length over HTTP/1.1: its client waits too", async () => {
    const { memory, of } = full();
    const request = new SentRequest({ headers: { "content-length": "5" } });
    const body = of(request).read(1000);
    expect(request.listenerCount("data")).to.equal(0);
    memory.budget.give(memory.budget.bytesMax);
    await new Promise((resolve) => setImmediate(resolve));
    request.send("hello");
    request.emit("end");
    expect(Buffer.from(await body).toString()).to.equal("hello");
  });

  for (const [name, init] of [
    ["in chunks", {}],
    ["over HTTP/2", { httpVersion: "2.0" }],
    ["over HTTP/2 with a length", { httpVersion: "2.0", headers: { "content-length": "5" } }],
  ] as const) {
    it(`${name} is read meanwhile, and complete when memory comes before its end and after it`, async () => {
      for (const isWholeBefore of [true, false]) {
        const { memory, of } = full();
        const request = new SentRequest(init);
        const body = of(request);
        const whole = body.read(1000);
        for (const letter of "hel") request.send(letter);
        if (isWholeBefore) {
          request.send("lo");
          request.emit("end");
        }
        memory.budget.give(memory.budget.bytesMax);
        await new Promise((resolve) => setImmediate(resolve));
        if (!isWholeBefore) {
          request.send("lo");
          request.emit("end");
        }
        expect(Buffer.from(await whole).toString()).to.equal("hello");
        expect(memory.budget.bytes).to.equal(5);
        body.release();
        expect(memory.budget.bytes).to.equal(0);
      }
    });

    it(`${name} is refused where it is larger than what a connection may hold unread`, async () => {
      const { memory, of } = full();
      const request = new SentRequest({ ...init, headers: {} });
      const whole = refusalOf(of(request).read(1_000_000));
      request.send("x".repeat(UNREAD_BYTES_MAX));
      expect(request.isResumed).to.equal(false);
      request.send("x");
      expect(await whole).to.equal("BODIES_TOO_MANY");
      expect([request.isResumed, memory.budget.waitingCount]).to.deep.equal([true, 0]);
    });
  }

  it("is no slow body once it is whole, however small: the node is slow", async () => {
    const { memory, bodyTimeouts, of } = full();
    const [request, slow] = [new SentRequest(), new SentRequest()];
    const [body, refused] = [of(request).read(1000), refusalOf(of(slow).read(1000))];
    for (const each of [request, slow]) each.send("hello");
    request.emit("end");
    bodyTimeouts.forEach((each) => each.endWhereSlow(5000, 8192));
    expect(await refused).to.equal("BODY_READ_FAILED");
    memory.budget.give(memory.budget.bytesMax);
    expect(Buffer.from(await body).toString()).to.equal("hello");
  });

  it("and finds none in time is refused; what it is given in the same moment goes back", async () => {
    const { clock, memory, of } = full();
    const late = refusalOf(of(new SentRequest()).read(1000));
    clock.advance(5000);
    expect(await late).to.equal("BODIES_TOO_MANY");
    const body = of(new SentRequest({ headers: { "content-length": "5" } }));
    const left = refusalOf(body.read(1000));
    memory.budget.give(memory.budget.bytesMax);
    body.onClosed();
    expect(await left).to.equal("BODY_READ_FAILED");
    await new Promise((resolve) => setImmediate(resolve));
    expect(memory.budget.bytes).to.equal(0);
  });
});

function refusalOf(body: Promise<Uint8Array>): Promise<string> {
  return body.then(
    () => "none",
    (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : String(thrown)),
  );
}

describe("a large body that nobody uses after its request", () => {
  const SIZE_BYTES = 5 * 2 ** 20 + 3;
  const text = "0123456789abcdef".repeat(2 ** 12); // 64 KiB

  async function wholeOf(body: RequestBody, request: SentRequest): Promise<Uint8Array> {
    const whole = body.read(2 * SIZE_BYTES, { isFreedAtEnd: true });
    for (let sentBytes = 0; sentBytes < SIZE_BYTES; sentBytes += text.length) request.send(text.slice(0, SIZE_BYTES - sentBytes));
    request.emit("end");
    return whole;
  }

  it("is whole, with a length and without, and is freed with it", async () => {
    for (const headers of [{ "content-length": String(SIZE_BYTES) }, {}]) {
      const { memory, of } = world({ bytesMax: 32 * 2 ** 20 });
      const request = new SentRequest({ headers });
      const body = of(request);
      const whole = await wholeOf(body, request);
      expect(whole.length).to.equal(SIZE_BYTES);
      expect(memory.budget.bytes).to.equal(SIZE_BYTES);
      expect(Buffer.from(whole.subarray(0, 2 ** 20)).toString("latin1") === text.repeat(16)).to.equal(true);
      expect(Buffer.from(whole.subarray(-3)).toString("latin1")).to.equal("012");
      body.release();
      expect([whole.length, memory.budget.bytes]).to.deep.equal([0, 0]);
    }
  });

  it("is left as it is where its handler does not say so", async () => {
    const { of } = world({ bytesMax: 32 * 2 ** 20 });
    const request = new SentRequest({ headers: { "content-length": String(SIZE_BYTES) } });
    const body = of(request);
    const read = body.read(2 * SIZE_BYTES);
    for (let sentBytes = 0; sentBytes < SIZE_BYTES; sentBytes += text.length) request.send(text.slice(0, SIZE_BYTES - sentBytes));
    request.emit("end");
    const whole = await read;
    body.release();
    expect(whole.length).to.equal(SIZE_BYTES);
  });

  it("may be given up half way, by its client or for want of memory", async () => {
    const { memory, of } = world({ bytesMax: 9.5 * 2 ** 20 });
    const bodies = [1, 2].map(() => {
      const request = new SentRequest({ headers: { "content-length": String(SIZE_BYTES) } });
      const body = of(request);
      return { request, body, outcome: body.read(2 * SIZE_BYTES, { isFreedAtEnd: true }).catch((thrown: unknown) => (thrown as CodedError).code) };
    });
    for (let n = 0; n < 80; n++) for (const { request } of bodies) request.send(text);
    for (const { body } of bodies) body.onClosed();
    expect(await Promise.all(bodies.map(({ outcome }) => outcome))).to.include("BODIES_TOO_MANY").and.include("BODY_READ_FAILED");
    for (const { body } of bodies) body.release();
    expect(memory.budget.bytes).to.equal(0);
  });
});
