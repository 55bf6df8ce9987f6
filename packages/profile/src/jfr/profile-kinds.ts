/** The profiles that a recording holds, one for each kind of what was sampled, with the names and units of Pyroscope. */
import type { SampleType } from "../labels/profile-type.ts";

export interface ProfileKind {
  /** `__name__` */
  readonly name: string;
  /** One or two. Where there are two, the first counts events and the second adds up what they say. */
  readonly sampleTypes: readonly SampleType[];
  readonly periodType: SampleType;
  /** A count of 1 stands for the period of the sampling clock. */
  readonly isOfTime: boolean;
}

const NO_TYPE: SampleType = { type: "", unit: "" };
const SPACE: SampleType = { type: "space", unit: "bytes" };

function timeKind(name: string, type: string): ProfileKind {
  const sampleType = { type, unit: "nanoseconds" };
  return { name, sampleTypes: [sampleType], periodType: sampleType, isOfTime: true };
}

function spaceKind(what: string, periodType: SampleType): ProfileKind {
  const sampleTypes = [
    { type: `${what}_objects`, unit: "count" },
    { type: `${what}_bytes`, unit: "bytes" },
  ];
  return { name: "memory", sampleTypes, periodType, isOfTime: false };
}

function waitKind(name: string): ProfileKind {
  const sampleTypes = [
    { type: "contentions", unit: "count" },
    { type: "delay", unit: "nanoseconds" },
  ];
  return { name, sampleTypes, periodType: { type: name, unit: "count" }, isOfTime: false };
}

export const CPU: ProfileKind = timeKind("process_cpu", "cpu");
export const WALL: ProfileKind = timeKind("wall", "wall");
export const IN_NEW_TLAB: ProfileKind = spaceKind("alloc_in_new_tlab", SPACE);
export const OUTSIDE_TLAB: ProfileKind = spaceKind("alloc_outside_tlab", SPACE);
export const ALLOC_SAMPLE: ProfileKind = spaceKind("alloc_sample", SPACE);
export const MALLOC: ProfileKind = spaceKind("malloc", NO_TYPE);
export const LIVE: ProfileKind = { name: "memory", sampleTypes: [{ type: "live", unit: "count" }], periodType: { type: "objects", unit: "count" }, isOfTime: false };
export const MUTEX: ProfileKind = waitKind("mutex");
export const BLOCK: ProfileKind = waitKind("block");
