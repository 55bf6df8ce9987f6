export { Head } from "./head.ts";
export type {
  Appended,
  CommittedRecord,
  Cut,
  CutGroup,
  HeadModules,
  HeadOptions,
  HeadStats,
  ReplayReport,
  SealedSegment,
} from "./head.ts";
export type { KeptFile } from "./kept-file.ts";
export { openHead } from "./open-head.ts";
export type { OpenHeadOptions } from "./open-head.ts";
export type { QuarantineEntry } from "./quarantine.ts";
export type { ReplayedRecord } from "./recovery.ts";
export type { KeyRange, OpenedStore, OrderedStore, StoreEntry, StoreLoss, StoreOp, StoreOpener } from "./store.ts";
export type { TimeSpan } from "./time-span.ts";
export type { Witness, WitnessMark } from "./witness.ts";
