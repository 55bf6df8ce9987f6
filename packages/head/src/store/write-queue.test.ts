import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import type { EncodedRecord } from "@pyromesh/profile";
import type { RecordPlace } from "../entries/record-entry.ts";
import { WriteQueue } from "./write-queue.ts";

const LIMITS = { commitBytesMax: 1_000, commitCountMax: 100, queueBytesMax: 10_000, gatherCountMax: 8, gatherMsMax: 4 };
/** The queue looks at neither. */
const RECORD = {} as EncodedRecord;
const PLACE = {} as RecordPlace;

describe("write queue", () => {
  it("jobs that follow one another take turns with the appends: a release of many batches does not hold up pushes until its end", async () => {
    const steps: string[] = [];
    const queue = new WriteQueue(
      LIMITS,
      {
        prepare: async () => "ready",
        commit: async (group) => {
          steps.push(`commit of ${group.length}`);
          return 1;
        },
        duplicateOf: () => undefined,
        onRefused: () => {},
      },
      { clock: new ManualClock(0) },
    );
    const push = (): Promise<unknown> => queue.push(RECORD, PLACE, 10).promise;
    const appended: Promise<unknown>[] = [push()];
    const jobs = [1, 2, 3].map((number) =>
      queue.job(async () => {
        steps.push(`job ${number}`);
        appended.push(push(), push());
      }),
    );
    await Promise.all(jobs);
    await queue.settle();
    await Promise.all(appended);
    expect(steps).to.deep.equal(["job 1", "commit of 3", "job 2", "commit of 2", "job 3", "commit of 2"]);
    expect(queue.bytes).to.equal(0);
  });
});
