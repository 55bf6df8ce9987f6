/** What an overload has shown, line by line. Each figure that has a goal says whether it was met. Pure. */
import type { Latencies, LoadFigures, OverloadFigures, Trial } from "./overload.ts";

interface Goals {
  /** Of each node. */
  readonly memoryMb: number;
  readonly isOnePaused: boolean;
}

interface Row {
  readonly name: string;
  readonly goal: string;
  readonly measured: string;
  readonly isMet: boolean;
}

const ACCEPTED_PART_MIN = 0.8;
const P99_MS_MAX = 1_000;
/** A generator that is later than this has not offered the load that it says: it sends in bursts. */
const LATE_P99_MS_MAX = 250;

export function overloadRows({ basePerSecond, overload, paused, queries, deaths, residentMb, unsureCount, sumCount, mismatches }: OverloadFigures, { memoryMb, isOnePaused }: Goals): readonly Row[] {
  const part = overload.acceptedPerSecond / basePerSecond;
  const worstMb = Math.max(...residentMb);
  const rows: Row[] = [
    { name: "accepted, of the base", goal: `>= ${percent(ACCEPTED_PART_MIN)}`, measured: `${percent(part)}, ${overload.acceptedPerSecond.toFixed(0)}/s`, isMet: isOnePaused || part >= ACCEPTED_PART_MIN },
    { name: "p99 of what was accepted", goal: `<= ${P99_MS_MAX} ms`, measured: latencies(overload.accepted), isMet: isOnePaused || overload.accepted.p99Ms <= P99_MS_MAX },
    { name: "resident memory, each node", goal: `<= ${memoryMb} MB`, measured: residentMb.map((mb) => `${mb.toFixed(0)} MB`).join(", "), isMet: worstMb <= memoryMb },
    { name: "members declared dead", goal: isOnePaused ? "the stopped one" : "0", measured: `${deaths} verdicts`, isMet: isOnePaused ? deaths > 0 : deaths === 0 },
    { name: "lost or doubled", goal: "0", measured: `${mismatches.length} of ${sumCount} sums; ${unsureCount} pushes may be there or not`, isMet: mismatches.length === 0 && sumCount > 0 },
    { name: "refusals with Retry-After", goal: "all", measured: `all but ${overload.untimedCount}, after ${latencies(overload.refused)}`, isMet: overload.untimedCount === 0 },
    { name: "generator late", goal: `p99 <= ${LATE_P99_MS_MAX} ms`, measured: `${latencies(overload.generatorLate)}; ${overload.generatorCores.toFixed(2)} of ${overload.allCores.toFixed(2)} processors used; p99 since due ${overload.acceptedSinceDueP99Ms.toFixed(0)} ms`, isMet: overload.generatorLate.p99Ms <= LATE_P99_MS_MAX },
  ];
  if (paused !== undefined) {
    rows.push({ name: "live nodes, while one is stopped", goal: `p99 <= ${P99_MS_MAX} ms`, measured: `${latencies(paused.accepted)}, accepted ${paused.acceptedPerSecond.toFixed(0)}/s`, isMet: paused.accepted.p99Ms <= P99_MS_MAX });
  }
  if (queries.sentCount > 0) {
    const answers = told(queries.answers);
    rows.push({ name: "queries", goal: "none hangs", measured: `${answers}; p50 ${queries.p50Ms.toFixed(0)}, max ${queries.maxMs.toFixed(0)} ms; ${queries.untimedCount} refused without Retry-After`, isMet: !queries.answers.has(0) && queries.untimedCount === 0 });
  }
  return rows;
}

export function trialLine({ figures, isTaken }: Trial): string {
  return `${figures.offeredPerSecond.toFixed(0)}/s: ${isTaken ? "taken" : "not taken"}, ${rates(figures)}`;
}

export function rates({ answers, accepted, generatorLate, generatorCores, allCores }: LoadFigures): string {
  return `${told(answers)}; accepted after ${latencies(accepted)}; generator late by ${latencies(generatorLate)}, ${generatorCores.toFixed(2)} of ${allCores.toFixed(2)} processors used`;
}

function told(answers: ReadonlyMap<number, number>): string {
  return [...answers].map(([status, count]) => `${status === 0 ? "no answer" : status}: ${count}`).join(", ");
}

function latencies({ p50Ms, p99Ms, maxMs }: Latencies): string {
  return `p50 ${p50Ms.toFixed(0)}, p99 ${p99Ms.toFixed(0)}, max ${maxMs.toFixed(0)} ms`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(0)} %`;
}
