/**
 * speedscope's file format (https://www.speedscope.app/file-format-schema.json): profiles over one list of frames, evented or sampled.
 *
 *   sampled   a stack and a weight for each sample; the weights of equal stacks add up
 *   evented   frames open and close at a time; a stack gets the time for which it was open as it is. What opens must close
 *
 * As in Pyroscope each profile gets the label `profile_name`, and the kind of profile follows from how many there are. Profiles of one name,
 * type, unit and start are one:
 *
 *   one       the application's name says what it is, by its suffix as for folded text
 *   several   the unit does: `app` becomes `app.seconds` (wall time) or `app.bytes`
 *
 * Those whose labels come out equal are added up, since records of one series and time would be taken for one.
 *
 * Weights become whole numbers when all are added up: times nanoseconds, samples of no unit times of the sample rate. The file is read value by
 * value (base/json-reader.ts), in whatever order its keys are, and never becomes a tree of objects.
 */
import { JsonFault } from "@pyromesh/base";
import { LABEL_NAME, withLabels } from "../labels/labels.ts";
import type { Label } from "../labels/labels.ts";
import { malformed, refusal } from "../labels/refusal.ts";
import { profileOfAppName, splitAppName } from "../text/folded.ts";
import type { AppProfile } from "../text/folded.ts";
import type { FormatBody, FormatContext, FormatProfile } from "./format.ts";
import { readSpeedscopeFile } from "./speedscope-file.ts";
import type { SpeedscopeFile, SpeedscopeProfile } from "./speedscope-file.ts";
import { headOf } from "./stack-counts.ts";
import { beyond64Bits, pprofOfStacks } from "./stack-tree.ts";
import type { StackNode } from "./stack-tree.ts";

export interface SpeedscopeForm {
  /** The name of the application with its suffix. */
  readonly app: string;
  readonly sampleRate: number;
  /** The label that holds the application's name without it. Undefined: the client has set all such labels itself. */
  readonly appLabel: string | undefined;
}

export function readSpeedscope(body: Uint8Array, form: SpeedscopeForm, context: FormatContext): FormatBody {
  const file = read(body, context);
  return { profiles: profilesOf(file, form, context) };
}

function read(body: Uint8Array, { limits }: FormatContext): SpeedscopeFile {
  try {
    return readSpeedscopeFile(body, limits);
  } catch (thrown) {
    if (thrown instanceof JsonFault) throw malformed(`the speedscope file is not JSON as it should be: ${thrown.message}: send it as its exporter wrote it`);
    throw thrown;
  }
}

/** Profiles that are printed as one. */
interface Group {
  readonly labels: readonly Label[];
  readonly unit: UnitProfile;
  readonly values: Map<StackNode, number>;
}

function* profilesOf(file: SpeedscopeFile, form: SpeedscopeForm, { labels, limits }: FormatContext): Generator<FormatProfile> {
  const isOne = new Set(file.profiles.map(({ name, type, unit, startValue }) => JSON.stringify([name, type, unit, startValue]))).size === 1;
  const groups = new Map<string, Group>();
  for (const profile of file.profiles) {
    const unit = unitOf(profile, form, isOne);
    const key = JSON.stringify([profile.name, unit.service, unit.app.name, unit.app.sampleType]);
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = { labels: labelsOf(labels, profile, unit, form), unit, values: new Map() }));
    for (const [node, weight] of profile.weights) group.values.set(node, (group.values.get(node) ?? 0) + weight * unit.factor);
  }
  let sizeBytes = 0;
  for (const { labels: own, unit, values } of groups.values()) {
    const whole = new Map<StackNode, bigint>();
    for (const [node, value] of values) whole.set(node, wholeOf(value));
    const pprof = pprofOfStacks(file.tree, whole, (frame) => file.frames[frame]!, headOf(unit.app), limits);
    sizeBytes += pprof.length;
    if (sizeBytes > PPROFS_BYTES_MAX) throw refusal("profile_size_limit", `the profiles of the file, each with its frames, take more than ${PPROFS_BYTES_MAX} bytes as pprof: send fewer in one file`);
    yield { pprof, labels: own };
  }
}

/**
 * All profiles of a file together. The file has its frames once and each pprof has them again, so that 3 MB with a thousand profiles could become
 * 3 GB. Eight times the largest pprof.
 */
const PPROFS_BYTES_MAX = 128 * 2 ** 20;

function wholeOf(value: number): bigint {
  if (!Number.isFinite(value)) throw beyond64Bits();
  return BigInt(Math.round(value));
}

function labelsOf(labels: readonly Label[], { name }: SpeedscopeProfile, { app, service }: UnitProfile, { appLabel }: SpeedscopeForm): readonly Label[] {
  return withLabels(labels, { [LABEL_NAME]: app.name, profile_name: name === "" ? undefined : name, ...(appLabel !== undefined && { [appLabel]: service }) });
}

// --- units ------------------------------------------------------------------------------------------------------------

/** What a profile's weights are counted as. */
interface UnitProfile {
  readonly app: AppProfile;
  readonly service: string;
  /** A weight of 1 is so much in the unit of `app`. */
  readonly factor: number;
}

const NS_BY_UNIT: ReadonlyMap<string, number> = new Map([
  ["nanoseconds", 1],
  ["microseconds", 1e3],
  ["milliseconds", 1e6],
  ["seconds", 1e9],
]);

function unitOf({ name, unit }: SpeedscopeProfile, { app: appName, sampleRate }: SpeedscopeForm, isOne: boolean): UnitProfile {
  const unitNs = NS_BY_UNIT.get(unit);
  if (unitNs === undefined && unit !== "none" && unit !== "bytes") {
    throw malformed(`profile ${shown(name)} has the unit ${shown(unit)}: send one of ${[...NS_BY_UNIT.keys()].join(", ")}, bytes or none`);
  }
  // A unit that says nothing cannot name the profile: the application's name does, also of several.
  const { service, suffix } = isOne || unit === "none" ? splitAppName(appName) : { service: appName, suffix: unit };
  if (unitNs !== undefined) {
    const app = profileOfAppName(suffix, RATE_OF_TIME);
    if (app.sampleType.unit !== "nanoseconds") throw unitUnfit(name, unit, suffix);
    return { app: { ...app, period: app.period === 0 ? 0 : Math.max(1, unitNs / RATE_OF_TIME) }, service, factor: unitNs };
  }
  const own = profileOfAppName(suffix, sampleRate);
  if (unit === "none") return { app: own, service, factor: own.scale };
  // Bytes are never time: where the name says time, or nothing, they are those of an application's `.bytes`.
  const app = own.name === "process_cpu" || own.name === "wall" ? profileOfAppName("bytes", sampleRate) : own;
  if (app.sampleType.unit !== "bytes") throw unitUnfit(name, unit, suffix);
  return { app, service, factor: 1 };
}

/** Pyroscope counts hundredths of a unit of time. Only the period is told so. */
const RATE_OF_TIME = 100;

function unitUnfit(name: string, unit: string, suffix = ""): Error {
  return malformed(`profile ${shown(name)} is in ${unit}, and the name ends in .${suffix}, which counts something else: end it with the type that the profile has, or with none`);
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
