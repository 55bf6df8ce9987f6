export {
  compareText,
  fingerprint,
  LABEL_NAME,
  LABEL_PROFILE_TYPE,
  LABEL_SERVICE_NAME,
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
export { columnTotal, Dataset } from "./dataset.ts";
export type { DatasetView, RowSamples, SeriesEntry } from "./dataset.ts";
export { addIdentitySums, addReceipts, EMPTY_RECEIPT, IdentitySet } from "./identity-set.ts";
export { emptyRowSamples, matchingColumns, profileIdHex, SampleFilter, scanRows, scanSeries } from "./scan.ts";
export type { RowQuery, ScannedRow } from "./scan.ts";
export { addInt64, bucketEdge, HeatmapCollector, PointsCollector, uuidText } from "./scan-points.ts";
export type { HeatmapShape, PartialHeatmap, PartialPoint, PartialSeries, PointsShape } from "./scan-points.ts";
export { locationTreeOf, mergeNodes, nameTreeOf } from "./scan-tree.ts";
export type { MergedNodes } from "./scan-tree.ts";
export { StacktraceInterner } from "./stacktrace-interner.ts";
export { SymbolInterner } from "./symbol-interner.ts";
