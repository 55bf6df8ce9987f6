/** What the profiles of a body hold, read by a pprof library that is not ours. */
import { Profile } from "pprof-format";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import type { Label } from "../labels/labels.ts";
import type { ProfileLimits } from "../labels/limits.ts";
import { readFormat } from "../formats/formats.ts";
import type { BodyFormat } from "../formats/body-format.ts";

export interface FormatStacks {
  readonly labels: Readonly<Record<string, string>>;
  /** `cpu:nanoseconds:cpu:nanoseconds:10000000` */
  readonly type: string;
  /** By the names of the frames from the root. */
  readonly stacks: Readonly<Record<string, bigint>>;
}

export function stacksOf(body: Uint8Array | string, format: BodyFormat, { labels = [], limits = {} }: { readonly labels?: readonly Label[]; readonly limits?: Partial<ProfileLimits> } = {}): FormatStacks[] {
  const context = { labels, limits: { ...DEFAULT_PROFILE_LIMITS, ...limits }, fallbackTimeNs: 1n };
  return [...readFormat(format, new Uint8Array(Buffer.from(body)), context).profiles].map((profile) => ({ labels: Object.fromEntries(profile.labels.map(({ name, value }) => [name, value])), ...stacksOfPprof(profile.pprof) }));
}

export function stacksOfPprof(pprof: Uint8Array): Pick<FormatStacks, "type" | "stacks"> {
  const profile = Profile.decode(pprof);
  const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)]!;
  const names = new Map(profile.function.map((found) => [Number(found.id), text(found.name)]));
  const frames = new Map(profile.location.map((found) => [Number(found.id), names.get(Number(found.line[0]!.functionId))!]));
  const stacks = Object.create(null) as Record<string, bigint>; // without a prototype, in which "constructor" would be found
  for (const { locationId, value } of profile.sample) {
    const stack = locationId.map((id) => frames.get(Number(id))!).reverse().join(";");
    stacks[stack] = (stacks[stack] ?? 0n) + BigInt(value[0]!);
  }
  const type = [...profile.sampleType, ...(profile.periodType === undefined ? [] : [profile.periodType])].map((one) => `${text(one.type)}:${text(one.unit)}`);
  return { type: [...type, String(profile.period)].join(":"), stacks: { ...stacks } };
}
