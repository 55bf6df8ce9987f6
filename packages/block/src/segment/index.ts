/** The sections of a segment: an entry of its own for worker threads, which would otherwise load the bucket and the catalog. */
export { encodeDatasetInSteps, SegmentDataset } from "./dataset-codec.ts";
export { CODEC } from "./format.ts";
export { openSection } from "./segment-reader.ts";
