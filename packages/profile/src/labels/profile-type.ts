/** Profile types: `process_cpu:cpu:nanoseconds:cpu:nanoseconds`. Period parts may be empty; a sixth part `delta` is read and ignored. */
import { invalidArgument } from "@pyromesh/base";
import type { Label, Labels } from "./labels.ts";
import { labelValue, LABEL_NAME, LABEL_PROFILE_TYPE, LABEL_SERVICE_NAME, sortLabels } from "./labels.ts";

export interface ProfileType {
  /** `__name__`: process_cpu, memory, ... */
  readonly name: string;
  readonly sampleType: string;
  readonly sampleUnit: string;
  readonly periodType: string;
  readonly periodUnit: string;
}

export interface SampleType {
  readonly type: string;
  readonly unit: string;
}

export function printProfileType(type: ProfileType): string {
  return `${type.name}:${type.sampleType}:${type.sampleUnit}:${type.periodType}:${type.periodUnit}`;
}

/** Throws `PROFILE_TYPE_INVALID`. */
export function parseProfileType(text: string): ProfileType {
  const parts = text.split(":");
  if (parts.length !== 5 && !(parts.length === 6 && parts[5] === "delta")) {
    throw invalidArgument(
      "PROFILE_TYPE_INVALID",
      `profile type ${JSON.stringify(text)} has ${parts.length} part${parts.length === 1 ? "" : "s"}: write it as <name>:<sample-type>:<sample-unit>:<period-type>:<period-unit>, for example process_cpu:cpu:nanoseconds:cpu:nanoseconds`,
    );
  }
  const [name, sampleType, sampleUnit, periodType, periodUnit] = parts as [string, string, string, string, string]; // counted above
  return { name, sampleType, sampleUnit, periodType, periodUnit };
}

/** The profile type of one column of a record: `__name__` from its labels, the column's sample type, the record's period type. */
export function profileTypeOf(labels: Labels, sampleType: SampleType, period: SampleType): ProfileType {
  return {
    name: labelValue(labels, LABEL_NAME) ?? "",
    sampleType: sampleType.type,
    sampleUnit: sampleType.unit,
    periodType: period.type,
    periodUnit: period.unit,
  };
}

/** The labels that a reader sees on a series: the record's own, and those of the profile type. */
export function seriesLabels(labels: Labels, type: ProfileType): Labels {
  // A label without a value is no label: py-spy's profiles have no period type.
  return sortLabels([...labels, ...typeLabels(labels, type)].filter(({ value }) => value !== ""));
}

/** The labels of the profile type; a value may be empty. */
export function typeLabels(labels: Labels, type: ProfileType): Label[] {
  return [
    { name: LABEL_PROFILE_TYPE, value: printProfileType(type) },
    { name: "__service_name__", value: labelValue(labels, LABEL_SERVICE_NAME) ?? "" },
    { name: "__type__", value: type.sampleType },
    { name: "__unit__", value: type.sampleUnit },
    { name: "__period_type__", value: type.periodType },
    { name: "__period_unit__", value: type.periodUnit },
  ];
}
