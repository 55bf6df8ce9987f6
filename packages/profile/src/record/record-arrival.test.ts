import { CorruptionError } from "@pyromesh/base";
import { expect } from "chai";
import { encodePush } from "./encode-push.ts";
import type { PushInput } from "./encode-push.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import { recordArrival } from "./record-arrival.ts";
import type { RecordArrival } from "./record-arrival.ts";

const ID = Uint8Array.from({ length: 16 }, (_, i) => i);
const ARRIVED_MS = 1_700_000_000_123;

type Push = Partial<Pick<PushInput, "profileId" | "idempotencyKey">> & { readonly timeNs?: bigint; readonly isSplit?: boolean };

function recordsOf({ timeNs = 0n, isSplit = false, ...name }: Push): Uint8Array[] {
  const cpu = { type: "cpu", unit: "nanoseconds" };
  const writer = new PprofWriter({ sampleTypes: [cpu, { type: "samples", unit: "count" }], periodType: cpu, period: 1, timeNs, durationNs: 0n });
  writer.sample([writer.frame("work")], [1, 2], isSplit ? [{ name: "endpoint", value: "/pay" }] : []);
  writer.sample([writer.frame("work")], [1, 2]);
  const records = encodePush({
    tenant: "t",
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: "api" }, { name: "pod", value: "a" }],
    pprof: writer.finish(),
    fallbackTimeNs: BigInt(ARRIVED_MS) * 1_000_000n,
    nonce: new Uint8Array(16),
    nowMs: ARRIVED_MS,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
    ...name,
  });
  return records.map(({ bytes }) => bytes);
}

const arrivalsOf = (push: Push): (RecordArrival | undefined)[] => recordsOf(push).map((bytes) => recordArrival(bytes));

describe("recordArrival", () => {
  it("gives the time of arrival and the name of a push without a clock", () => {
    const arrival = { tenant: "t", timeMs: ARRIVED_MS, profileId: undefined, idempotencyKey: undefined };
    expect(arrivalsOf({ profileId: ID })).to.deep.equal([{ ...arrival, profileId: ID }]);
    expect(arrivalsOf({ idempotencyKey: "kéy" })).to.deep.equal([{ ...arrival, idempotencyKey: "kéy" }]);
    expect(arrivalsOf({ profileId: ID, idempotencyKey: "k" })).to.deep.equal([{ ...arrival, profileId: ID, idempotencyKey: "k" }]);
  });

  it("gives the time and the name for each record of a split push", () => {
    const told = arrivalsOf({ idempotencyKey: "k", isSplit: true });
    expect(told.map((arrival) => arrival?.idempotencyKey)).to.deep.equal(["k", "k"]);
  });

  it("gives nothing for a push without a name, split or not, nor for one with a clock in nanoseconds", () => {
    expect(arrivalsOf({})).to.deep.equal([undefined]);
    expect(arrivalsOf({ isSplit: true })).to.deep.equal([undefined, undefined]);
    expect(arrivalsOf({ profileId: ID, idempotencyKey: "k", timeNs: 1_700_000_000_123_456_789n })).to.deep.equal([undefined]);
  });

  it("refuses a record that ends early", () => {
    const [record] = recordsOf({ profileId: ID });
    for (let length = 0; length < record!.length; length++) expect(() => recordArrival(record!.subarray(0, length))).to.throw(CorruptionError);
  });
});
