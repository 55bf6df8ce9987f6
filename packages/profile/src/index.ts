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
} from "./labels.ts";
export type { Label, Labels } from "./labels.ts";
export { parseProfileType, printProfileType, profileTypeOf, seriesLabels } from "./profile-type.ts";
export type { ProfileType, SampleType } from "./profile-type.ts";
export type { Exemplar, FlameGraph, FlameGraphDiff, HeatmapSeries, HeatmapSlot, Int64, Point, Receipt, TimeSeries } from "./results.ts";
export type { LocationTree, NameTree, StacktraceTree, Sums } from "./stacktrace-tree.ts";
export type { Symbols } from "./symbol-table.ts";
export type { Matcher } from "./matcher.ts";
export type { EncodedRecord, RecordView, ValueColumn } from "./record-view.ts";
export { recordSeries } from "./record-series.ts";
export { labelSetKey } from "./label-set-key.ts";
export { recordArrival } from "./record-arrival.ts";
export type { RecordArrival } from "./record-arrival.ts";
export { Dataset } from "./dataset.ts";
export { DatasetSnapshot } from "./dataset-snapshot.ts";
export { pruneInSteps } from "./pruned-dataset.ts";
export { columnTotal } from "./packed-row.ts";
export type { DatasetView, PreparedRow, RowSamples, SeriesEntry } from "./dataset.ts";
export { Interrupt, UNINTERRUPTED } from "./interrupt.ts";
export { addIdentitySums, IdentitySet } from "./identity-set.ts";
export { LabelListing } from "./label-listing.ts";
export type { Alphabet, ListedLabels, Listing, ListingBounds } from "./label-listing.ts";
export { Census } from "./census.ts";
export type { Counts, PartialCensus } from "./census.ts";
export { emptyRowSamples, matchingColumns, profileIdHex, SampleFilter, scanRows } from "./scan.ts";
export type { RowQuery, ScannedRow } from "./scan.ts";
export { bucketEdge, HeatmapCollector, PointsCollector } from "./scan-points.ts";
export type { HeatmapShape, PartialHeatmap, PartialPoint, PartialSeries, PointsShape } from "./scan-points.ts";
export type { PartialProfiles } from "./scan-profiles.ts";
export { ProfileDurations } from "./profile-durations.ts";
export type { PartialDurations } from "./profile-durations.ts";
export { locationTreeOf, mergeNodes, nameTreeOf } from "./scan-tree.ts";
export type { MergedNodes } from "./scan-tree.ts";
export { StacktraceInterner } from "./stacktrace-interner.ts";
export { SymbolInterner } from "./symbol-interner.ts";
export { addSums, INT64_MAX, minus, plus, Saturation, SumColumn, sumAt, sumOf, thresholdOf, totalsOf } from "./sums.ts";
export { makeMatcher, matchesLabels, parseQuery, parseSelector, SELECTOR_LENGTH_MAX } from "./matcher.ts";
export type { ParsedQuery } from "./matcher.ts";
export { REGEX_COST_MAX, RegexBudget } from "./regex-budget.ts";
export { NameTreeBuilder } from "./name-tree.ts";
export { flameGraph } from "./flame-graph.ts";
export { flameGraphDiff } from "./flame-graph-diff.ts";
export { decodeTree, encodeTree } from "./tree-bytes.ts";
export { goPgoLocations, LocationTreeMerger, truncateLocations } from "./location-tree.ts";
export type { GoPgo } from "./location-tree.ts";
export { encodePprof } from "./pprof-encode.ts";
export type { PprofInput } from "./pprof-encode.ts";
export { DOT_NODES_DEFAULT, dotGraph } from "./dot.ts";
export type { DotInput } from "./dot.ts";
export { topTable } from "./top-table.ts";
export type { TopRow, TopSort, TopTable, TopTableOptions } from "./top-table.ts";
export { encodePush, pushMemoryBytes } from "./encode-push.ts";
export type { PushInput } from "./encode-push.ts";
export { foldedToPprof, parseFolded, pprofOfText, profileOfAppName, splitAppName } from "./folded.ts";
export type { AppProfile, FoldedStack, FoldedText } from "./folded.ts";
export { NORMALISATION_VERSION } from "./identity.ts";
export { hexOfInvalidText } from "./invalid-text.ts";
export type { IngestQuirks } from "./ingest-name.ts";
export { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "./limits.ts";
export type { AcceptanceWindow, ProfileLimits } from "./limits.ts";
export { PprofWriter } from "./pprof-write.ts";
export type { Frame, PprofHead } from "./pprof-write.ts";
export { encodedRecordOf, recordHeader, recordIdentity, STORE_ID_BYTES } from "./record.ts";
export type { RecordHeader } from "./record.ts";
export { decodeRecord, RecordDecoder } from "./record-decode.ts";
export type { DecodedRecord } from "./record-decode.ts";
export type { RecordUse } from "./record-encode.ts";
export { refusal } from "./refusal.ts";
export type { DiscardReason } from "./refusal.ts";
export { UNKNOWN_SERVICE } from "./relabel.ts";
export { parseUuid } from "./uuid.ts";
export { WINDOW_MS, windowStartOf } from "./window.ts";
