/** Decodes pprof with `pprof-format`, never with our own decoder, and makes small profiles and messages for tests. */
import { gunzipSync } from "node:zlib";
import { Function, Label, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { goPrefixesOf } from "../../packages/profile/dist/testing/index.js";

export function decodePprof(bytes) {
  const raw = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
  const profile = Profile.decode(raw);
  const text = (index) => profile.stringTable.strings[Number(index)] ?? "";
  // dotnet's profiler gives its functions no ids, and refers to each by its position.
  const functions = new Map(profile.function.map((called, index) => [Number(called.id) || index + 1, called]));
  const linesOf = new Map(profile.location.map(({ id, line }) => [Number(id), line]));
  const framesOf = (id) => linesOf.get(Number(id)).toReversed().map((line) => functions.get(Number(line.functionId)));
  return {
    profile,
    text,
    framesOf,
    sampleTypes: profile.sampleType.map(({ type, unit }) => ({ type: text(type), unit: text(unit) })),
    /** `[{ids, frames, values, labels}]` with ids and frames from the root. Samples that every server drops are left out. */
    samples: profile.sample
      .map((sample) => ({
        ids: sample.locationId.map(String).toReversed(),
        frames: sample.locationId.toReversed().flatMap(framesOf),
        values: sample.value.map((value) => BigInt.asIntN(64, BigInt(value))),
        labels: new Map(sample.label.filter(({ str }) => Number(str) !== 0).map(({ key, str }) => [text(key), text(str)])),
      }))
      .filter(({ values }) => values.every((value) => value >= 0n) && values.some((value) => value !== 0n)),
  };
}

/** `a;b;c -> value` of one sample type, added up. Type parameters are removed, as every server does for Go. */
export function collapsed({ samples, text }, column, nameOf = (called) => text(called.name)) {
  const sums = new Map();
  for (const { frames, values } of samples) {
    const stack = frames.map((called) => nameOf(called).replace(/\[go\.shape\..*\]/, "")).join(";");
    if (values[column] !== 0n) sums.set(stack, (sums.get(stack) ?? 0n) + values[column]);
  }
  return Object.fromEntries([...sums].map(([stack, sum]) => [stack, String(sum)]).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function total({ samples }, column, takes = () => true) {
  return Number(samples.filter(takes).reduce((sum, { values }) => sum + values[column], 0n));
}

/** A Go profile with its truncated stacktraces repaired, as Pyroscope repairs them. */
export function repaired(decoded) {
  const { samples } = decoded;
  const prefixes = goPrefixesOf(
    decoded.profile,
    samples.map(({ ids }) => ids),
  );
  return { ...decoded, samples: samples.map((sample, i) => ({ ...sample, frames: [...prefixes[i].flatMap(decoded.framesOf), ...sample.frames] })) };
}

/** Makes a cpu profile of `[{stack: ["root", "leaf"], value, labels}]`. */
export function cpuProfile(samples, { timeMs, types = [["cpu", "nanoseconds"]] }) {
  const stringTable = new StringTable();
  const string = (text) => stringTable.dedup(text);
  const ids = new Map();
  const functions = [];
  const locations = [];
  const locationOf = (name) => {
    if (!ids.has(name)) {
      const id = ids.size + 1;
      ids.set(name, id);
      functions.push(new Function({ id, name: string(name), systemName: string(name) }));
      locations.push(new Location({ id, line: [new Line({ functionId: id, line: 1 })] }));
    }
    return ids.get(name);
  };
  const profile = new Profile({
    sampleType: types.map(([type, unit]) => new ValueType({ type: string(type), unit: string(unit) })),
    sample: samples.map(
      ({ stack, value, labels = {} }) =>
        new Sample({
          locationId: stack.toReversed().map(locationOf),
          value: types.map(() => value),
          label: Object.entries(labels).map(([key, text]) => new Label({ key: string(key), str: string(text) })),
        }),
    ),
    location: locations,
    function: functions,
    periodType: new ValueType({ type: string("cpu"), unit: string("nanoseconds") }),
    period: 10_000_000,
    timeNanos: BigInt(timeMs) * 1_000_000n,
    durationNanos: 10_000_000_000n,
    stringTable,
  });
  return profile.encode();
}

/** Encodes a protobuf message of `[number, text or integer]` fields. */
export function protoMessage(fields) {
  const out = [];
  const varint = (value) => {
    let rest = BigInt(value);
    for (; rest >= 128n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
    out.push(Number(rest));
  };
  for (const [number, value] of fields) {
    varint(number * 8 + (typeof value === "string" ? 2 : 0));
    if (typeof value !== "string") {
      varint(value);
      continue;
    }
    const bytes = Buffer.from(value);
    varint(bytes.length);
    out.push(...bytes);
  }
  return Uint8Array.from(out);
}
