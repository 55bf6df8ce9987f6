export { describeBucket } from "./bucket-suite.ts";
export type { BucketSuite } from "./bucket-suite.ts";
export { FaultyBucket } from "./faulty-bucket.ts";
export type { BucketCall, BucketFault, BucketOperation } from "./faulty-bucket.ts";
export { ManualClock } from "./manual-clock.ts";
export { RADOSGW_MISSING, startRadosgw } from "./radosgw.ts";
export type { Radosgw } from "./radosgw.ts";
export { FakeS3, refuse, sendPage } from "./fake-s3.ts";
export type { FakeS3Hook, FakeS3Request } from "./fake-s3.ts";
