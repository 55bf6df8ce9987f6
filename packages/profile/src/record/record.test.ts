import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createHash } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { CorruptionError, crc32 } from "@pyromesh/base";
import { encodePush } from "./encode-push.ts";
import type { PushInput } from "./encode-push.ts";
import { fingerprintOf } from "../labels/fingerprint.ts";
import { NORMALISATION_VERSION } from "../model/identity.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import type { EncodedRecord, RecordView } from "../model/record-view.ts";
import { bodyOffset, encodedRecordOf, RECORD_MAGIC, RECORD_OFFSET, RECORD_VERSION, recordFingerprint, recordHeader, writeUint32, recordVersions } from "./record.ts";
import { recordSeries } from "./record-series.ts";
import { decodeRecord, RecordDecoder } from "./record-decode.ts";
import { encodeView } from "../testing/encode-view.ts";
import type { RecordUse } from "./record-encode.ts";
import { addViewSums, corpusPath, corpusPprof, corpusPprofFiles, recordSums } from "../testing/pprof-oracle.ts";
import type { Sums } from "../testing/pprof-oracle.ts";

const NOW_MS = 1_700_000_000_000;

function pushOf(pprof: Uint8Array): PushInput {
  return {
    tenant: "acme",
    labels: [{ name: "__name__", value: "process_cpu" }],
    pprof,
    fallbackTimeNs: BigInt(NOW_MS) * 1_000_000n,
    nonce: new Uint8Array(16),
    nowMs: NOW_MS,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  };
}

/** A small record with one of everything: spans, traces, a column beyond 2^53, a nonce, a service among labels. */
function smallPush(): PushInput {
  const writer = new PprofWriter({
    sampleTypes: [
      { type: "cpu", unit: "nanoseconds" },
      { type: "samples", unit: "count" },
    ],
    periodType: { type: "cpu", unit: "nanoseconds" },
    period: 10_000_000,
    timeNs: 0n,
    durationNs: 10_000_000_000n,
  });
  const main = writer.frame("main", "main.go", 10);
  const work = writer.frame("work", "main.go", 200);
  writer.sample([work, main], [(1n << 60n) + 1n, 2], [{ name: "span_id", value: "0123456789abcdef" }]);
  writer.sample([main], [10_000_000, 1], [{ name: "trace_id", value: "00112233445566778899aabbccddeeff" }]);
  writer.sample([writer.frame("idle"), main], [5, 300]);
  return {
    tenant: "acme",
    labels: [
      { name: "pod", value: "a-1" },
      { name: "__name__", value: "process_cpu" },
      { name: "service_name", value: "shop" },
      { name: "zone", value: "eu" },
    ],
    pprof: writer.finish(),
    fallbackTimeNs: 1_699_999_999_123_456_789n,
    nonce: Uint8Array.from({ length: 16 }, (_, i) => i),
    nowMs: NOW_MS,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  };
}

function small(): EncodedRecord {
  return encodePush(smallPush())[0]!; // one group, and a sample in it
}

/** A golden record. Its name says its record version and normalisation version, and whether it has store ids, which version 1 allowed. */
function golden(name: string): Uint8Array {
  return new Uint8Array(readFileSync(fileURLToPath(new URL(`../../testdata/${name}`, import.meta.url))));
}

/** What is told of a record beside its bytes. */
function beside({ identity, tenant, service, timeMs, sampleCount, fingerprint }: EncodedRecord): unknown {
  return [Buffer.from(identity).toString("hex"), tenant, service, timeMs, sampleCount, fingerprint];
}

function writeChecksum(bytes: Uint8Array): void {
  writeUint32(bytes, RECORD_OFFSET.crc, crc32(bytes.subarray(RECORD_OFFSET.bodyLength)));
}

/** Reads or throws CorruptionError; anything else fails the test. */
function readOrRefuse(bytes: Uint8Array): "read" | "refused" {
  try {
    const view = new RecordDecoder().decode(bytes, "a damaged record");
    const sums: Sums = new Map();
    addViewSums(sums, view, new Set()); // whatever was accepted can be walked
    return "read";
  } catch (thrown) {
    expect(thrown, (thrown as Error).stack).instanceOf(CorruptionError);
    return "refused";
  }
}

type Column = { slice(from: number, to: number): Iterable<unknown> };

/** A view by what it says: samples as text, so that how spans and traces are numbered does not show. */
function saying(view: RecordView): unknown {
  const { symbols, tree } = view;
  const string = (id: number): string => Buffer.from(symbols.stringBytes.slice(symbols.stringOffset[id], symbols.stringOffset[id + 1])).toString("latin1");
  const upTo = (column: Column, count: number): unknown[] => [...column.slice(0, count)];
  const id = (at: Uint32Array | undefined, ids: Uint8Array, size: number, sample: number): string =>
    at === undefined ? "none" : Buffer.from(ids.subarray(at[sample]! * size, (at[sample]! + 1) * size)).toString("hex");
  return {
    facts: [view.identity, view.tenant, view.labels, view.timeNs, view.durationNs, view.period, view.periodType, view.sampleTypes, view.profileId],
    strings: Array.from({ length: symbols.stringCount }, (_, at) => string(at)),
    mappings: [symbols.mappingStart, symbols.mappingLimit, symbols.mappingFileOffset, symbols.mappingFilename, symbols.mappingBuildId, symbols.mappingFlags].map((column: Column) => upTo(column, symbols.mappingCount)),
    functions: [symbols.functionName, symbols.functionSystemName, symbols.functionFilename, symbols.functionStartLine].map((column) => upTo(column, symbols.functionCount)),
    locations: [symbols.locationMapping, symbols.locationAddressLow, symbols.locationAddressHigh, symbols.locationFlags].map((column) => upTo(column, symbols.locationCount)),
    lines: [upTo(symbols.lineStart, symbols.locationCount + 1), upTo(symbols.lineFunction, symbols.lineCount), upTo(symbols.lineNumber, symbols.lineCount)],
    tree: [upTo(tree.nodeParent, tree.nodeCount), upTo(tree.nodeLocation, tree.nodeCount)],
    samples: [upTo(view.sampleNode, view.sampleCount), ...view.values.map((column) => [column.constructor.name, ...upTo(column, view.sampleCount)])],
    ids: Array.from({ length: view.sampleCount }, (_, at) => [id(view.sampleSpan, view.spans, 8, at), id(view.sampleTrace, view.traces, 16, at)]),
  };
}

describe("record", () => {
  it("comes out of the encoder as the same columns that decoding its bytes gives", function () {
    const corpus = corpusPath();
    if (corpus === undefined) this.skip();
    let recordCount = 0;
    const pushes = corpusPprofFiles(corpus).map((name): [string, PushInput] => [name, pushOf(corpusPprof(name))]);
    for (const [name, push] of [["small", smallPush()] as const, ...pushes]) {
      const seen: { bytes: Uint8Array; said: unknown }[] = [];
      const use: RecordUse = { room: (lengthBytes) => new Uint8Array(lengthBytes), onRecord: (record, view) => void seen.push({ bytes: record.bytes, said: saying(view) }) };
      try {
        encodePush(push, use);
      } catch {
        continue; // a file that is refused
      }
      for (const { bytes, said } of seen) expect(saying(decodeRecord(bytes, name)), name).deep.equal(said);
      recordCount += seen.length;
    }
    expect(recordCount).greaterThan(25);
  });

  it("reads back what was written", () => {
    const record = small();
    const view = decodeRecord(record.bytes, "r");
    expect(view.tenant).equal("acme");
    expect(view.labels.map(({ name, value }) => `${name}=${value}`)).deep.equal(["__name__=process_cpu", "pod=a-1", "service_name=shop", "zone=eu"]);
    expect(view.timeNs).equal(1_699_999_999_123_456_789n);
    expect([view.durationNs, view.period]).deep.equal([10_000_000_000n, 10_000_000n]);
    expect(view.sampleTypes.map(({ type }) => type)).deep.equal(["cpu", "samples"]);
    expect(view.values[0]).instanceOf(BigInt64Array);
    expect([...view.values[0]!]).deep.equal([(1n << 60n) + 1n, 10_000_000n, 5n]);
    expect([...view.values[1]!.subarray(0, 3)]).deep.equal([2, 1, 300]);
    expect([...view.sampleNode.subarray(0, 3)]).deep.equal([2, 1, 3]);
    expect([...view.sampleSpan!.subarray(0, 3)]).deep.equal([1, 0, 0]);
    expect([...view.sampleTrace!.subarray(0, 3)]).deep.equal([0, 1, 0]);
    expect(Buffer.from(view.identity).equals(record.identity)).equal(true);
    expect(view.nonce).deep.equal(Uint8Array.from({ length: 16 }, (_, i) => i));
    expect(record.timeMs).equal(1_699_999_999_123);
  });

  it("the identity is the body's hash", () => {
    const { bytes, identity } = small();
    const body = bytes.subarray(RECORD_OFFSET.body);
    expect(body[0]).equal(NORMALISATION_VERSION);
    expect(createHash("sha256").update(body).digest("hex").slice(0, 32)).equal(Buffer.from(identity).toString("hex"));
  });

  it("the header says the same without decoding", () => {
    const record = small();
    const header = recordHeader(record.bytes);
    expect(header).deep.include({ tenant: "acme", service: "shop", timeMs: record.timeMs, sampleCount: 3, fingerprint: record.fingerprint });
    const again = encodedRecordOf(record.bytes);
    expect({ ...again, identity: [...again.identity] }).deep.equal({ ...record, identity: [...record.identity] });
  });

  it("the fingerprint is that of the label set, and no part of what the identity says", () => {
    const { bytes, identity, fingerprint } = small();
    expect(fingerprint).equal(fingerprintOf(smallPush().labels));
    expect(fingerprint).equal(fingerprintOf(decodeRecord(bytes, "r").labels));
    expect(recordFingerprint(bytes)).equal(fingerprint);
    expect(new DataView(bytes.buffer).getBigUint64(RECORD_OFFSET.fingerprint, true)).equal(fingerprint);
    expect(Buffer.from(identity).toString("hex"), "that of record version 1").equal(Buffer.from(recordHeader(golden("record-1-2.bin")).identity).toString("hex"));
  });

  it("a record of version 1 says the same, whatever stores it names, and its fingerprint is told from its labels", () => {
    const record = small();
    for (const name of ["record-1-2.bin", "record-1-2-stores.bin"]) {
      const bytes = golden(name);
      expect(bytes[RECORD_OFFSET.version], name).equal(1);
      expect(saying(decodeRecord(bytes, name))).deep.equal(saying(decodeRecord(record.bytes, "r")));
      expect(beside(encodedRecordOf(bytes)), name).deep.equal(beside(record));
      expect(recordSeries(bytes)).deep.equal(recordSeries(record.bytes));
      for (let length = 0; length < bytes.length; length++) expect(readOrRefuse(bytes.subarray(0, length)), `${name} cut at ${length}`).equal("refused");
    }
  });

  it("identities of real profiles are what they were before the fingerprint stood in a record", function () {
    const corpus = corpusPath();
    if (corpus === undefined) return this.skip();
    const known = JSON.parse(Buffer.from(golden("corpus-identities.json")).toString()) as Record<string, string[]>;
    let count = 0;
    for (const [file, identities] of Object.entries(known)) {
      const records = encodePush(pushOf(corpusPprof(join(corpus, "pprof", file))));
      expect(records.map(({ identity }) => Buffer.from(identity).toString("hex")), file).deep.equal(identities);
      count += records.length;
    }
    expect(count).greaterThan(25);
  });

  it("encoding a view gives the same bytes, on every corpus profile", function () {
    const corpus = corpusPath();
    if (corpus === undefined) return this.skip();
    const decoder = new RecordDecoder();
    let count = 0;
    for (const path of corpusPprofFiles(corpus)) {
      if (path.includes("invalid_utf8") || path.includes("dotnet")) continue;
      const records = encodePush({
        tenant: "t",
        labels: [{ name: "__name__", value: "x" }],
        pprof: corpusPprof(path),
        fallbackTimeNs: 1n,
        nonce: new Uint8Array(16),
        nowMs: NOW_MS,
        limits: DEFAULT_PROFILE_LIMITS,
        window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
      });
      for (const record of records) {
        const view = decoder.decode(record.bytes, path);
        const again = encodeView(view, view);
        expect(Buffer.compare(again.bytes, record.bytes), path).equal(0);
        count++;
      }
    }
    expect(count).greaterThan(18);
  });

  it("truncated at any byte it is refused", () => {
    const { bytes } = small();
    for (let length = 0; length < bytes.length; length++) expect(readOrRefuse(bytes.subarray(0, length)), `${length}`).equal("refused");
    expect(readOrRefuse(Buffer.concat([bytes, Uint8Array.of(0)]))).equal("refused");
  });

  it("with any bit flipped it is refused", () => {
    const { bytes } = small();
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(readOrRefuse(flipped), `bit ${bit}`).equal("refused");
    }
  });

  it("wrong bytes under a right checksum are refused or read, never anything else", () => {
    const { bytes } = small();
    const damaged = (change: (copy: Uint8Array) => Uint8Array): void => {
      const copy = change(bytes.slice());
      if (copy.length >= RECORD_OFFSET.body) {
        new DataView(copy.buffer).setUint32(RECORD_OFFSET.bodyLength, copy.length - RECORD_OFFSET.body, true);
        writeChecksum(copy);
      }
      readOrRefuse(copy);
    };
    for (let at = RECORD_OFFSET.body; at < bytes.length; at++) {
      for (const byte of [0, 1, 0x7f, 0x80, 0xff, bytes[at]! ^ 1]) {
        damaged((copy) => {
          copy[at] = byte;
          return copy;
        });
      }
      damaged((copy) => copy.slice(0, at));
    }
    fc.assert(
      fc.property(fc.nat(), fc.uint8Array({ maxLength: 60 }), (from, noise) => {
        damaged((copy) => {
          copy.set(noise, Math.min(RECORD_OFFSET.body + (from % 200), copy.length - noise.length));
          return copy;
        });
      }),
      { numRuns: 2000 },
    );
  });

  it("counts beyond the bytes are refused before memory is taken for them", () => {
    const { bytes } = small();
    for (let at = RECORD_OFFSET.body; at + 4 < bytes.length; at++) {
      const copy = bytes.slice();
      copy.set([0xff, 0xff, 0xff, 0xff], at);
      writeChecksum(copy);
      readOrRefuse(copy);
    }
  });

  it("a decoder used again says nothing of the record before", () => {
    const corpus = corpusPath();
    const decoder = new RecordDecoder();
    const record = small();
    const alone = new Map<string, bigint>();
    addViewSums(alone, decodeRecord(record.bytes, "r"), new Set());
    if (corpus !== undefined) decoder.decode(largeOf(corpus).bytes, "large");
    const after: Sums = new Map();
    addViewSums(after, decoder.decode(record.bytes, "r"), new Set());
    expect(after).deep.equal(alone);
  });

  it("records of every version stay readable: the golden ones", () => {
    const current = `record-${RECORD_VERSION}-${NORMALISATION_VERSION}.bin`;
    const path = fileURLToPath(new URL(`../../testdata/${current}`, import.meta.url));
    if (process.env["PYROMESH_WRITE_GOLDEN"] === "1" || !existsSync(path)) writeFileSync(path, small().bytes);
    const record = small();
    for (const [name, version, normalisation] of [["record-1-1.bin", 1, 1], ["record-1-2.bin", 1, 2], ["record-1-2-stores.bin", 1, 2], [current, RECORD_VERSION, NORMALISATION_VERSION]] as const) {
      const bytes = golden(name);
      expect(bytes[RECORD_OFFSET.version], name).equal(version);
      expect(bytes[bodyOffset(bytes, name)], `${name}: the normalisation version`).equal(normalisation);
      expect(recordSums([encodedRecordOf(bytes)], new Set()), name).deep.equal(recordSums([record], new Set()));
      expect(recordFingerprint(bytes), name).equal(record.fingerprint);
    }
    // What is written for members that read no newer one: the bytes that the build before wrote.
    expect(Buffer.from(encodePush({ ...smallPush(), recordVersion: 1 })[0]!.bytes).toString("hex")).equal(Buffer.from(golden("record-1-2.bin")).toString("hex"));
    // The same push must have these bytes and this identity for ever, or a version must rise.
    expect(Buffer.from(golden(current)).toString("hex")).equal(Buffer.from(record.bytes).toString("hex"));
  });

  it("of both versions that are written, a push has the same identities, and its record says which it is in", () => {
    const records = [1, 2].map((recordVersion) => encodePush({ ...smallPush(), recordVersion })[0]!);
    expect(records.map(({ bytes }) => recordVersions(bytes))).deep.equal([1, 2].map((record) => ({ record, normalisation: NORMALISATION_VERSION })));
    expect(beside(records[0]!)).deep.equal(beside(records[1]!));
    expect(saying(decodeRecord(records[0]!.bytes, "1"))).deep.equal(saying(decodeRecord(records[1]!.bytes, "2")));
    expect(recordVersions(new Uint8Array(60))).equal(undefined);
  });

  it("a version that is not known is refused", () => {
    for (const version of [0, RECORD_VERSION + 1, 255]) {
      const bytes = small().bytes.slice();
      bytes[RECORD_OFFSET.version] = version;
      expect(() => decodeRecord(bytes, "r")).throw(CorruptionError, "version");
    }
  });

  it("a normalisation version that is not known is refused", () => {
    for (const version of [0, NORMALISATION_VERSION + 1, 255]) {
      const bytes = small().bytes.slice();
      bytes[RECORD_OFFSET.body] = version;
      writeChecksum(bytes);
      expect(() => decodeRecord(bytes, "r")).throw(CorruptionError, "normalisation version");
    }
  });

  it("RECORD.md says what the code does", () => {
    const text = readFileSync(fileURLToPath(new URL("../../RECORD.md", import.meta.url)), "utf8");
    const example = /```hex\n([^`]*)```/.exec(text)?.[1];
    const documented = (example ?? "").replace(/^.*\|/gm, "").replace(/\s+/g, "");
    expect(documented).equal(Buffer.from(small().bytes).toString("hex"));
    const magic = Buffer.alloc(4);
    magic.writeUInt32LE(RECORD_MAGIC);
    expect(text).contain(`\`${magic.toString("latin1")}\``);
    expect(text).contain(`record version ${RECORD_VERSION}`);
    expect(text).contain(`normalisation version ${NORMALISATION_VERSION}`);
    for (const [field, offset] of Object.entries(RECORD_OFFSET)) expect(text, field).match(new RegExp(`\\| *${offset} *\\|.*\`${field}\``));
  });
});

function largeOf(corpus: string): EncodedRecord {
  return encodePush({
    tenant: "t",
    labels: [{ name: "__name__", value: "x" }],
    pprof: corpusPprof(`${corpus}/pprof/heap.pb.gz`),
    fallbackTimeNs: 1n,
    nonce: new Uint8Array(16),
    nowMs: NOW_MS,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  })[0]!; // a heap profile has samples
}
