/**
 * Decides whether the bucket that answers is the one of this data dir. Pure: `bucket-trust.ts` looks at both, and does what is planned here.
 *
 *   data dir            the bucket answers: its identity is       cannot be reached   says 403 or 404, or its folder is missing
 *                       its own   another's      none
 *   names a bucket      go on     refuse         refuse           go without          go without
 *   of format 1, names  -         adopt          make (*)         go without          go without
 *     none yet
 *   fresh               -         adopt          make where the   wait                refuse; a file:// folder is made
 *                                                bucket is empty,
 *                                                else refuse
 *
 *   (*) only where the bucket lists segments of this data dir, or the data dir never uploaded one; else refuse
 *
 * "Go without" and "wait" ask again until the bucket answers. A data dir that goes without it takes pushes and seals them, and uploads
 * nothing; a fresh one that waits takes none. With `--bucket-init` an operator says that this is the right bucket: an identity is then made
 * where the table refuses.
 */
import type { BucketIdentity } from "@pyromesh/block";

export interface AdoptionView {
  readonly dataDir: { readonly kind: "fresh" } | { readonly kind: "first-format"; readonly mayHaveUploaded: boolean } | { readonly kind: "marked"; readonly bucketId: string };
  readonly bucket:
    | { readonly kind: "unreachable" | "forbidden" | "missing"; readonly reason: string }
    | { readonly kind: "answers"; readonly identity: BucketIdentity }
    | { readonly kind: "answers"; readonly identity: undefined; readonly holdsObjects: boolean; readonly listsOwnSegments: boolean };
  /** `--cluster-name`; undefined where it is not set. */
  readonly clusterName: string | undefined;
  /** `--bucket-init` was given. */
  readonly isInit: boolean;
  /** The bucket is a folder, which can be made where it is missing. */
  readonly isCreatable: boolean;
}

export type AdoptionPlan =
  | { readonly kind: "go-on" }
  /** The data dir remembers this bucket from now on. */
  | { readonly kind: "adopt"; readonly identity: BucketIdentity }
  /** An identity is put into the bucket and adopted. It has this `bucketId`, which the data dir remembers; where it remembers none, a random one. */
  | { readonly kind: "make"; readonly bucketId: string | undefined }
  | { readonly kind: "wait"; readonly because: string }
  | { readonly kind: "go-without"; readonly because: string }
  | { readonly kind: "refuse"; readonly code: AdoptionRefusal; readonly because: string };

export type AdoptionRefusal = "BUCKET_IS_ANOTHER" | "BUCKET_IDENTITY_GONE" | "BUCKET_NOT_EMPTY" | "BUCKET_LACKS_SEGMENTS" | "BUCKET_REFUSED" | "CLUSTER_NAME_DIFFERS";

export function planAdoption(view: AdoptionView): AdoptionPlan {
  const { bucket } = view;
  if (bucket.kind !== "answers") return planWithout(view, bucket);
  return bucket.identity === undefined ? planWithoutIdentity(view, bucket) : planWithIdentity(view, bucket.identity);
}

function planWithIdentity({ clusterName, dataDir }: AdoptionView, identity: BucketIdentity): AdoptionPlan {
  if (dataDir.kind === "marked" && dataDir.bucketId !== identity.bucketId) {
    return refuse(
      "BUCKET_IS_ANOTHER",
      `it is bucket ${identity.bucketId}, and this data directory wrote to bucket ${dataDir.bucketId}: name that one with --bucket, or another directory with --data-dir`,
    );
  }
  if (clusterName !== undefined && identity.clusterName !== "" && clusterName !== identity.clusterName) {
    return refuse("CLUSTER_NAME_DIFFERS", `it belongs to the cluster ${JSON.stringify(identity.clusterName)}, and --cluster-name is ${JSON.stringify(clusterName)}: correct one of the two settings`);
  }
  return dataDir.kind === "marked" ? { kind: "go-on" } : { kind: "adopt", identity };
}

function planWithoutIdentity({ dataDir, isInit }: AdoptionView, bucket: { readonly holdsObjects: boolean; readonly listsOwnSegments: boolean }): AdoptionPlan {
  switch (dataDir.kind) {
    case "marked":
      if (isInit) return { kind: "make", bucketId: dataDir.bucketId };
      return refuse(
        "BUCKET_IDENTITY_GONE",
        `it answers and has no identity (pyromesh-bucket.json), and this data directory wrote to bucket ${dataDir.bucketId}: mount its disk, correct --bucket or restore the object; if this is the bucket all the same, start once with --bucket-init`,
      );
    case "first-format":
      if (isInit || bucket.listsOwnSegments || !dataDir.mayHaveUploaded) return { kind: "make", bucketId: undefined };
      return refuse(
        "BUCKET_LACKS_SEGMENTS",
        "it holds none of the segments that this data directory uploaded: mount its disk or correct --bucket; if this is the bucket all the same, start once with --bucket-init",
      );
    case "fresh":
      if (isInit || !bucket.holdsObjects) return { kind: "make", bucketId: undefined };
      return refuse(
        "BUCKET_NOT_EMPTY",
        "it holds objects and has no identity (pyromesh-bucket.json), so a node with a fresh data directory cannot tell whose they are: start a node with its old data directory first, or start once with --bucket-init",
      );
  }
}

function planWithout({ dataDir, isCreatable, isInit }: AdoptionView, bucket: { readonly kind: "unreachable" | "forbidden" | "missing"; readonly reason: string }): AdoptionPlan {
  const isMakable = bucket.kind === "missing" && isCreatable;
  if (dataDir.kind !== "fresh") {
    if (isMakable && isInit) return { kind: "make", bucketId: dataDir.kind === "marked" ? dataDir.bucketId : undefined };
    if (isMakable && dataDir.kind === "first-format" && !dataDir.mayHaveUploaded) return { kind: "make", bucketId: undefined };
    return { kind: "go-without", because: bucket.reason };
  }
  if (isMakable) return { kind: "make", bucketId: undefined };
  if (bucket.kind === "unreachable") return { kind: "wait", because: bucket.reason };
  return refuse("BUCKET_REFUSED", `${bucket.reason}: check the bucket's name and the credentials`);
}

function refuse(code: AdoptionRefusal, because: string): AdoptionPlan {
  return { kind: "refuse", code, because };
}
