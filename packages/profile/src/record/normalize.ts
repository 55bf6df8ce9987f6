/**
 * Normalisation: changes a decoded push into the one form in which it is kept, by Pyroscope's rules, and
 * refuses what has no such form. It works in place, on the decoder's columns.
 *
 * Done elsewhere: dropping negative and all-zero samples and limiting depth (../kernel/decode.ts, where it saves work),
 * merging equal samples (split-samples.ts), dropping what no sample refers to (../kernel/record.ts).
 *
 * References that lead nowhere do not change totals: a frame whose location is missing is left out of its stacktrace, a
 * line whose function is missing out of its location, and a missing mapping is none.
 *
 * Changing any rule here changes identities: raise NORMALISATION_VERSION (identity.ts) with it.
 */
import { collapseGoTypeParameters } from "./fix-go.ts";
import { repairGoTruncated } from "./fix-go-truncated.ts";
import { fixDotnetFunctionIds, isDotnet, prefixFunctionsWithFile, spyNamesFilesInFunctions } from "../text/fix-spy.ts";
import { IdTable } from "../pprof/id-table.ts";
import type { IngestQuirks } from "../labels/ingest-name.ts";
import type { Label } from "../labels/labels.ts";
import { labelValue } from "../labels/labels.ts";
import type { ProfileLimits } from "../labels/limits.ts";
import type { PprofDecoder } from "../pprof/pprof-decode.ts";
import type { SampleType } from "../labels/profile-type.ts";
import { malformed } from "../labels/refusal.ts";
import { putServiceVersion } from "../pprof/service-version.ts";

export interface NormalizedTypes {
  readonly sampleTypes: readonly SampleType[];
  readonly periodType: SampleType;
}

/** bit 0 of a mapping's flags */
const HAS_FUNCTIONS = 1;

/** Scratch of one call: built anew for each list of ids. */
const idTable = new IdTable();

/** `labels`: the series' own, as they came. */
export function normalize(
  decoded: PprofDecoder,
  limits: ProfileLimits,
  ingest: IngestQuirks | undefined,
  labels: readonly Label[],
): NormalizedTypes {
  checkReferences(decoded);
  let sampleTypes = readTypes(decoded);
  if (ingest !== undefined && isDotnet(ingest)) {
    fixDotnetFunctionIds(decoded);
    sampleTypes = sampleTypes.map(({ type, unit }) => ({ type: type.replaceAll("-", "_"), unit }));
  }
  for (const { type } of sampleTypes) {
    if (type.includes("-")) {
      throw malformed(`sample type ${JSON.stringify(type)} contains "-", which profile types may not: write it with "_"`);
    }
  }
  const periodType = { type: typeText(decoded, decoded.periodTypeType), unit: typeText(decoded, decoded.periodTypeUnit) };
  for (const { type, unit } of [...sampleTypes, periodType]) checkTypeParts(type, unit);
  checkDistinct(sampleTypes);
  const collapsedNames = collapseGoTypeParameters(decoded);
  if (limits.repairsGoStacktraces) repairGoTruncated(decoded, sampleTypes, { spyName: labelValue(labels, "pyroscope_spy") ?? "", collapsedNames });
  resolveIds(decoded);
  if (ingest !== undefined && spyNamesFilesInFunctions(ingest.spyName)) prefixFunctionsWithFile(decoded, ingest.spyName);
  limitSymbolLength(decoded, limits.symbolLengthBytesMax);
  clearAddresses(decoded);
  putServiceVersion(decoded, labels);
  return { sampleTypes, periodType };
}

/** A query names a type, and would be answered with the values of one of two that are equal. */
function checkDistinct(sampleTypes: readonly SampleType[]): void {
  if (sampleTypes.length === 1) return;
  const unitsOf = new Map<string, Set<string>>();
  for (const { type, unit } of sampleTypes) {
    const units = unitsOf.get(type);
    if (units === undefined) unitsOf.set(type, new Set([unit]));
    else if (!units.has(unit)) units.add(unit);
    else throw malformed(`the profile has the sample type ${JSON.stringify(type.slice(0, 100))} in ${JSON.stringify(unit.slice(0, 100))} twice: send each type once`);
  }
}

/** Queries name a profile type by its parts, separated by colons. One with a colon in a part would be stored and could not be asked for. */
function checkTypeParts(...parts: readonly string[]): void {
  for (const part of parts) {
    if (part.includes(":")) throw malformed(`the type or unit ${JSON.stringify(part)} contains ":", which separates the parts of a profile type: write it with "_"`);
  }
}

function checkReferences(decoded: PprofDecoder): void {
  if (decoded.typeCount === 0) throw malformed("the profile has no sample type: send a pprof profile with at least one");
  if (decoded.arrivedSampleCount > 0 && decoded.valueCount !== decoded.typeCount) {
    throw malformed(
      `the profile has ${decoded.typeCount} sample types and its samples ${decoded.valueCount} values: give each sample one value for each sample type`,
    );
  }
  const stringMax = decoded.stringMax;
  const count = decoded.stringCount;
  const outOfRange = (what: string, index: number): Error =>
    malformed(`${what} refers to string ${index} and the string table has ${count}: send the whole string table`);
  if (stringMax.type >= count) throw outOfRange("a sample type or the period type", stringMax.type);
  if (stringMax.functionField >= count) throw outOfRange("a function's name or file name", stringMax.functionField);
  if (stringMax.mappingField >= count) throw outOfRange("a mapping's file name or build id", stringMax.mappingField);
  if (stringMax.label >= count) throw outOfRange("a sample's label", stringMax.label);
  if (decoded.stringEnd[0] !== decoded.stringStart[0]) throw malformed("string 0 of the profile is not empty: begin the string table with an empty string");
}

/** Length of a type or a unit. Thousands of sample types may refer to one string: without a limit a small push would become gigabytes of text. */
const TYPE_TEXT_BYTES_MAX = 1024;

function readTypes(decoded: PprofDecoder): SampleType[] {
  const types: SampleType[] = [];
  for (let i = 0; i < decoded.typeCount; i++) types.push({ type: typeText(decoded, decoded.typeType[i]!), unit: typeText(decoded, decoded.typeUnit[i]!) });
  return types;
}

function typeText(decoded: PprofDecoder, string: number): string {
  const lengthBytes = decoded.stringEnd[string]! - decoded.stringStart[string]!;
  if (lengthBytes > TYPE_TEXT_BYTES_MAX) throw malformed(`a type or unit has a name of ${lengthBytes} bytes and at most ${TYPE_TEXT_BYTES_MAX} are taken: shorten it`);
  return decoded.text(string);
}

/** Replaces ids by indexes in nodes, lines and locations; 0: none. */
function resolveIds(decoded: PprofDecoder): void {
  const { locationCount, functionCount, mappingCount, lineCount, lineFunction, locationId, functionId, tree } = decoded;
  for (let i = 0; i < lineCount; i++) {
    if (lineFunction[i] === 0) throw malformed("a line refers to function id 0: number functions from 1");
  }
  for (let i = 1; i <= functionCount; i++) {
    if (functionId[i] === 0) throw malformed("a function has id 0: number functions from 1");
  }
  for (let i = 1; i <= locationCount; i++) {
    if (locationId[i] === 0) throw malformed("a location has id 0: number locations from 1");
  }
  idTable.build(locationId, locationCount);
  idTable.resolve(tree.nodeLocation, 1, tree.nodeCount);
  endAtKnownLocations(decoded);
  idTable.build(functionId, functionCount);
  idTable.resolve(lineFunction, 0, lineCount);
  idTable.build(decoded.mappingId, mappingCount);
  idTable.resolve(decoded.locationMapping, 1, locationCount + 1);
}

/** A sample whose leaf is left out ends at the frame before it, so that equal stacktraces stay one node. */
function endAtKnownLocations({ sampleCount, sampleNode, tree }: PprofDecoder): void {
  const { nodeParent, nodeLocation } = tree;
  for (let i = 0; i < sampleCount; i++) {
    let node = sampleNode[i]!;
    while (node !== 0 && nodeLocation[node] === 0) node = nodeParent[node]!;
    sampleNode[i] = node;
  }
}

/** A string that is too long keeps its end, where function and file stand behind their packages. */
function limitSymbolLength(decoded: PprofDecoder, lengthBytesMax: number): void {
  if (lengthBytesMax <= 0 || decoded.stringLengthMax <= lengthBytesMax) return;
  const { bytes, stringStart, stringEnd, stringCount } = decoded;
  for (let i = 0; i < stringCount; i++) {
    let start = stringEnd[i]! - lengthBytesMax;
    if (start <= stringStart[i]!) continue;
    while (start < stringEnd[i]! && (bytes[start]! & 0xc0) === 0x80) start++; // not in the middle of a character
    stringStart[i] = start;
  }
}

/** Where functions are known, addresses are dropped: they differ between builds and runs, whose stacktraces should add up. */
function clearAddresses(decoded: PprofDecoder): void {
  const { mappingCount, mappingFlags, locationCount, locationMapping, locationAddressLow, locationAddressHigh } = decoded;
  let isAnyCleared = false;
  for (let i = 1; i <= mappingCount; i++) {
    if ((mappingFlags[i]! & HAS_FUNCTIONS) === 0) continue;
    isAnyCleared = true;
    decoded.mappingStart[i] = 0n;
    decoded.mappingLimit[i] = 0n;
    decoded.mappingFileOffset[i] = 0n;
  }
  if (!isAnyCleared) return;
  for (let i = 1; i <= locationCount; i++) {
    const mapping = locationMapping[i]!;
    if (mapping !== 0 && (mappingFlags[mapping]! & HAS_FUNCTIONS) !== 0) {
      locationAddressLow[i] = 0;
      locationAddressHigh[i] = 0;
    }
  }
}
