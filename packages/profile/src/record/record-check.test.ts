import { expect } from "chai";
import { CorruptionError, crc32 } from "@pyromesh/base";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import type { EncodedRecord } from "../model/record-view.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import { encodePush } from "./encode-push.ts";
import { verifiedRecord } from "./record-check.ts";
import { encodedRecordOf, RECORD_OFFSET, writeUint32 } from "./record.ts";

function anyRecord(): EncodedRecord {
  const cpu = { type: "cpu", unit: "nanoseconds" };
  const writer = new PprofWriter({ sampleTypes: [cpu], periodType: cpu, period: 1, timeNs: 5_000_000n, durationNs: 0n });
  writer.sample([writer.frame("work"), writer.frame("main")], [7]);
  const [record] = encodePush({
    tenant: "acme",
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: "shop" }, { name: "pod", value: "a" }],
    pprof: writer.finish(),
    fallbackTimeNs: 0n,
    nonce: new Uint8Array(16),
    nowMs: 5,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  });
  return { ...record!, bytes: record!.bytes.slice() };
}

/** The checksum is made to fit, as a node that lies would. */
function withSum(bytes: Uint8Array): Uint8Array {
  writeUint32(bytes, RECORD_OFFSET.crc, crc32(bytes.subarray(RECORD_OFFSET.bodyLength)));
  return bytes;
}

describe("a record that another node sent", () => {
  const record = anyRecord();

  it("is taken as it is where its front says what its body says", () => {
    expect(verifiedRecord(record.bytes)).deep.equal(encodedRecordOf(record.bytes));
  });

  it("is refused for each bit that is another one", () => {
    for (let bit = 0; bit < record.bytes.length * 8; bit++) {
      const bytes = record.bytes.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => verifiedRecord(bytes), `bit ${bit}`).throw(CorruptionError);
    }
  });

  it("is refused where identity, fingerprint or body was changed and the checksum made to fit", () => {
    for (let at = RECORD_OFFSET.identity; at < record.bytes.length; at++) {
      const bytes = record.bytes.slice();
      bytes[at]! ^= 1;
      expect(() => verifiedRecord(withSum(bytes)), `byte ${at}`).throw(CorruptionError);
    }
  });

  it("is refused where it ends early", () => {
    for (let length = 0; length < record.bytes.length; length++) expect(() => verifiedRecord(record.bytes.subarray(0, length)), `${length}`).throw(CorruptionError);
  });
});
