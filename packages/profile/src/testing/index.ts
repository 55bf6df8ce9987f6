export { checkOddPush } from "./check-odd-push.ts";
export type { OddViews } from "./check-odd-push.ts";
export { goPrefixesOf } from "./go-truncated-oracle.ts";
export { oddPush } from "./odd-push.ts";
export type { OddPush } from "./odd-push.ts";
export { recordView } from "./record-view.ts";
export type { RecordSpec } from "./record-view.ts";
