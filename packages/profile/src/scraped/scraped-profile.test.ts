import { expect } from "chai";
import { ByteWriter, encodeUtf8 } from "@pyromesh/base";
import { PprofWriter } from "../pprof/pprof-write.ts";
import { IdNumbers } from "./id-numbers.ts";
import { ScrapedProfile } from "./scraped-profile.ts";
import { StackNumbers } from "./stack-numbers.ts";
import { StackSums } from "./stack-sums.ts";

const HEAP = { sampleTypes: [{ type: "alloc_objects", unit: "count" }], periodType: { type: "space", unit: "bytes" }, period: 1, timeNs: 1n, durationNs: 0n };

/** Numbers all stacktraces of the profile; how many bytes of texts and keys are kept then. */
function keptBytes(bytes: Uint8Array): number {
  const numbers = new StackNumbers();
  const profile = new ScrapedProfile(bytes, numbers);
  profile.eachSample((from, to) => {
    const length = profile.readSample(from, to);
    numbers.stacks.numberOf(profile.key, 0, length);
  });
  return numbers.sizeBytes;
}

/** `number`: of a field that holds a message or a text. */
function putField(out: ByteWriter, number: number, ...parts: readonly (Uint8Array | readonly number[])[]): ByteWriter {
  return out.u8((number << 3) | 2).prefixed(Buffer.concat(parts.map((part) => Uint8Array.from(part))));
}

const LONG_NAME = encodeUtf8("x".repeat(1 << 20));

describe("a scraped profile", () => {
  it("a location of many lines costs its lines, not as many copies of a long name", () => {
    const out = new ByteWriter(1 << 21);
    const line = [0x22, 2, 8, 1]; // of function 1
    putField(out, 2, [0x0a, 1, 1]);
    putField(out, 4, [8, 1], ...Array.from({ length: 100_000 }, () => line));
    putField(out, 5, [8, 1, 16, 1]);
    putField(putField(out, 6), 6, LONG_NAME);
    expect(keptBytes(out.finish())).lessThan(1.5 * out.length);
  });

  it("a sample of many labels costs their numbers, not as many copies of a long text", () => {
    const out = new ByteWriter(1 << 21);
    putField(out, 2, ...Array.from({ length: 100_000 }, () => [0x1a, 4, 8, 1, 16, 1]));
    putField(putField(out, 6), 6, LONG_NAME);
    expect(keptBytes(out.finish())).lessThan(1.5 * out.length);
  });

  it("the stacktraces of an honest profile cost fewer bytes than the profile has", () => {
    const writer = new PprofWriter(HEAP);
    const frames = Array.from({ length: 3000 }, (_, i) => writer.frame(`package.function${i}`, "file.go", i));
    for (let i = 0; i < 10_000; i++) writer.sample(frames.slice(i % 2000, (i % 2000) + 40), [i], [{ name: "id", value: `${i}` }]);
    const bytes = writer.finish();
    expect(keptBytes(bytes)).lessThan(bytes.length);
  });

  it("keys of any regular shape find their place", () => {
    const shapes: readonly ((i: number, key: ByteWriter) => unknown)[] = [
      (i, key) => key.uvarint(i + 1),
      (i, key) => key.uvarint((i >>> 9) + 1).uvarint((i & 511) + 1),
      (i, key) => key.uvarint((i & 511) + 1).uvarint((i >>> 9) + 1),
      (i, key) => Array.from({ length: 18 }, (_, bit) => key.uvarint(1 + ((i >>> bit) & 1))),
      (i, key) => Array.from({ length: 30 }, (_, depth) => key.uvarint(1 + ((i * (depth + 1)) >>> depth))),
    ];
    for (const [index, shape] of shapes.entries()) {
      const numbers = new StackNumbers();
      const key = new ByteWriter();
      for (let i = 0; i < 150_000; i++) {
        shape(i, key.clear());
        if (numbers.stacks.numberOf(key.finish()) !== i) expect.fail(`key ${i} of shape ${index} has the number of another`);
      }
    }
  });

  it("a sample keeps no sums for the types that it has no values for", () => {
    const sums = new StackSums(Array.from({ length: 1_000_000 }, () => true));
    for (let stack = 0; stack < 100_000; stack++) sums.add(stack, [stack], 1);
    sums.add(7, [1, 2], 2);
    expect(sums.sizeCount).equal(100_002); // the first sum of stacktrace 7 is left behind
    expect([sums.at(7, 0), sums.at(7, 1), sums.at(7, 2), sums.at(8, 0), sums.at(8, 1), sums.at(100_000, 0)]).deep.equal([8, 2, 0, 8, 0, 0]);
  });

  it("values are numbers where they are exact", () => {
    const writer = new PprofWriter(HEAP);
    writer.sample([writer.frame("main")], [2n ** 53n - 1n, 2n ** 53n, -1n]);
    const profile = new ScrapedProfile(writer.finish(), new StackNumbers());
    profile.eachSample((from, to) => profile.readSample(from, to));
    expect(profile.values.slice(0, profile.valueCount)).deep.equal([2 ** 53 - 1, 2n ** 53n, -1n]);
  });

  it("texts that are not UTF-8 are one where they are read as one", () => {
    const numbers = new StackNumbers();
    const numberOf = (...bytes: number[]): number => numbers.meaningOf(numbers.addText(Uint8Array.from(bytes), 0, bytes.length));
    expect(numberOf(0xff)).equal(numberOf(0xfe)).equal(numberOf(0xef, 0xbf, 0xbd));
    expect(numberOf(0x61, 0xff)).not.equal(numberOf(0xff));
    expect(numberOf()).equal(0);
  });
});

describe("the ids of a profile", () => {
  it("have a number each, small and wide, to 70 bits", () => {
    const ids = [0, 1, 16, 17, 2 ** 32, 2 ** 53 - 1, 2n ** 53n, 2n ** 64n - 1n, 2n ** 64n, 2n ** 65n, 2n ** 64n + 1n];
    const numbers = new IdNumbers("the ids", 16);
    expect(ids.map((id) => numbers.find(id))).deep.equal(ids.map(() => -1));
    expect(ids.map((id) => numbers.numberOf(id))).deep.equal(ids.map((_, number) => number));
    expect(ids.map((id) => numbers.numberOf(id))).deep.equal(ids.map((id) => numbers.find(id)));
    expect(numbers.count).equal(ids.length);
  });

  it("that count up in steps, or are hashes, find their place", () => {
    for (const idOf of [(i: number) => i * 4096, (i: number) => 2n ** 63n + BigInt(i), (i: number) => BigInt(i) * 0x9e3779b97f4a7c15n % 2n ** 64n]) {
      const numbers = new IdNumbers("the ids", 16);
      for (let i = 0; i < 50_000; i++) expect(numbers.numberOf(idOf(i))).equal(i);
    }
  });
});
