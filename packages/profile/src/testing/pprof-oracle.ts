/**
 * The sums of a pprof per label set, sample type and stacktrace, read by `pprof-format` and never by our own decoder.
 * And the same sums of records, so that the two can be compared. For tests.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { Profile } from "pprof-format";
import type { Label } from "../labels/labels.ts";
import { printLabels, sortLabels } from "../labels/labels.ts";
import { decodeRecord } from "../record/record-decode.ts";
import type { EncodedRecord, RecordView } from "../model/record-view.ts";
import { goPrefixesOf } from "./go-truncated-oracle.ts";

/** `{labels} type:unit span/trace` + stack -> sum. */
export type Sums = Map<string, bigint>;

/** Labels on samples that never become series labels. */
const ID_LABELS = new Set(["span_id", "profile_id", "trace_id"]);

/** Sums by Pyroscope's rules: samples with a negative value and those of zeros alone are dropped, as are numeric labels. `isRepaired`: a Go profile's, whose cut stacktraces are repaired. */
export function expectedSums(pprof: Uint8Array, seriesNames: ReadonlySet<string> = new Set(), isRepaired = false): Sums {
  const profile = Profile.decode(pprof);
  const strings = profile.stringTable.strings;
  const text = (index: unknown): string => strings[Number(index)] ?? "";
  const locations = new Map(profile.location.map((location) => [BigInt(location.id), location]));
  const functions = new Map(profile.function.map((called) => [BigInt(called.id), called]));
  const frames = new Map<bigint, string[]>();
  for (const [id, location] of locations) {
    frames.set(
      id,
      location.line
        .flatMap((line) => {
          const called = functions.get(BigInt(line.functionId));
          // A line whose function is missing is left out, and so is a frame whose location is.
          return called === undefined ? [] : frameText(text(called.name).replace(/\[go\.shape\..*\]/, ""), text(called.filename), Number(line.line));
        })
        .reverse(),
    );
  }
  const sums: Sums = new Map();
  const kept = profile.sample.filter(({ value }) => {
    const values = value.map((one) => BigInt.asIntN(64, BigInt(one)));
    return values.every((one) => one >= 0n) && values.some((one) => one > 0n);
  });
  const prefixes = goPrefixesOf(
    profile,
    kept.map(({ locationId }) => locationId.map(String).reverse()),
  );
  for (const [i, sample] of kept.entries()) {
    const values = sample.value.map((value) => BigInt.asIntN(64, BigInt(value)));
    const labels: Label[] = [];
    const idTexts = new Map<string, string>();
    for (const label of sample.label) {
      const name = text(label.key);
      const value = text(label.str);
      if (Number(label.str) === 0) continue;
      if (ID_LABELS.has(name)) {
        if (new RegExp(name === "trace_id" ? "^[0-9a-fA-F]{32}$" : "^[0-9a-fA-F]{16}$").test(value) && !/^0*$/.test(value)) {
          // Of several the first counts, here and below.
          const kind = name === "trace_id" ? "trace" : "span";
          if (!idTexts.has(kind)) idTexts.set(kind, `${kind}=${value.toLowerCase()} `);
        }
      } else if (name !== "" && !seriesNames.has(name) && !labels.some((label) => label.name === name)) labels.push({ name, value });
    }
    const stack = [...(isRepaired ? prefixes[i]! : []), ...sample.locationId.map(String).reverse()].flatMap((id) => frames.get(BigInt(id)) ?? []);
    for (const [column, type] of profile.sampleType.entries()) {
      if (values[column] === 0n) continue;
      const key = sumKey(sortLabels(labels), text(type.type), text(type.unit), [...idTexts.values()].sort().join(""), stack);
      sums.set(key, (sums.get(key) ?? 0n) + values[column]!);
    }
  }
  return sums;
}

/** The same of records; labels in `seriesNames` are the series' own and left out. */
export function recordSums(records: readonly EncodedRecord[], seriesNames: ReadonlySet<string>): Sums {
  const sums: Sums = new Map();
  for (const record of records) addViewSums(sums, decodeRecord(record.bytes, "a test record"), seriesNames);
  return sums;
}

export function addViewSums(sums: Sums, view: RecordView, seriesNames: ReadonlySet<string>): void {
  const labels = view.labels.filter(({ name }) => !seriesNames.has(name));
  for (let i = 0; i < view.sampleCount; i++) {
    const stack = stackOf(view, view.sampleNode[i]!);
    let ids = "";
    const span = view.sampleSpan?.[i] ?? 0;
    const trace = view.sampleTrace?.[i] ?? 0;
    if (span !== 0) ids += `span=${Buffer.from(view.spans.subarray(span * 8, span * 8 + 8)).toString("hex")} `;
    if (trace !== 0) ids += `trace=${Buffer.from(view.traces.subarray(trace * 16, trace * 16 + 16)).toString("hex")} `;
    for (const [column, { type, unit }] of view.sampleTypes.entries()) {
      const value = BigInt(view.values[column]![i]!);
      if (value === 0n) continue;
      const key = sumKey(labels, type, unit, ids, stack);
      sums.set(key, (sums.get(key) ?? 0n) + value);
    }
  }
}

/** Frames from the root. */
export function stackOf(view: RecordView, leaf: number): string[] {
  const { symbols, tree } = view;
  const frames: string[] = [];
  for (let node = leaf; node !== 0; node = tree.nodeParent[node]!) {
    const location = tree.nodeLocation[node]!;
    for (let line = symbols.lineStart[location]!; line < symbols.lineStart[location + 1]!; line++) {
      const called = symbols.lineFunction[line]!;
      frames.push(frameText(stringOf(view, symbols.functionName[called]!), stringOf(view, symbols.functionFilename[called]!), symbols.lineNumber[line]!));
    }
  }
  return frames.reverse();
}

export function stringOf(view: RecordView, index: number): string {
  const { stringBytes, stringOffset } = view.symbols;
  return Buffer.from(stringBytes.subarray(stringOffset[index]!, stringOffset[index + 1]!)).toString("utf8");
}

function frameText(name: string, filename: string, line: number): string {
  return `${name} ${filename}:${line}`;
}

function sumKey(labels: readonly Label[], type: string, unit: string, ids: string, stack: readonly string[]): string {
  return `${printLabels(labels)} ${type}:${unit} ${ids}${stack.join(";")}`;
}

/** Real profiles: PYROMESH_CORPUS, else beside the repository. Undefined where there is none. */
export function corpusPath(): string | undefined {
  const path = process.env["PYROMESH_CORPUS"] ?? fileURLToPath(new URL("../../../../../shared/corpus", import.meta.url));
  return existsSync(path) ? path : undefined;
}

/** Uncompressed. */
export function corpusPprof(path: string): Uint8Array {
  const bytes = readFileSync(path);
  return new Uint8Array(bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes);
}

/** Every pprof file below `pprof/`. */
export function corpusPprofFiles(corpus: string): string[] {
  const folder = join(corpus, "pprof");
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".json"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
