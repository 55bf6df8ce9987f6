export { recordView } from "./record-view.ts";
export type { RecordSpec } from "./record-view.ts";
