/** Which records are meant: what a question to the head, or a cut, says of them. Pure. */
import { windowStartOf } from "@pyromesh/profile";
import type { Row } from "./record-table.ts";

/** All that is given must hold. */
export interface EntryFilter {
  readonly tenant?: string | undefined;
  readonly services?: ReadonlySet<string> | undefined;
  /** Times of the records, both inclusive. */
  readonly startMs?: number | undefined;
  readonly endMs?: number | undefined;
  readonly windowStartMs?: number | undefined;
  readonly ranks?: ReadonlySet<number> | undefined;
  readonly fingerprints?: ReadonlySet<bigint> | undefined;
}

/** Every record of rank 0 matches, and nothing else is asked. */
export function isOwnFilter({ ranks, ...others }: EntryFilter): boolean {
  return ranks?.size === 1 && ranks.has(0) && Object.values(others).every((value) => value === undefined);
}

/** A test of rows. Names are compared once for each tenant and service, so use it for one walk, during which no row leaves. */
export function matcherOf(filter: EntryFilter): (row: Row) => boolean {
  const { tenant, services, startMs = -Infinity, endMs = Infinity, windowStartMs, ranks, fingerprints } = filter;
  const byNames: (boolean | undefined)[] = [];
  const isNamed = (row: Row): boolean => {
    const { namesIndex } = row;
    return (byNames[namesIndex] ??= (tenant === undefined || row.tenant === tenant) && (services === undefined || services.has(row.service)));
  };
  const hasNames = tenant !== undefined || services !== undefined;
  return (row) => {
    if (hasNames && !isNamed(row)) return false;
    const { timeMs } = row;
    if (timeMs < startMs || timeMs > endMs) return false;
    if (windowStartMs !== undefined && windowStartOf(timeMs) !== windowStartMs) return false;
    if (ranks !== undefined && !ranks.has(row.rank)) return false;
    return fingerprints === undefined || fingerprints.has(row.fingerprint);
  };
}
