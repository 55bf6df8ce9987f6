/** What the structure alone shows to be gone, before a record is read. */
import type { Logger } from "@pyromesh/base";
import { encodeCommit } from "../entries/commit-entry.ts";
import { commitKey } from "../entries/keys.ts";
import { FindingsBuilder } from "./findings.ts";
import type { Findings } from "./findings.ts";
import { boundWithin } from "./replay.ts";
import type { ReplayPlan } from "./replay.ts";
import type { Structure } from "./structure.ts";

export function findLosses({ badKeys }: Structure, { lostCommits, lostCuts, lostSegments }: ReplayPlan, logger: Logger): Findings {
  const findings = new FindingsBuilder();
  for (const key of badKeys) findings.remove(key);
  for (const { range, bound } of lostCommits) {
    const reason = range.from === range.to ? `commit ${range.from} is gone` : `commits ${range.from} to ${range.to} are gone`;
    if (!findings.lose(reason, bound, range.to - range.from + 1)) logger.warn("the store lost entries of commits whose content had left it before", { reason });
    for (let number = range.from; number <= range.to; number++) findings.retired.push(number);
  }
  for (const number of lostCuts) {
    logger.error("a cut's entry is lost; its records are open again and will be cut again", { cutId: number });
    findings.remove(commitKey(number));
    findings.retired.push(number);
  }
  for (const { seal, segmentKeys } of lostSegments) {
    const named = `${segmentKeys.slice(0, NAMED_COUNT_MAX).join(", ")}${segmentKeys.length > NAMED_COUNT_MAX ? ", ..." : ""}`;
    findings.lose(`sealed segments are gone: ${named}`, boundWithin(seal.span), segmentKeys.length);
    const left = seal.segmentKeys.filter((key) => !segmentKeys.includes(key));
    if (left.length > 0) {
      findings.put(encodeCommit({ ...seal, segmentKeys: left }));
    } else {
      findings.remove(commitKey(seal.number));
      findings.retired.push(seal.number);
    }
  }
  return findings;
}

/** The number of keys that one message names. */
const NAMED_COUNT_MAX = 5;
