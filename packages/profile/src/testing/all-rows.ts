/** The query that tests of scans begin with: every row of the process's CPU time. */
import { parseProfileType } from "../labels/profile-type.ts";
import type { RowQuery } from "../scan/scan.ts";

export const ALL_ROWS: RowQuery = {
  startNs: 0n,
  endNs: 10n ** 18n,
  profileType: parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
  selector: [],
  callSite: [],
  profileIds: [],
  spanIds: [],
  traceIds: [],
};
