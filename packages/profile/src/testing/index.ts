export { goPrefixes } from "./go-truncated-oracle.ts";
export { recordView } from "./record-view.ts";
export type { RecordSpec } from "./record-view.ts";
