export {
  compareLabels,
  compareText,
  LABEL_NAME,
  LABEL_PROFILE_TYPE,
  LABEL_SERVICE_NAME,
  LABEL_SESSION_ID,
  labelsKey,
  labelValue,
  printLabels,
  sortLabels,
  withLabels,
} from "./labels/labels.ts";
export type { Label, Labels } from "./labels/labels.ts";
export { parseProfileType, printProfileType, profileTypeOf, seriesLabels } from "./labels/profile-type.ts";
export type { ProfileType, SampleType } from "./labels/profile-type.ts";
export type { Exemplar, FlameGraph, FlameGraphDiff, HeatmapSeries, HeatmapSlot, Int64, Point, Receipt, TimeSeries } from "./model/results.ts";
export type { LocationTree, NameTree, StacktraceTree, Sums } from "./model/stacktrace-tree.ts";
export type { Symbols } from "./model/symbol-table.ts";
export type { Matcher } from "./selector/matcher.ts";
export type { EncodedRecord, RecordView, ValueColumn } from "./model/record-view.ts";
export { fingerprintOf } from "./labels/fingerprint.ts";
export { recordSeries } from "./record/record-series.ts";
export { labelSetKey } from "./labels/label-set-key.ts";
export { recordArrival } from "./record/record-arrival.ts";
export type { RecordArrival } from "./record/record-arrival.ts";
export { Dataset } from "./dataset/dataset.ts";
export { DatasetSnapshot } from "./dataset/dataset-snapshot.ts";
export { pruneInSteps } from "./scan/pruned-dataset.ts";
export { columnTotal } from "./dataset/packed-row.ts";
export type { DatasetView, PreparedRow, RowSamples, SeriesEntry } from "./dataset/dataset.ts";
export { Interrupt, UNINTERRUPTED } from "./model/interrupt.ts";
export { addIdentitySums, IdentitySet } from "./scan/identity-set.ts";
export { LabelListing } from "./scan/label-listing.ts";
export type { Alphabet, ListedLabels, Listing, ListingBounds } from "./scan/label-listing.ts";
export { Cardinality } from "./scan/cardinality.ts";
export type { Counts, PartialCardinality } from "./scan/cardinality.ts";
export { emptyRowSamples, matchingColumns, profileIdHex, SampleFilter, scanRows } from "./scan/scan.ts";
export type { RowQuery, ScannedRow } from "./scan/scan.ts";
export { bucketEdge, HeatmapCollector, PointsCollector } from "./scan/scan-points.ts";
export type { HeatmapShape, PartialHeatmap, PartialPoint, PartialSeries, PointsShape } from "./scan/scan-points.ts";
export type { PartialProfiles } from "./scan/scan-profiles.ts";
export { ProfileDurations } from "./scan/profile-durations.ts";
export type { PartialDurations } from "./scan/profile-durations.ts";
export { locationTreeOf, mergeNodes, nameTreeOf } from "./scan/scan-tree.ts";
export type { MergedNodes } from "./scan/scan-tree.ts";
export { StacktraceInterner } from "./dataset/stacktrace-interner.ts";
export { SymbolInterner } from "./dataset/symbol-interner.ts";
export { addSums, INT64_MAX, minus, plus, Saturation, SumColumn, sumAt, sumOf, thresholdOf, totalsOf } from "./model/sums.ts";
export { makeMatcher, matchesLabels, parseQuery, parseSelector, SELECTOR_LENGTH_MAX } from "./selector/matcher.ts";
export type { ParsedQuery } from "./selector/matcher.ts";
export { REGEX_COST_MAX, RegexBudget } from "./selector/regex-budget.ts";
export { NameTreeBuilder } from "./graph/name-tree.ts";
export { flameGraph } from "./graph/flame-graph.ts";
export { flameGraphDiff } from "./graph/flame-graph-diff.ts";
export { graphMetadata } from "./graph/graph-metadata.ts";
export type { GraphMetadata } from "./graph/graph-metadata.ts";
export { decodeTree, encodeTree } from "./graph/tree-bytes.ts";
export { goPgoLocations, LocationTreeMerger, truncateLocations } from "./graph/location-tree.ts";
export type { GoPgo } from "./graph/location-tree.ts";
export { encodePprof } from "./graph/pprof-encode.ts";
export type { PprofInput } from "./graph/pprof-encode.ts";
export { DOT_NODES_DEFAULT, dotGraph } from "./graph/dot.ts";
export type { DotInput } from "./graph/dot.ts";
export { topTable } from "./graph/top-table.ts";
export type { TopRow, TopSort, TopTable, TopTableOptions } from "./graph/top-table.ts";
export { encodePush, pushMemoryBytes } from "./record/encode-push.ts";
export type { PushInput } from "./record/encode-push.ts";
export { profileOfAppName, splitAppName } from "./text/folded.ts";
export type { AppProfile, FoldedText } from "./text/folded.ts";
export { holdsManyProfiles } from "./formats/body-format.ts";
export type { BodyFormat } from "./formats/body-format.ts";
export type { ScrapedPprof } from "./formats/scraped.ts";
export type { JfrForm } from "./formats/jfr.ts";
export type { FormatBody, FormatContext, FormatProfile } from "./formats/format.ts";
export { NORMALISATION_VERSION } from "./model/identity.ts";
export { hexOfInvalidText } from "./pprof/invalid-text.ts";
export type { IngestQuirks } from "./labels/ingest-name.ts";
export { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "./labels/limits.ts";
export type { AcceptanceWindow, ProfileLimits } from "./labels/limits.ts";
export { PprofWriter } from "./pprof/pprof-write.ts";
export type { Frame, PprofHead } from "./pprof/pprof-write.ts";
export { encodedRecordOf, RECORD_VERSION, RECORD_VERSION_MIN, recordFingerprint, recordHeader, recordIdentity, recordVersions } from "./record/record.ts";
export type { RecordHeader } from "./record/record.ts";
export { verifiedRecord } from "./record/record-check.ts";
export { decodeRecord, RecordDecoder } from "./record/record-decode.ts";
export type { DecodedRecord } from "./record/record-decode.ts";
export type { RecordUse } from "./record/record-encode.ts";
export { namedRefusal, refusal } from "./labels/refusal.ts";
export type { DiscardReason } from "./labels/refusal.ts";
export { UNKNOWN_SERVICE } from "./labels/relabel.ts";
export { parseUuid } from "./labels/uuid.ts";
export { WINDOW_MS, windowStartOf } from "./model/window.ts";
