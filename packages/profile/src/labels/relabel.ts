/**
 * Labels as they are kept: what the client sent, checked, without the names that the store makes itself, and renamed by Pyroscope's default relabel
 * rules.
 */
import type { Label, Labels } from "./labels.ts";
import { LABEL_NAME, LABEL_SERVICE_NAME, LABEL_SESSION_ID, labelValue, printLabels, sortLabels, withLabels } from "./labels.ts";
import type { ProfileLimits } from "./limits.ts";
import { orUnbounded } from "./limits.ts";
import { refusal } from "./refusal.ts";

/** Dropped from every push: the store makes the first six itself, and the last two are messages to the server. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  "__profile_type__",
  "__service_name__",
  "__type__",
  "__unit__",
  "__period_type__",
  "__period_unit__",
  "__delta__",
  LABEL_SESSION_ID,
]);

export function isKeptLabel(name: string): boolean {
  return !NOT_KEPT.has(name);
}

export const UNKNOWN_SERVICE = "unknown_service";

/** godeltaprof puts it in front of names that other clients send without it. */
const DELTA_PREFIX = "godeltaprof_";

/**
 * The labels of a push, sorted, with a `service_name`. A label sent twice is one. A name with two values is still in: `checkLabels`
 * refuses it, since nobody knows which one is meant. A session id is kept here, and not on samples: the writer has
 * folded or dropped the client's ids, each of which would be a series.
 */
export function receivedLabels(labels: readonly Label[]): Label[] {
  const kept = labels.filter(({ name }) => isKeptLabel(name) || name === LABEL_SESSION_ID);
  if (!kept.some(({ name }) => name === LABEL_SERVICE_NAME)) kept.push({ name: LABEL_SERVICE_NAME, value: UNKNOWN_SERVICE });
  // A name with two values may leave several labels, in any order: the push is refused then.
  return sortLabels(kept).filter(({ name, value }, i, sorted) => sorted[i - 1]?.name !== name || sorted[i - 1]!.value !== value);
}

/** Pyroscope's default rename of a profile: `godeltaprof_X` becomes `X`, and `__name_replaced__` holds the old name. */
export function renamed(labels: Labels): Labels {
  const name = labelValue(labels, LABEL_NAME);
  if (name === undefined || !name.startsWith(DELTA_PREFIX)) return labels;
  return withLabels(labels, { [LABEL_NAME]: name.slice(DELTA_PREFIX.length), __name_replaced__: name });
}

/** Pyroscope's default rename of one sample type: the `cpu` column of a `wall` profile is a CPU profile. */
export function nameOfColumn(name: string, sampleType: string): string {
  return name === "wall" && sampleType === "cpu" ? "process_cpu" : name;
}

/** Refuses a label set that cannot be a series. `labels` is sorted. */
export function checkLabels(labels: readonly Label[], limits: ProfileLimits): void {
  const service = labelValue(labels, LABEL_SERVICE_NAME);
  if (service === undefined || service === "") {
    throw refusal("missing_labels", `the series ${shown(labels)} has an empty ${LABEL_SERVICE_NAME}: name the service`);
  }
  const profileName = labelValue(labels, LABEL_NAME);
  if (profileName === undefined || profileName === "") {
    throw refusal("invalid_labels", `the series ${shown(labels)} has no ${LABEL_NAME}: add it, for example ${LABEL_NAME}="process_cpu"`);
  }
  if (profileName.includes(":")) {
    throw refusal("invalid_labels", `${LABEL_NAME} is ${JSON.stringify(profileName.slice(0, 100))}, and ":" separates the parts of a profile type, so that no query could name it: write it with "_"`);
  }
  if (labels.length > orUnbounded(limits.labelCountMax)) {
    throw refusal(
      "max_label_names_per_series",
      `the series ${shown(labels)} has ${labels.length} labels and at most ${limits.labelCountMax} are taken: send fewer, or raise limits.max_label_names_per_series`,
    );
  }
  const nameLengthMax = orUnbounded(limits.labelNameLengthBytesMax);
  const valueLengthMax = orUnbounded(limits.labelValueLengthBytesMax);
  let previous: string | undefined;
  for (const { name, value } of labels) {
    if (isLonger(name, nameLengthMax)) {
      throw refusal(
        "label_name_too_long",
        `the label name ${JSON.stringify(name.slice(0, 64))}... is longer than ${nameLengthMax} bytes: shorten it, or raise limits.max_label_name_length`,
      );
    }
    if (isLonger(value, valueLengthMax)) {
      throw refusal(
        "label_value_too_long",
        `the value of label ${JSON.stringify(name)} is longer than ${valueLengthMax} bytes: shorten it, or raise limits.max_label_value_length`,
      );
    }
    if (name === "") throw refusal("invalid_labels", `the series ${shown(labels)} has a label without a name: name it, or leave it out`);
    if (LONE_SURROGATE.test(name) || LONE_SURROGATE.test(value)) {
      throw refusal("invalid_labels", `the label ${JSON.stringify(name)} is not valid Unicode: send names and values as UTF-8`);
    }
    if (name === previous) {
      throw refusal("duplicate_label_names", `the series ${shown(labels)} has the label ${JSON.stringify(name)} twice, with two values: send each name once`);
    }
    previous = name;
  }
}

/** Half of a surrogate pair: UTF-8 has no bytes for it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

function isLonger(text: string, lengthBytesMax: number): boolean {
  // A UTF-16 unit is at most three bytes of UTF-8.
  return text.length > lengthBytesMax || (text.length * 3 > lengthBytesMax && Buffer.byteLength(text) > lengthBytesMax);
}

/** Characters of a label set that go into an error at most. */
const SHOWN_LENGTH_MAX = 512;

function shown(labels: Labels): string {
  const text = printLabels(labels.slice(0, 40));
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}...` : text;
}
