/**
 * What must hold for every body of another format than pprof, however odd: it is refused with a sentence, or its profiles become records; and a
 * whole one comes out as what it was made of. For `npm run fuzz` and tests.
 */
import { expect } from "chai";
import { CodedError } from "@pyromesh/base";
import { readFormat } from "../formats/formats.ts";
import type { FormatProfile } from "../formats/format.ts";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { encodePush } from "../record/encode-push.ts";
import { stacksOfPprof } from "./format-stacks.ts";
import type { OddBody } from "./odd-body.ts";

const NOW_MS = 1_700_000_000_000;
const LABELS = [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: "shop" }];

/** What became of it: `accepted`, `empty`, or the code of the refusal. Throws where something does not hold. */
export function checkOddBody({ bytes, format, expected }: OddBody): string {
  const profiles: FormatProfile[] = [];
  let recordCount = 0;
  try {
    for (const profile of readFormat(format, bytes, { labels: LABELS, limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: BigInt(NOW_MS) * 1_000_000n }).profiles) {
      profiles.push(profile);
      recordCount += recordsOf(profile);
    }
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) throw thrown;
    expect(expected, `a whole body was refused: ${thrown.message}`).equal(undefined);
    expect([thrown.kind, thrown.message.length > 20, thrown.message.length < 2000], thrown.message).deep.equal(["invalid_argument", true, true]);
    return thrown.code;
  }
  if (expected !== undefined) {
    const sums = new Map<string, bigint>();
    for (const { pprof } of profiles) for (const [stack, value] of Object.entries(stacksOfPprof(pprof).stacks)) sums.set(stack, (sums.get(stack) ?? 0n) + value);
    expect(sums).deep.equal(expected);
  }
  return recordCount === 0 ? "empty" : "accepted";
}

function recordsOf({ pprof, labels, ingest }: FormatProfile): number {
  const input = { tenant: "anonymous", labels, pprof, profileId: undefined, fallbackTimeNs: BigInt(NOW_MS) * 1_000_000n, idempotencyKey: undefined, nonce: new Uint8Array(16), nowMs: NOW_MS, ingest, limits: DEFAULT_PROFILE_LIMITS, window: DEFAULT_ACCEPTANCE_WINDOW };
  return encodePush(input).length;
}
