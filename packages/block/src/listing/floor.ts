/**
 * A tenant's floor: what lies below it was deleted, or is about to be, and is in no answer. Pure.
 *
 *   v1/<tenant>/floor-<ms>.json        one small object a value; the highest of a tenant holds
 *
 *   time     ─────────────── floor ───────────────►
 *   objects  [ below ]  [  straddling  ]  [ above ]
 *   answers                    ──────────────────►      a straddling object is read from the floor on
 *
 * What must stay true: the value is in the object's name, so that a LIST is enough; the object's content is for people. A name that begins
 * like a floor and cannot be read is reported as an error: someone meant to raise the floor, and no node obeys it until the name is corrected.
 */
import type { TenantId } from "@pyromesh/base";
import { assert, parseTenantId } from "@pyromesh/base";
import { tenantPrefix } from "./object-path.ts";

export interface Floor {
  readonly tenant: TenantId;
  /** The first time that is above it: milliseconds since 1970. */
  readonly floorMs: number;
}

/** Below every time. */
export const NO_FLOOR_MS = 0;
/** The same number of digits as the times in the names of segments. */
const TIME_DIGITS = 13;
/** The year 10,000: windows end there. */
const FLOOR_MS_MAX = Date.UTC(10_000, 0);
const FLOOR_LIKE = /^v1\/(?<tenant>[^/]+)\/floor(?<rest>[^/]*)$/;
const REST = /^-(?<ms>\d{13,15})\.json$/;

export function floorKey({ tenant, floorMs }: Floor): string {
  assert(Number.isSafeInteger(floorMs) && floorMs >= 0 && floorMs <= FLOOR_MS_MAX, "a floor is a whole number of milliseconds from 1970 to 9999");
  return `${tenantPrefix(tenant)}floor-${String(floorMs).padStart(TIME_DIGITS, "0")}.json`;
}

/** Undefined for a name that is no floor's. */
export function parseFloorKey(key: string): Floor | "malformed" | undefined {
  const match = FLOOR_LIKE.exec(key);
  if (match === null) return undefined;
  const { tenant, rest } = match.groups as { readonly tenant: string; readonly rest: string }; // named in FLOOR_LIKE
  const floorMs = Number(REST.exec(rest)?.groups?.ms ?? NaN);
  if (!(floorMs <= FLOOR_MS_MAX)) return "malformed";
  try {
    const floor = { tenant: parseTenantId(tenant), floorMs };
    return floorKey(floor) === key ? floor : "malformed";
  } catch {
    return "malformed";
  }
}

/** The part of a range that lies above the floor; undefined where none does. Both ends inclusive. */
export function rangeAbove(floorMs: number, range: { readonly startMs: number; readonly endMs: number }): { readonly startMs: number; readonly endMs: number } | undefined {
  return range.endMs < floorMs ? undefined : { startMs: Math.max(range.startMs, floorMs), endMs: range.endMs };
}
