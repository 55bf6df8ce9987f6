import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { ByteReader, ByteWriter, CorruptionError, toHex, WORD_BYTES, wordSkew } from "@pyromesh/base";
import { decodeCommit, encodeCommit } from "./entries/commit-entry.ts";
import type { Commit } from "./entries/commit-entry.ts";
import { decodeCut, encodeCut } from "./entries/cut-entry.ts";
import { NumberRanges } from "./entries/number-ranges.ts";
import { wrap } from "./entries/checksum-envelope.ts";
import { cutKey, recordKey } from "./entries/keys.ts";
import { decodeRecordEntry, RecordEntryEncoder } from "./entries/record-entry.ts";
import { makeRecord } from "./testing/fixtures.ts";
import { FileCheckpoint, SLOT_BYTES } from "./recovery/checkpoint.ts";
import type { CheckpointMark } from "./recovery/checkpoint.ts";

describe("entries", () => {
  const commits: Commit[] = [
    { kind: "records", number: 7, span: { minMs: 1, maxMs: 2 }, alive: { minMs: -1, maxMs: 9 }, firstSeq: 1, lastSeq: 300, left: NumberRanges.NONE, recordCount: 299, bytes: 2 ** 40, sum: 0xffffffff },
    { kind: "records", number: 10, span: { minMs: 1, maxMs: 2 }, alive: { minMs: -1, maxMs: 9 }, firstSeq: 1, lastSeq: 300, left: NumberRanges.of([{ from: 1, to: 4 }, { from: 300, to: 300 }]), recordCount: 295, bytes: 7, sum: 5 },
    { kind: "cut", number: 8, span: undefined, alive: undefined },
    { kind: "seal", number: 9, span: { minMs: 1, maxMs: 1 }, alive: undefined, cutId: 8, segmentKeys: ["a/b", "c"] },
  ];
  const cut = { cutId: 8, seqs: NumberRanges.of([{ from: 1, to: 200 }, { from: 300, to: 300 }]), madeAtMs: 1.5 };
  const place = { rank: 1, stores: [new Uint8Array(16).fill(7), new Uint8Array(16).fill(9)] };
  const record = new RecordEntryEncoder().encode(3, makeRecord(3, { fingerprint: 0xfedc_ba98_7654_3210n }), place);
  const written: { readonly value: Uint8Array; readonly read: (value: Uint8Array) => unknown }[] = [
    ...commits.map((commit) => ({ value: encodeCommit(commit).value, read: (value: Uint8Array) => decodeCommit(commit.number, value) })),
    { value: encodeCut(cut).value, read: (value) => decodeCut(8, value) },
    { value: record.value, read: (value) => decodeRecordEntry(record.key, value) },
  ];

  it("are read as they were written", () => {
    for (const commit of commits) {
      const read = decodeCommit(commit.number, encodeCommit(commit).value);
      expect(read).deep.equal(commit);
      if (read.kind === "records" && commit.kind === "records") expect(read.left.ranges).deep.equal(commit.left.ranges);
    }
    const readCut = decodeCut(8, encodeCut(cut).value);
    expect([readCut.madeAtMs, readCut.seqs.ranges]).deep.equal([1.5, cut.seqs.ranges]);
    const read = decodeRecordEntry(record.key, record.value);
    expect([read.record.timeMs, read.record.fingerprint]).deep.equal([makeRecord(3).timeMs, 0xfedc_ba98_7654_3210n]);
    expect({ rank: read.place.rank, stores: read.place.stores.map(toHex) }).deep.equal({ rank: 1, stores: place.stores.map(toHex) });
  });

  it("of format 3 are these bytes, and are read from them", () => {
    const golden = {
      rest: "1a57d9570104000000000000f03f0000000000000040000000000000f0bf000000000000224001ac02a7020705000000020103a80200",
      cut: "a82d484103000000000000f83f0201c7016400",
      record: "0c21b3a9020101010101010101010101010101010100008056febc7842070000001032547698badcfe010207070707070707070707070707070707090909090909090909090909090909090900616e6f6e796d6f7573040073686f70010203",
    };
    const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
    const rest = commits.find((commit) => commit.kind === "records" && commit.left.ranges.length > 0)!;
    expect(toHex(encodeCommit(rest).value)).equal(golden.rest);
    expect(decodeCommit(rest.number, bytesOf(golden.rest))).deep.equal(rest);
    expect(toHex(encodeCut(cut).value)).equal(golden.cut);
    expect(decodeCut(8, bytesOf(golden.cut)).seqs.ranges).deep.equal(cut.seqs.ranges);
    const small = { identity: new Uint8Array(16).fill(1), tenant: "anonymous", service: "shop", timeMs: 1.7e12, sampleCount: 7, fingerprint: 0xfedc_ba98_7654_3210n, bytes: Uint8Array.of(1, 2, 3) };
    expect(toHex(new RecordEntryEncoder().encode(3, small, place).value)).equal(golden.record);
    const read = decodeRecordEntry(recordKey(3), bytesOf(golden.record));
    expect([read.record.fingerprint, read.place.rank, read.place.stores.length, [...read.record.bytes]]).deep.equal([small.fingerprint, 1, 2, [1, 2, 3]]);
  });

  it("of the versions before are read: a cut's run of seqs, a record without stores and fingerprint", () => {
    const run = new ByteWriter().u8(2).uvarint(5).uvarint(9).f64(1.5).finish();
    expect(decodeCut(8, wrap(cutKey(8), run)).seqs.ranges).deep.equal([{ from: 5, to: 9 }]);
    const { identity, timeMs, sampleCount, bytes } = makeRecord(3);
    const name = (writer: ByteWriter, text: string): ByteWriter => writer.u16(text.length).raw(Buffer.from(text));
    const first = name(name(new ByteWriter().u8(1).raw(identity).f64(timeMs).u32(sampleCount), "anonymous"), "shop").raw(bytes).finish();
    const read = decodeRecordEntry(recordKey(3), wrap(recordKey(3), first));
    expect(read.place).deep.equal({ rank: 0, stores: [] });
    expect(read.record).deep.include({ tenant: "anonymous", service: "shop", timeMs, sampleCount, fingerprint: 0n });
    expect(Buffer.compare(read.record.bytes, bytes)).equal(0);
  });

  it("a record lies in its words as it did where it came from, whatever stands before it", () => {
    const encoder = new RecordEntryEncoder();
    const plain = makeRecord(3);
    for (let skew = 0; skew < WORD_BYTES; skew++) {
      for (const service of ["s", "shop", "a-longer-name"]) {
        const bytes = new Uint8Array(new SharedArrayBuffer(skew + plain.bytes.length), skew);
        bytes.set(plain.bytes);
        const { key, value } = encoder.encode(3, { ...plain, service, bytes }, { rank: 0, stores: skew % 2 === 0 ? [] : place.stores });
        const read = decodeRecordEntry(key, value).record;
        expect(Buffer.compare(read.bytes, plain.bytes)).equal(0);
        expect(read.service).equal(service);
        expect(wordSkew(read.bytes)).equal(skew);
      }
    }
  });

  it("cut short at any byte, flipped at any byte, or under another key: corrupt, never wrong", () => {
    for (const { value, read } of written) {
      for (let at = 0; at < value.length; at++) {
        expect(() => read(value.subarray(0, at))).throw(CorruptionError);
        expect(() => read(value.map((byte, index) => (index === at ? byte ^ 0x10 : byte)))).throw(CorruptionError);
      }
    }
    expect(() => decodeCommit(99, encodeCommit(commits[0]!).value)).throw(CorruptionError);
  });
});

describe("number ranges", () => {
  it("are the set of what was added, in the fewest ranges, and so are their gaps", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60)), fc.array(fc.nat(60)), (first, second) => {
        const ranges = NumberRanges.of(first.map((number) => ({ from: number, to: number }))).with(second);
        const expected = new Set([...first, ...second]);
        const writer = new ByteWriter();
        ranges.write(writer);
        expect(NumberRanges.read(new ByteReader(writer.finish(), "test")).ranges).deep.equal(ranges.ranges);
        const held = ranges.ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
        expect(held).deep.equal([...expected].sort((a, b) => a - b));
        const missing = ranges.gaps(5, 50).flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
        expect(missing).deep.equal(Array.from({ length: 46 }, (_, i) => i + 5).filter((number) => !expected.has(number)));
      }),
    );
  });
});

describe("checkpoint", () => {
  let dir = "";
  beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), "pyromesh-checkpoint-"))));
  afterEach(() => rm(dir, { recursive: true, force: true }));
  const mark = (commit: number): CheckpointMark => ({ storeId: new Uint8Array(16).fill(3), commit, nextSeq: commit * 10, ordinalNext: 2, alive: commit % 2 === 0 ? undefined : { minMs: 1, maxMs: 2 } });

  it("says the last mark, over reopenings", () => {
    const path = join(dir, "witness");
    let checkpoint = FileCheckpoint.open(path);
    expect(checkpoint.read()).equal(undefined);
    for (let commit = 1; commit < 6; commit++) {
      checkpoint.write(mark(commit));
      checkpoint.close();
      checkpoint = FileCheckpoint.open(path);
      expect(checkpoint.read()).deep.equal(mark(commit));
    }
    checkpoint.close();
  });

  it("a torn or flipped slot leaves the mark before", async () => {
    const path = join(dir, "witness");
    const checkpoint = FileCheckpoint.open(path);
    checkpoint.read();
    for (const commit of [1, 2, 3]) checkpoint.write(mark(commit));
    checkpoint.close();
    const bytes = await readFile(path);
    for (let at = 0; at < SLOT_BYTES * 2; at++) {
      await writeFile(path, bytes.map((byte, index) => (index === at ? byte ^ 4 : byte)));
      const again = FileCheckpoint.open(path);
      expect([2, 3], `byte ${at}`).contain(again.read()?.commit);
      again.close();
    }
  });
});
