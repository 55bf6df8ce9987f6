/**
 * Checks one odd recording: it is refused with a code, or becomes profiles that become records; and what was not damaged is read exactly. Throws for
 * whatever else happens.
 */
import { assert, CodedError } from "@pyromesh/base";
import { readJfr } from "../formats/jfr.ts";
import type { FormatProfile } from "../formats/format.ts";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { encodePush } from "../record/encode-push.ts";
import { profileSums } from "./jfr-sums.ts";
import type { OddRecording } from "./odd-recording.ts";

const NOW_MS = 1_700_000_000_000;
const NOW_NS = 1_700_000_000_000_000_000n;
const LABELS = [{ name: "service_name", value: "shop" }];
const NONCE = new Uint8Array(16);

/** `accepted`, or the code with which it was refused. */
export function checkOddRecording({ bytes, labels, sums }: OddRecording): string {
  const profiles: FormatProfile[] = [];
  let outcome = "accepted";
  try {
    for (const profile of readJfr(bytes, { sampleRate: 100, hasTime: true, labels }, { labels: LABELS, limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: NOW_NS }).profiles) {
      profiles.push(profile);
      encodePush({ tenant: "t", labels: profile.labels, pprof: profile.pprof, fallbackTimeNs: NOW_NS, nonce: NONCE, nowMs: NOW_MS, limits: DEFAULT_PROFILE_LIMITS, window: DEFAULT_ACCEPTANCE_WINDOW });
    }
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) throw thrown;
    outcome = thrown.code;
  }
  if (sums === undefined) return outcome;
  // The labels part may be damaged all the same.
  if (labels !== undefined && outcome !== "accepted") return outcome;
  assert(outcome === "accepted", `a whole recording was refused: ${outcome}`);
  checkSums(profiles, "process_cpu:cpu:", sums.cpu);
  checkSums(profiles, "block:delay:", sums.parked);
  return outcome;
}

/** `type`: with what the profile's type begins. */
function checkSums(profiles: readonly FormatProfile[], type: string, sums: ReadonlyMap<string, bigint>): void {
  const found = new Map<string, bigint>();
  for (const [key, value] of profileSums(profiles)) {
    if (!key.startsWith(type)) continue;
    const stack = key.slice(key.indexOf("} ") + 2);
    found.set(stack, (found.get(stack) ?? 0n) + value);
  }
  assert(found.size === sums.size, `${found.size} stacks of ${sums.size} were read of ${type}`);
  for (const [stack, value] of sums) assert(found.get(stack) === value, `${stack} has ${String(found.get(stack))} of ${type} instead of ${value}`);
}
