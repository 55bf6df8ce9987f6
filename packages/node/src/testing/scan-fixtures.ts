/** Rows and questions for tests of scans and of their partial answers. The same number is the same row. */
import { encodeDataset } from "@pyromesh/block";
import { SegmentDataset } from "@pyromesh/block/segment";
import { Dataset, UNINTERRUPTED } from "@pyromesh/profile";
import type { DatasetView } from "@pyromesh/profile";
import { recordView } from "@pyromesh/profile/testing";
import type { PlainRowQuery, ScanPartial, ScanSpec, ScanTask } from "../compute/compute.ts";
import { WorkerScan } from "../compute/worker-scan.ts";

const START_MS = 1_700_000_000_000;
const CPU = { type: "cpu", unit: "nanoseconds" };
const [startNs, endNs] = [0n, 2n ** 62n];

const query: PlainRowQuery = {
  startNs,
  endNs,
  profileType: { name: "process_cpu", sampleType: CPU.type, sampleUnit: CPU.unit, periodType: CPU.type, periodUnit: CPU.unit },
  selector: [],
  callSite: [],
  profileIds: [],
  spanIds: [],
  traceIds: [],
};
const shape = { startMs: START_MS, endMs: START_MS + 60_000, stepMs: 15_000, groupBy: ["pod"], exemplars: "individual" } as const;

/** Every kind of scan. */
export const SCAN_SPECS: Readonly<Record<string, ScanSpec>> = {
  names: { kind: "names", query },
  locations: { kind: "locations", query },
  points: { kind: "points", query, shape: { ...shape, aggregation: "average" } },
  heatmap: { kind: "heatmap", query, shape: { ...shape, of: "individual" } },
  listing: { kind: "listing", startNs, endNs, selectors: [], listing: { kind: "series", names: [], alphabet: "utf8" }, bounds: { entryCountMax: 0, bytesMax: 0 } },
  cardinality: { kind: "cardinality", startNs, endNs, selectors: [] },
};

export function scanTaskOf(spec: ScanSpec): ScanTask {
  return { spec, tenants: ["anonymous"], firstWindowMs: 0, lastWindowMs: 2 ** 45, generations: [0], parts: [] };
}

/** Every third has a profile id that its neighbour shares; the value of each is its number and one more. */
export function rowsOf(numbers: readonly number[]): Dataset {
  const dataset = new Dataset("checkout", 1);
  for (const number of numbers) {
    dataset.insert(
      recordView({
        labels: { __name__: "process_cpu", service_name: "checkout", pod: `pod-${number % 3}`, "ägypten": "\u{1f600}" },
        timeNs: BigInt(START_MS + Math.floor(number / 2) * 2500) * 1_000_000n,
        samples: [{ stack: ["main", `step-${number % 5}`, "wörk"], values: [number + 1] }],
        ...(number % 3 === 2 ? {} : { profileId: new Uint8Array(16).fill(Math.floor(number / 3) + 1) }),
        salt: String(number),
      }),
    );
  }
  return dataset;
}

export function partialOf(spec: ScanSpec, views: readonly DatasetView[], more: Partial<ScanTask> = {}): ScanPartial {
  const scan = new WorkerScan({ ...scanTaskOf(spec), ...more }, UNINTERRUPTED);
  for (const view of views) scan.read(view);
  return scan.partial();
}

/** The same rows as a segment holds them. */
export function segmentOf(numbers: readonly number[]): SegmentDataset {
  const sections = new Map(encodeDataset(rowsOf(numbers)).map(({ tag, raw }) => [tag, raw.slice()]));
  return new SegmentDataset("checkout", (tag) => sections.get(tag), "a segment");
}

/** Identities of rows, 16 bytes each. */
export function identitiesOf(numbers: readonly number[]): Uint8Array {
  const { identities, rowCount } = rowsOf(numbers);
  return identities.slice(0, rowCount * 16);
}
