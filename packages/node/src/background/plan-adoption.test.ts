import { expect } from "chai";
import { planAdoption } from "./plan-adoption.ts";
import type { AdoptionPlan, AdoptionView } from "./plan-adoption.ts";

const X = "a".repeat(32);
const Y = "b".repeat(32);
const identity = (bucketId: string, clusterName = ""): AdoptionView["bucket"] => ({ kind: "answers", identity: { bucketId, clusterName, firstFormatStores: [], createdAtMs: 0 } });
const none = (holdsObjects: boolean, listsOwnSegments = false): AdoptionView["bucket"] => ({ kind: "answers", identity: undefined, holdsObjects, listsOwnSegments });
const no = (kind: "unreachable" | "forbidden" | "missing"): AdoptionView["bucket"] => ({ kind, reason: `it is ${kind}` });

const FRESH = { kind: "fresh" } as const;
const MARKED = { kind: "marked", bucketId: X } as const;
const OLD = { kind: "first-format", mayHaveUploaded: true } as const;
const OLD_UNUSED = { kind: "first-format", mayHaveUploaded: false } as const;

type Options = Partial<Pick<AdoptionView, "clusterName" | "isInit" | "isCreatable">>;

/** What is planned, in one word or two. */
function planned(dataDir: AdoptionView["dataDir"], bucket: AdoptionView["bucket"], options: Options = {}): string {
  const plan: AdoptionPlan = planAdoption({ dataDir, bucket, clusterName: undefined, isInit: false, isCreatable: false, ...options });
  if (plan.kind === "refuse") return `refuse ${plan.code}`;
  if (plan.kind === "make") return `make ${plan.bucketId ?? "new"}`;
  return plan.kind === "adopt" ? `adopt ${plan.identity.bucketId}` : plan.kind;
}

const CASES: readonly (readonly [string, AdoptionView["dataDir"], AdoptionView["bucket"], Options, string])[] = [
  ["a data dir that names the bucket goes on", MARKED, identity(X), {}, "go-on"],
  ["a data dir that names another is refused", MARKED, identity(Y), {}, "refuse BUCKET_IS_ANOTHER"],
  ["... also with --bucket-init", MARKED, identity(Y), { isInit: true }, "refuse BUCKET_IS_ANOTHER"],
  ["a data dir that names a bucket does not take an empty one for it", MARKED, none(false), {}, "refuse BUCKET_IDENTITY_GONE"],
  ["... nor one with objects", MARKED, none(true, true), {}, "refuse BUCKET_IDENTITY_GONE"],
  ["... but with --bucket-init its identity is put back", MARKED, none(true), { isInit: true }, `make ${X}`],
  ["a data dir that names a bucket goes without one that cannot be reached", MARKED, no("unreachable"), {}, "go-without"],
  ["... that refuses us", MARKED, no("forbidden"), {}, "go-without"],
  ["... or is missing", MARKED, no("missing"), {}, "go-without"],
  ["... a missing folder is not made", MARKED, no("missing"), { isCreatable: true }, "go-without"],
  ["... but with --bucket-init it is, under the same identity", MARKED, no("missing"), { isCreatable: true, isInit: true }, `make ${X}`],
  ["... an S3 bucket is never made", MARKED, no("missing"), { isInit: true }, "go-without"],

  ["a data dir of format 1 adopts an identity that is there", OLD, identity(Y), {}, `adopt ${Y}`],
  ["... makes one in the bucket that lists its segments", OLD, none(true, true), {}, "make new"],
  ["... not in an empty one", OLD, none(false), {}, "refuse BUCKET_LACKS_SEGMENTS"],
  ["... nor in one with others' objects", OLD, none(true), {}, "refuse BUCKET_LACKS_SEGMENTS"],
  ["... but with --bucket-init", OLD, none(false), { isInit: true }, "make new"],
  ["... and in any where it never uploaded", OLD_UNUSED, none(true), {}, "make new"],
  ["... goes without a bucket that does not answer", OLD, no("unreachable"), {}, "go-without"],
  ["... that refuses us", OLD, no("forbidden"), {}, "go-without"],
  ["... or is missing", OLD, no("missing"), { isCreatable: true }, "go-without"],
  ["... a folder is made where it never uploaded", OLD_UNUSED, no("missing"), { isCreatable: true }, "make new"],

  ["a fresh data dir adopts an identity that is there", FRESH, identity(X), {}, `adopt ${X}`],
  ["... makes one in an empty bucket", FRESH, none(false), {}, "make new"],
  ["... not among others' objects", FRESH, none(true), {}, "refuse BUCKET_NOT_EMPTY"],
  ["... but with --bucket-init", FRESH, none(true), { isInit: true }, "make new"],
  ["... waits for a bucket that cannot be reached", FRESH, no("unreachable"), {}, "wait"],
  ["... is refused by one that refuses us", FRESH, no("forbidden"), {}, "refuse BUCKET_REFUSED"],
  ["... and where there is none", FRESH, no("missing"), {}, "refuse BUCKET_REFUSED"],
  ["... but a folder is made", FRESH, no("missing"), { isCreatable: true }, "make new"],

  ["the cluster's name: the same", MARKED, identity(X, "eu"), { clusterName: "eu" }, "go-on"],
  ["... another is refused", MARKED, identity(X, "eu"), { clusterName: "us" }, "refuse CLUSTER_NAME_DIFFERS"],
  ["... by a fresh data dir too", FRESH, identity(X, "eu"), { clusterName: "us" }, "refuse CLUSTER_NAME_DIFFERS"],
  ["... none given", MARKED, identity(X, "eu"), {}, "go-on"],
  ["... none in the bucket", FRESH, identity(X), { clusterName: "us" }, `adopt ${X}`],
];

describe("plan adoption", () => {
  for (const [claim, dataDir, bucket, options, expected] of CASES) {
    it(claim, () => {
      expect(planned(dataDir, bucket, options)).to.equal(expected);
    });
  }

  it("a refusal says what is the matter and what to do", () => {
    const plan = planAdoption({ dataDir: MARKED, bucket: identity(Y), clusterName: undefined, isInit: false, isCreatable: false });
    expect(plan).to.have.property("because").that.includes(X).and.includes(Y).and.includes("--data-dir");
  });
});
