/** The sums of what a recording is read as, per profile type, labels and stack. Read by `pprof-format`, not by our own decoder. For tests. */
import { Profile } from "pprof-format";
import type { FormatProfile } from "../formats/format.ts";

/** `name:type:unit:period type:period unit {labels} root;...;leaf` -> sum, without those that are 0. */
export function profileSums(profiles: Iterable<FormatProfile>): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const { pprof, labels } of profiles) {
    const name = labels.find((label) => label.name === "__name__")?.value ?? "";
    const profile = Profile.decode(pprof);
    const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)] ?? "";
    const functions = new Map(profile.function.map((called) => [Number(called.id), text(called.name)]));
    const frames = new Map(profile.location.map((location) => [Number(location.id), location.line.map((line) => functions.get(Number(line.functionId)) ?? "").join()]));
    const { type, unit } = profile.periodType ?? { type: 0, unit: 0 };
    for (const sample of profile.sample) {
      const stack = sample.locationId.map((id) => frames.get(Number(id)) ?? "?").reverse();
      const own = sample.label.map((label) => `${text(label.key)}=${text(label.str)}`).sort();
      for (const [column, sampleType] of profile.sampleType.entries()) {
        const value = BigInt(sample.value[column] ?? 0);
        if (value === 0n) continue;
        const key = `${name}:${text(sampleType.type)}:${text(sampleType.unit)}:${text(type)}:${text(unit)} {${own.join(",")}} ${stack.join(";")}`;
        sums.set(key, (sums.get(key) ?? 0n) + value);
      }
    }
  }
  return sums;
}
