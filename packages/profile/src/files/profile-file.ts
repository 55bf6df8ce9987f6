/**
 * A file of profiles that somebody looks at by itself: pprof, JFR, folded stacktraces, speedscope, or a flame graph as `/pyroscope/render` prints
 * it. What it holds is read as a push of the same bytes is (formats.ts, encode-push.ts), so that both show the same, with these differences: it has
 * no service, labels of samples split nothing, and its time is of no concern.
 *
 *   bytes --format--> pprofs --encodePush--> records --by type--> stacktraces by function name
 *
 * A file may hold several types. Each has the name of its sample type; where two differ in their profile alone, as contentions of `mutex` and of
 * `block` do, that stands before it: `mutex:contentions`. Profiles of one type, as those of several threads, are added up.
 */
import { CodedError } from "@pyromesh/base";
import type { GraphMetadata } from "../graph/graph-metadata.ts";
import { graphMetadata } from "../graph/graph-metadata.ts";
import { NameTreeBuilder } from "../graph/name-tree.ts";
import type { FormatProfile } from "../formats/format.ts";
import type { BodyFormat } from "../formats/body-format.ts";
import { readFormat } from "../formats/formats.ts";
import { LABEL_NAME, labelValue } from "../labels/labels.ts";
import type { ProfileLimits } from "../labels/limits.ts";
import type { SampleType } from "../labels/profile-type.ts";
import { malformed, namedRefusal, refusal } from "../labels/refusal.ts";
import type { Interrupt } from "../model/interrupt.ts";
import type { RecordView } from "../model/record-view.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { SumColumn } from "../model/sums.ts";
import { encodePush } from "../record/encode-push.ts";
import { RecordDecoder } from "../record/record-decode.ts";
import { nameTreeOf } from "../scan/scan-tree.ts";
import { fileFormatOf } from "./file-format.ts";
import { hasFlamebearer, readFlamebearer } from "./flamebearer.ts";

/** One type of profile in a file. */
export interface FileProfile {
  /** Different for each type of the file. */
  readonly name: string;
  readonly metadata: GraphMetadata;
  tree(interrupt: Interrupt): NameTree;
}

export interface FileContext {
  readonly limits: ProfileLimits;
  /** 16 random bytes. They seed hash tables and change no result. */
  readonly nonce: Uint8Array;
}

/**
 * `bytes`: not compressed. `name` is a hint where the content does not tell what the file is. At least one type, in the order of the file. Throws a
 * refusal, also where there are no samples with a value.
 */
export function readProfileFile(bytes: Uint8Array, name: string, context: FileContext, interrupt: Interrupt): readonly FileProfile[] {
  const format = fileFormatOf(bytes, name);
  if (format === "json" && hasFlamebearer(bytes)) {
    const { tree, metadata } = readFlamebearer(bytes, context.limits, interrupt);
    return [{ name: metadata.name, metadata, tree: () => tree }];
  }
  interrupt.now();
  const records = format === "pprof" ? pprofRecords(bytes, context, interrupt) : recordsOf(readFormat(FORMS[format], bytes, { labels: [], limits: context.limits, fallbackTimeNs: TIME_NS }).profiles, context, interrupt);
  const types = typesOf(records);
  if (types.length === 0) throw malformed("the file holds no samples with a value: send a profile with some");
  return types.map(({ key, sampleType, name: own }) => ({ name: own, metadata: { ...graphMetadata(sampleType), name: own }, tree: (during) => treeOf(records, key, during) }));
}

/** Any, since records have one. */
const TIME_NS = 1n;
/** Of a profile whose format names none. */
const NAME = "profile";
/** Of a recording that is pushed without a rate. */
const JFR_SAMPLE_RATE = 100;

/** How a file of a format is read that no request says more about. Folded text counts samples of whatever it is. */
const FORMS: { readonly [Format in "folded" | "jfr" | "json"]: BodyFormat } = {
  folded: { kind: "folded", form: { mode: "groups", profile: { name: NAME, sampleType: { type: "samples", unit: "count" }, periodType: { type: "", unit: "" }, period: 0, scale: 1 } } },
  jfr: { kind: "jfr", form: { sampleRate: JFR_SAMPLE_RATE, hasTime: false } },
  // A rate of 0: samples without a unit are counted. Time is time on the wall, since a file says nothing else.
  json: { kind: "speedscope", form: { app: `${NAME}.wall`, sampleRate: 0, appLabel: undefined } },
};

/** All records of one file together: those of one profile have a bound of their own. As of a body that is pushed. */
const RECORD_BYTES_MAX = 64 * 2 ** 20;

function recordsOf(profiles: Iterable<FormatProfile>, { limits, nonce }: FileContext, interrupt: Interrupt): readonly Uint8Array[] {
  const records: Uint8Array[] = [];
  let sizeBytes = 0;
  for (const { pprof, labels } of profiles) {
    const name = labelValue(labels, LABEL_NAME) ?? NAME;
    const input = { tenant: "", labels: [{ name: LABEL_NAME, value: name }], pprof, fallbackTimeNs: TIME_NS, nonce, nowMs: 0, limits, window: ANY_TIME, splitsByLabels: false, ingest: OF_DOTNET };
    for (const { bytes } of encodePush(input)) {
      records.push(bytes);
      sizeBytes += bytes.length;
    }
    if (sizeBytes > RECORD_BYTES_MAX) throw refusal("profile_size_limit", `the first ${records.length} profiles of the file take more than ${RECORD_BYTES_MAX} bytes: send fewer in one file`);
    interrupt.now();
  }
  return records;
}

/** Of bytes that are no other format: they may be no profile at all, so a refusal says what they were taken for. */
function pprofRecords(bytes: Uint8Array, context: FileContext, interrupt: Interrupt): readonly Uint8Array[] {
  try {
    return recordsOf([{ pprof: bytes, labels: [] }], context, interrupt);
  } catch (thrown) {
    if (!(thrown instanceof CodedError) || thrown.code !== "PROFILE_MALFORMED") throw thrown;
    throw namedRefusal("the file is no text and no JFR recording, and cannot be read as pprof", thrown);
  }
}

/** A file does not say which client wrote it. .NET's has types with `-` and no function ids: it cannot be read as any other, and no other file is changed by this. */
const OF_DOTNET = { spyName: "dotnetspy", sampleTypes: undefined };
const ANY_TIME = { rejectOlderThanMs: 0, rejectNewerThanMs: 0 };

interface FileType {
  readonly key: string;
  readonly name: string;
  readonly sampleType: SampleType;
}

function typesOf(records: readonly Uint8Array[]): readonly FileType[] {
  const found = new Map<string, { readonly profile: string; readonly sampleType: SampleType }>();
  const decoder = new RecordDecoder();
  for (const bytes of records) {
    const record = decoder.decode(bytes, "a profile of a file");
    for (const sampleType of record.sampleTypes) {
      const key = keyOf(record, sampleType);
      if (!found.has(key)) found.set(key, { profile: profileNameOf(record), sampleType });
    }
  }
  const counts = new Map<string, number>();
  for (const { sampleType } of found.values()) counts.set(sampleType.type, (counts.get(sampleType.type) ?? 0) + 1);
  const names = new Set<string>();
  return [...found].map(([key, { profile, sampleType }]) => {
    const { type, unit } = sampleType;
    let name = counts.get(type) === 1 ? type : `${profile}:${type}`;
    if (names.has(name)) name = `${profile}:${type}:${unit}`;
    names.add(name);
    return { key, name, sampleType };
  });
}

function treeOf(records: readonly Uint8Array[], key: string, interrupt: Interrupt): NameTree {
  const decoder = new RecordDecoder();
  const builder = new NameTreeBuilder();
  for (const bytes of records) {
    const record = decoder.decode(bytes, "a profile of a file");
    for (const [column, sampleType] of record.sampleTypes.entries()) {
      if (keyOf(record, sampleType) === key) builder.add(nameTreeOf(record, selfOf(record, column), interrupt), interrupt);
    }
    interrupt.now();
  }
  return builder.result();
}

function selfOf({ sampleCount, sampleNode, tree, values }: RecordView, column: number): SumColumn {
  const self = new SumColumn(tree.nodeCount);
  const value = values[column]!; // a column for each sample type
  for (let i = 0; i < sampleCount; i++) {
    const own = value[i]!;
    self.raise(own);
    self.addInt64(sampleNode[i]!, own);
  }
  return self;
}

function keyOf(record: RecordView, { type, unit }: SampleType): string {
  return `${profileNameOf(record)}\0${type}\0${unit}`;
}

function profileNameOf({ labels }: RecordView): string {
  return labelValue(labels, LABEL_NAME) ?? "";
}
