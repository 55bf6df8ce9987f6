/**
 * Queries everything that the ledger knows and compares it exactly:
 *
 *   flame graphs  each service and type, by stack of function names      SelectMergeStacktraces
 *   pprof         each type of some pods, by stack with file and line    SelectMergeProfile
 *   totals        each service and type, by pod                          SelectSeries
 */
import { Profile } from "pprof-format";
import type { HttpClient } from "./http-client.ts";
import type { Expected, Ledger } from "./ledger.ts";
import type { Workload } from "./options.ts";
import { RANGE_MS } from "./options.ts";
import { FRAME_END, stacksOf } from "./program.ts";

export interface VerifyResult {
  readonly comparedCount: number;
  /** The number of sums that were compared. */
  readonly sumCount: number;
  readonly mismatchCount: number;
  /** The first few mismatches, in words. */
  readonly mismatches: readonly string[];
  readonly elapsedMs: number;
}

const MISMATCHES_TOLD_MAX = 20;
const STEP_S = 60;
/** Pyroscope's highest, and more nodes than the programs have. */
const NODE_COUNT_MAX = 1_048_576;

export async function verify(
  options: { readonly workload: Workload; readonly profileSeriesCount: number },
  modules: { readonly ledger: Ledger; readonly client: HttpClient; readonly progress: (line: string) => void },
): Promise<VerifyResult> {
  const { ledger, client, progress } = modules;
  const range = { start: options.workload.endMs - RANGE_MS - 60_000, end: options.workload.endMs + 60_000 };
  const startMs = performance.now();
  const mismatches: string[] = [];
  let mismatchCount = 0;
  let comparedCount = 0;
  let sumCount = 0;

  const check = async (what: string, expected: Expected, ask: () => Promise<Map<string, number>>): Promise<void> => {
    progress(`verifying ${what}`);
    comparedCount++;
    sumCount += expected.size;
    let found: string[];
    try {
      found = compareSums(expected, await ask());
    } catch (error) {
      found = [(error as Error).message];
    }
    mismatchCount += found.length;
    for (const text of found) if (mismatches.length < MISMATCHES_TOLD_MAX) mismatches.push(`${what}: ${text}`);
  };

  for (const service of ledger.services()) {
    for (const profileType of ledger.typesOf(service)) {
      const query = { profileTypeID: profileType, labelSelector: `{service_name=${JSON.stringify(service)}}`, ...range };
      await check(`flame graph of ${service}, ${profileType}`, ledger.byNames(service, profileType), async () =>
        collapseFlameGraph(await client.call("querier.v1.QuerierService/SelectMergeStacktraces", { ...query, maxNodes: NODE_COUNT_MAX })),
      );
      await check(`series of ${service}, ${profileType}`, ledger.totals(service, profileType), async () =>
        totalsByPod(await client.call("querier.v1.QuerierService/SelectSeries", { ...query, step: STEP_S, groupBy: ["pod"] })),
      );
    }
  }
  const pods = ledger.podNames().slice(0, options.profileSeriesCount);
  for (const [pod, name] of pods.entries()) {
    for (const profileType of ledger.typesOfPod(pod)) {
      const selector = `{service_name=${JSON.stringify(ledger.serviceOfPod(pod))},pod=${JSON.stringify(name)}}`;
      await check(`pprof of ${name}, ${profileType}`, ledger.byFullStack(pod, profileType), async () => {
        const request = encodeMergeProfileRequest(profileType, selector, range.start, range.end);
        const reply = await client.post("/querier.v1.QuerierService/SelectMergeProfile", "application/proto", request);
        if (reply.status !== 200) throw new Error(`SelectMergeProfile answered ${reply.status}: ${reply.body.toString().slice(0, 300)}`);
        return collapseProfile(reply.body);
      });
    }
  }
  client.close();
  return { comparedCount, sumCount, mismatchCount, mismatches, elapsedMs: performance.now() - startMs };
}

/** One sentence for each sum that differs. */
export function compareSums(expected: Expected, found: ReadonlyMap<string, number>): string[] {
  const different: string[] = [];
  for (const [key, { least, most }] of expected) {
    const value = found.get(key) ?? 0;
    if (value >= least && value <= most) continue;
    const range = least === most ? `${least}` : `${least} to ${most}`;
    different.push(`${printKey(key)} should be ${range}, is ${value} (${value < least ? "lost" : "doubled"})`);
  }
  for (const [key, value] of found) if (value !== 0 && !expected.has(key)) different.push(`${printKey(key)} should not be there, is ${value}`);
  return different;
}

function printKey(key: string): string {
  const text = key.split(FRAME_END).join(";");
  return text.length > 160 ? `...${text.slice(-157)}` : text;
}

/** Levels are chunks of four: distance from the end of the box before, total, self, name. The parent of a box is the box above it. */
function collapseFlameGraph(message: unknown): Map<string, number> {
  const { flamegraph } = message as { flamegraph?: { names?: string[]; levels?: { values?: (string | number)[] }[] } };
  const names = flamegraph?.names ?? [];
  const sums = new Map<string, number>();
  let above: { from: number; to: number; stack: string }[] = [];
  for (const [depth, level] of (flamegraph?.levels ?? []).entries()) {
    const values = (level.values ?? []).map(Number);
    const bars: typeof above = [];
    let x = 0;
    let parent = 0;
    for (let i = 0; i + 3 < values.length; i += 4) {
      const from = x + values[i]!;
      const to = from + values[i + 1]!;
      const name = names[values[i + 3]!] ?? "";
      while (parent < above.length - 1 && above[parent]!.to <= from) parent++;
      // Level 0 is the root, which is no function.
      const stack = depth === 0 ? "" : depth === 1 ? name : `${above[parent]?.stack ?? "?"}${FRAME_END}${name}`;
      const self = values[i + 2]!;
      if (self !== 0) sums.set(stack, (sums.get(stack) ?? 0) + self);
      bars.push({ from, to, stack });
      x = to;
    }
    above = bars;
  }
  return sums;
}

function collapseProfile(pprof: Uint8Array): Map<string, number> {
  const sums = new Map<string, number>();
  if (pprof.length === 0) return sums;
  const profile = Profile.decode(pprof);
  const stacks = stacksOf(profile, true);
  profile.sample.forEach((sample, index) => sums.set(stacks[index]!, (sums.get(stacks[index]!) ?? 0) + Number(sample.value[0])));
  return sums;
}

function totalsByPod(message: unknown): Map<string, number> {
  const { series } = message as { series?: { labels?: { name: string; value: string }[]; points?: { value?: number | string }[] }[] };
  const totals = new Map<string, number>();
  for (const { labels, points } of series ?? []) {
    const pod = labels?.find(({ name }) => name === "pod")?.value ?? "";
    for (const { value } of points ?? []) totals.set(pod, (totals.get(pod) ?? 0) + Number(value ?? 0));
  }
  return totals;
}

/** SelectMergeProfileRequest: 1 profile_typeID, 2 label_selector, 3 start, 4 end. */
function encodeMergeProfileRequest(profileType: string, selector: string, startMs: number, endMs: number): Uint8Array {
  const text = (number: number, value: string): Buffer => Buffer.concat([Buffer.from([number * 8 + 2]), varint(Buffer.byteLength(value)), Buffer.from(value)]);
  return Buffer.concat([text(1, profileType), text(2, selector), Buffer.from([0x18]), varint(startMs), Buffer.from([0x20]), varint(endMs)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
