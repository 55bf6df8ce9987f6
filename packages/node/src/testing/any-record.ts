/** Small records for tests that need nothing of them but that they are some: one sample of one series. */
import type { EncodedRecord } from "@pyromesh/profile";
import { DEFAULT_PROFILE_LIMITS, encodePush, PprofWriter } from "@pyromesh/profile";

export interface AnyRecord {
  /** Names the series: another number, another label set. */
  readonly series: number;
  readonly tenant?: string;
  readonly service?: string;
  readonly timeMs?: number;
  /** Another number, another content. */
  readonly value?: number;
  /** About how large it is to be, where that matters. */
  readonly sizeBytes?: number;
  /** Absent: the newest. */
  readonly recordVersion?: number;
}

export function recordOf({ series, tenant = "anonymous", service = "shop", timeMs = 1_700_000_000_000, value = 1, sizeBytes = 0, recordVersion }: AnyRecord): EncodedRecord {
  const cpu = { type: "cpu", unit: "nanoseconds" };
  const writer = new PprofWriter({ sampleTypes: [cpu], periodType: cpu, period: 1, timeNs: BigInt(timeMs) * 1_000_000n, durationNs: 0n });
  writer.sample([writer.frame(`work${"k".repeat(sizeBytes)}`), writer.frame("main")], [value]);
  const [record] = encodePush({
    tenant,
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: service }, { name: "pod", value: `pod ${series}` }],
    pprof: writer.finish(),
    fallbackTimeNs: 0n,
    nonce: new Uint8Array(16),
    nowMs: timeMs,
    limits: { ...DEFAULT_PROFILE_LIMITS, symbolLengthBytesMax: 0 },
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
    recordVersion,
  });
  return { ...record!, bytes: record!.bytes.slice() };
}
