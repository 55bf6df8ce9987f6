export { ManualClock } from "@pyromesh/base/testing";
