/**
 * What the kernel and JavaScript agree on: where things lie in the kernel's memory, and by which number a push is refused.
 *
 *   address 0         512                    640                1024
 *   | directory       | results              | times            | input | loose | sampleNode | ...       | out |
 *   | u32 per column  | u32 per RESULTS name | i64 per TIMES    | the columns, in the order of COLUMNS          |
 *   | its address     |                      | name             | each as long as the longest input can make it |
 *
 * This is the only place where these names, widths and numbers are written down. From it `npm run build` (scripts/kernel-layout.mjs)
 * generates `gen/layout.ts` for the kernel (AssemblyScript) and `../src/gen/kernel-layout.ts` for JavaScript, which lays the memory out
 * (src/pprof/kernel-memory.ts) and writes the directory. The numbers live as long as one process: none is on disk or on the wire.
 */

/** Addresses, in bytes. */
export const DIRECTORY_AT = 0;
export const RESULTS_AT = 512;
export const TIMES_AT = 640;
export const COLUMNS_AT = 1024;

/**
 * `type`: of an entry. `count`: how many entries there are at most, by a rule of kernel-memory.ts (`perFourBytes`: one per four
 * bytes of input, since that is the least that a sample takes).
 *
 * @type {readonly { name: string, type: "u8" | "u32" | "i64" | "u64" | "f64", count: string, doc?: string }[]}
 */
export const COLUMNS = [
  // What came in
  { name: "input", type: "u8", count: "inputBytes", doc: "The push, and behind it the text that normalising adds to its strings." },
  { name: "loose", type: "u8", count: "perByte", doc: "The location ids of one sample that came as single fields, put together as one packed run." },

  // The push, decoded: samples, their labels, the tree of stacktraces, symbols
  { name: "sampleNode", type: "u32", count: "perFourBytes", doc: "The node of each sample's leaf." },
  { name: "sampleLabelStart", type: "u32", count: "perFourBytes", doc: "Where each sample's labels begin in labelKey and labelText." },
  { name: "values", type: "i64", count: "perByte", doc: "The values of a sample lie together, one per sample type." },
  { name: "labelKey", type: "u32", count: "perFourBytes" },
  { name: "labelText", type: "u32", count: "perFourBytes" },
  { name: "nodeParent", type: "u32", count: "nodes" },
  { name: "nodeLocation", type: "u32", count: "nodes" },
  { name: "nodeChild", type: "u32", count: "nodes", doc: "The child that a walk took last: most walks take it again." },
  { name: "stringStart", type: "u32", count: "strings" },
  { name: "stringEnd", type: "u32", count: "strings" },
  { name: "typeType", type: "u32", count: "types" },
  { name: "typeUnit", type: "u32", count: "types" },
  { name: "mappingId", type: "u32", count: "mappings" },
  { name: "mappingStart", type: "u64", count: "mappings" },
  { name: "mappingLimit", type: "u64", count: "mappings" },
  { name: "mappingFileOffset", type: "u64", count: "mappings" },
  { name: "mappingFilename", type: "u32", count: "mappings" },
  { name: "mappingBuildId", type: "u32", count: "mappings" },
  { name: "mappingFlags", type: "u8", count: "mappings" },
  { name: "functionId", type: "u32", count: "perTwoBytes" },
  { name: "functionName", type: "u32", count: "perTwoBytes" },
  { name: "functionSystemName", type: "u32", count: "perTwoBytes" },
  { name: "functionFilename", type: "u32", count: "perTwoBytes" },
  { name: "functionStartLine", type: "f64", count: "perTwoBytes" },
  { name: "locationId", type: "u32", count: "perTwoBytes" },
  { name: "locationMapping", type: "u32", count: "perTwoBytes" },
  { name: "locationAddressLow", type: "u32", count: "perTwoBytes" },
  { name: "locationAddressHigh", type: "u32", count: "perTwoBytes" },
  { name: "locationFlags", type: "u8", count: "perTwoBytes" },
  { name: "lineStart", type: "u32", count: "perTwoBytes" },
  { name: "lineFunction", type: "u32", count: "perTwoBytes" },
  { name: "lineNumber", type: "f64", count: "perTwoBytes" },
  { name: "slots", type: "u32", count: "slots", doc: "Hash table of nodes by parent and location. A power of two; it doubles when half of it is taken." },

  // Equal samples merged, and their values added up
  { name: "sampleGroup", type: "u32", count: "perFourBytes", doc: "Written by JavaScript, for samples with labels: which of the push's records a sample belongs to." },
  { name: "sampleSpan", type: "u32", count: "perFourBytes", doc: "Written by JavaScript, for samples with labels." },
  { name: "sampleTrace", type: "u32", count: "perFourBytes", doc: "Written by JavaScript, for samples with labels." },
  { name: "nodeMerged", type: "u32", count: "nodes", doc: "By node: the merged sample of it, plus 1; 0: none yet." },
  { name: "mergeSlots", type: "u32", count: "mergeSlots", doc: "Hash table of merged samples, for samples with labels." },
  { name: "target", type: "u32", count: "perFourBytes", doc: "By sample: the merged sample that it became part of." },
  { name: "mergedNode", type: "u32", count: "perFourBytes" },
  { name: "mergedGroup", type: "u32", count: "perFourBytes" },
  { name: "mergedSpan", type: "u32", count: "perFourBytes" },
  { name: "mergedTrace", type: "u32", count: "perFourBytes" },
  { name: "sums", type: "f64", count: "perByte", doc: "A column of sums over merged samples per sample type: doubles, or 64-bit integers where sumIsWide says so." },
  { name: "sumIsWide", type: "u8", count: "perByte" },

  // Which of them one record holds, and its numbering
  { name: "list", type: "u32", count: "perFourBytes", doc: "Merged samples, those of one group together." },
  { name: "selection", type: "u32", count: "perFourBytes", doc: "The merged samples of one record, where it does not hold all of its group." },
  { name: "columnList", type: "u32", count: "perByte", doc: "Which columns of sums go into the record." },
  { name: "nodeNew", type: "u32", count: "nodes", doc: "By id in the push: its number in the record, plus 1; 0: not met yet. So in all columns whose names end in New." },
  { name: "nodes", type: "u32", count: "nodes" },
  { name: "path", type: "u32", count: "nodes", doc: "The nodes from a sample's leaf up to the first one that the record has already." },
  { name: "locationNew", type: "u32", count: "perTwoBytes" },
  { name: "locations", type: "u32", count: "perTwoBytes" },
  { name: "functionNew", type: "u32", count: "perTwoBytes" },
  { name: "functions", type: "u32", count: "perTwoBytes" },
  { name: "mappingNew", type: "u32", count: "mappings" },
  { name: "mappings", type: "u32", count: "mappings" },
  { name: "stringNew", type: "u32", count: "strings" },
  { name: "strings", type: "u32", count: "strings" },

  // The record's columns, by its own numbers
  { name: "recordNodeParent", type: "u32", count: "nodes" },
  { name: "recordNodeLocation", type: "u32", count: "nodes" },
  { name: "recordLocationMapping", type: "u32", count: "perTwoBytes" },
  { name: "recordLocationAddressLow", type: "u32", count: "perTwoBytes" },
  { name: "recordLocationAddressHigh", type: "u32", count: "perTwoBytes" },
  { name: "recordLocationFlags", type: "u8", count: "perTwoBytes" },
  { name: "recordLineStart", type: "u32", count: "perTwoBytes" },
  { name: "recordLineFunction", type: "u32", count: "perTwoBytes" },
  { name: "recordLineNumber", type: "f64", count: "perTwoBytes" },
  { name: "recordFunctionName", type: "u32", count: "perTwoBytes" },
  { name: "recordFunctionSystemName", type: "u32", count: "perTwoBytes" },
  { name: "recordFunctionFilename", type: "u32", count: "perTwoBytes" },
  { name: "recordFunctionStartLine", type: "f64", count: "perTwoBytes" },
  { name: "recordMappingStart", type: "u64", count: "mappings" },
  { name: "recordMappingLimit", type: "u64", count: "mappings" },
  { name: "recordMappingFileOffset", type: "u64", count: "mappings" },
  { name: "recordMappingFilename", type: "u32", count: "mappings" },
  { name: "recordMappingBuildId", type: "u32", count: "mappings" },
  { name: "recordMappingFlags", type: "u8", count: "mappings" },
  { name: "recordStringOffset", type: "u32", count: "strings" },
  { name: "recordSampleNode", type: "u32", count: "perFourBytes" },
  { name: "recordValues", type: "f64", count: "perByte" },
  { name: "recordValueIsWide", type: "u8", count: "perByte" },

  // What goes out
  { name: "out", type: "u8", count: "outBytes", doc: "The record's bytes: what JavaScript writes in front, then the columns of RECORD.md." },
];

/** One u32 each, written by the kernel when a push is decoded, and the last seven (`record...`) when a record is written. */
export const RESULTS = [
  "arrivedSampleCount",
  "valueCount",
  "sampleCount",
  "labelCount",
  "stringCount",
  "stringLengthMax",
  "typeCount",
  "mappingCount",
  "functionCount",
  "locationCount",
  "lineCount",
  "typeStringMax",
  "labelStringMax",
  "functionStringMax",
  "mappingStringMax",
  "periodTypeType",
  "periodTypeUnit",
  "recordNodeCount",
  "recordLocationCount",
  "recordLineCount",
  "recordFunctionCount",
  "recordMappingCount",
  "recordStringCount",
  "recordStringsAt",
];

/** One i64 each, of the profile: time and duration in nanoseconds, and period in its own unit. */
export const TIMES = ["time", "duration", "period"];

/** Why the kernel refuses a push. `facts`: the up to three numbers that it gives with the code, for the sentence in src/pprof/pprof-kernel.ts. */
export const REFUSALS = [
  { name: "endsInMessage" },
  { name: "endsInNumber" },
  { name: "numberTooLong" },
  { name: "endsInSample" },
  { name: "endsInLocation" },
  { name: "endsInLocationId" },
  { name: "endsInField" },
  { name: "locationIdZero" },
  { name: "fieldNumber" },
  { name: "fieldNumberPadded" },
  { name: "wireType", facts: ["field", "its wire type", "the one that it should have"] },
  { name: "wireTypeUnknown", facts: ["wire type"] },
  { name: "tooManySamples" },
  { name: "tooManyLabels", facts: ["how many a sample has"] },
  { name: "valueCounts", facts: ["how many the first sample has", "how many another has"] },
  { name: "tooManyMappings", facts: ["how many there may be"] },
  { name: "tooManyTypes", facts: ["how many there may be"] },
];
