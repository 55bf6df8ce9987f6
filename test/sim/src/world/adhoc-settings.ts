/** What a seed draws for ad hoc profiles: files that clients upload, list, get and compare, and that nodes delete for their age. */
import type { Chance } from "./chance.ts";

/** Only these keep ad hoc profiles. */
const TENANTS: readonly string[] = ["elk", "fox"];
/** The share of histories that have clients of this kind. */
const ADHOC_SHARE = 0.15;

export interface AdHocSettings {
  readonly tenants: readonly string[];
  readonly clientCount: number;
  /** The mean pause between two requests of one client. */
  readonly pauseMs: number;
  /** Limits of a tenant. 0: none. */
  readonly countMax: number;
  readonly bytesMax: number;
  /** So that some are old before the history ends, and a clock that is wrong by minutes takes all for old. */
  readonly ageMs: number;
  /** How many times as often as a real node one of these looks for what is old. */
  readonly lookSpeed: number;
  /** The bucket says what time it is. */
  readonly hasDate: boolean;
}

/** Undefined: the history has no ad hoc profiles. */
export function drawAdHoc(chance: Chance): AdHocSettings | undefined {
  if (!chance.isTrue(ADHOC_SHARE)) return undefined;
  return {
    tenants: TENANTS.slice(0, chance.int(1, TENANTS.length)),
    clientCount: chance.int(1, 2),
    pauseMs: chance.between(800, 3_000),
    countMax: chance.pick([0, 3, 8, 15]),
    bytesMax: chance.pick([0, 0, 600, 3_000]),
    ageMs: chance.int(30, 50) * 1_000,
    lookSpeed: chance.between(200, 900),
    hasDate: chance.isTrue(0.5),
  };
}

/** As the configuration file has them. */
export function adHocLimits({ ageMs, bytesMax, countMax }: AdHocSettings): object {
  return { max_adhoc_profiles: countMax, max_adhoc_profiles_bytes: bytesMax, max_adhoc_profile_age: `${ageMs / 1_000}s` };
}
