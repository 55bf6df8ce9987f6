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
