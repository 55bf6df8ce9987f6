import { expect } from "chai";
import { encodePush } from "./encode-push.ts";
import type { PushInput } from "./encode-push.ts";
import type { Label } from "../labels/labels.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import type { EncodedRecord } from "../model/record-view.ts";
import { recordSeries } from "./record-series.ts";

interface Push {
  readonly labels?: Readonly<Record<string, string>>;
  readonly types?: readonly string[];
  readonly periodUnit?: string;
  readonly timeNs?: bigint;
  readonly tenant?: string;
  readonly name?: string;
  readonly sampleLabel?: Label;
}

function recordsOf({ labels = {}, types = ["cpu:nanoseconds"], periodUnit = "nanoseconds", timeNs = 5n, tenant = "t", name = "work", sampleLabel }: Push): EncodedRecord[] {
  const sampleTypes = types.map((type) => ({ type: type.split(":")[0]!, unit: type.split(":")[1]! }));
  const writer = new PprofWriter({ sampleTypes, periodType: { type: "cpu", unit: periodUnit }, period: 1, timeNs, durationNs: timeNs });
  writer.sample([writer.frame(name)], types.map((_, i) => i + 1));
  if (sampleLabel !== undefined) writer.sample([writer.frame(name)], types.map(() => 7), [sampleLabel]);
  const input: PushInput = {
    tenant,
    labels: Object.entries({ __name__: "process_cpu", service_name: "api", ...labels }).map(([label, value]) => ({ name: label, value })),
    pprof: writer.finish(),
    fallbackTimeNs: 1n,
    nonce: new Uint8Array(16),
    nowMs: 0,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  };
  return encodePush(input);
}

/** The series of each record of one push. */
function seriesOf(push: Push): number[][] {
  return recordsOf(push).map(({ bytes }) => recordSeries(bytes));
}

describe("recordSeries", () => {
  it("the same labels and type are the same series, whatever else the record holds", () => {
    const first = seriesOf({});
    expect(seriesOf({ timeNs: 9n, name: "other", tenant: "someone else" })).deep.equal(first);
  });

  it("any label, the service, the type, its unit and the period make another series; each column is one", () => {
    const different = [
      seriesOf({}),
      seriesOf({ labels: { pod: "a" } }),
      seriesOf({ labels: { pod: "b" } }),
      seriesOf({ labels: { po: "da" } }),
      seriesOf({ labels: { service_name: "web" } }),
      seriesOf({ labels: { __name__: "off_cpu" } }),
      seriesOf({ types: ["cpu:count"] }),
      seriesOf({ types: ["samples:count"] }),
      seriesOf({ periodUnit: "count" }),
    ];
    expect(new Set(different.flat(2)).size).equal(different.length);
    expect(seriesOf({ types: ["samples:count", "cpu:nanoseconds"] })).deep.equal([[...seriesOf({ types: ["samples:count"] })[0]!, ...seriesOf({})[0]!]]);
  });

  it("labels of samples split a push into series", () => {
    const series = seriesOf({ sampleLabel: { name: "endpoint", value: "/pay" } });
    expect(series).deep.equal([...seriesOf({}), ...seriesOf({ labels: { endpoint: "/pay" } })]);
  });

  it("a hundred thousand series of much the same labels are a hundred thousand numbers, all safe integers", () => {
    const bytes = Buffer.from(recordsOf({ labels: { pod: "pod-000000" } })[0]!.bytes);
    const at = bytes.indexOf("pod-000000") + 4;
    const seen = new Set<number>();
    const lowBits = new Set<number>();
    for (let i = 0; i < 100_000; i++) {
      bytes.write(String(i).padStart(6, "0"), at);
      const [series] = recordSeries(bytes);
      expect(Number.isSafeInteger(series)).equal(true);
      seen.add(series!);
      lowBits.add(series! % 1024);
    }
    expect(seen.size).equal(100_000);
    expect(lowBits.size, "spread over the low bits too").equal(1024);
  });

  it("a torn record is refused as corrupt, cut at any byte", () => {
    const { bytes } = recordsOf({})[0]!;
    for (let length = 0; length < bytes.length; length++) expect(() => recordSeries(bytes.subarray(0, length)), `${length} bytes`).throw("corrupt");
  });
});
