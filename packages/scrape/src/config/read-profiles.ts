/** Reads `profiling_config`: which profiles a program is asked for, and where it answers. */
import { didYouMean } from "@pyromesh/base";
import type { GroupReader } from "./group-reader.ts";
import type { ProfileSettings } from "./scrape-config.ts";

/** The profiles of Go's net/http/pprof and of godeltaprof, with the paths and settings that Alloy's pyroscope.scrape takes. */
export const KNOWN_PROFILES: readonly ProfileSettings[] = [
  { name: "block", isEnabled: true, path: "/debug/pprof/block", isDelta: false },
  { name: "fgprof", isEnabled: false, path: "/debug/fgprof", isDelta: true },
  { name: "godeltaprof_block", isEnabled: false, path: "/debug/pprof/delta_block", isDelta: false },
  { name: "godeltaprof_memory", isEnabled: false, path: "/debug/pprof/delta_heap", isDelta: false },
  { name: "godeltaprof_mutex", isEnabled: false, path: "/debug/pprof/delta_mutex", isDelta: false },
  { name: "goroutine", isEnabled: true, path: "/debug/pprof/goroutine", isDelta: false },
  { name: "memory", isEnabled: true, path: "/debug/pprof/allocs", isDelta: false },
  { name: "mutex", isEnabled: true, path: "/debug/pprof/mutex", isDelta: false },
  { name: "process_cpu", isEnabled: true, path: "/debug/pprof/profile", isDelta: true },
];

/** The cumulative profiles: Go counts their values from the start of the program on. */
export const CUMULATIVE_PROFILES: readonly string[] = ["block", "memory", "mutex"];

export interface ProfilingSettings {
  readonly profiles: readonly ProfileSettings[];
  readonly pathPrefix: string;
}

export function readProfiling(group: GroupReader): ProfilingSettings {
  const pprof = group.group("pprof_config");
  const written = new Map(pprof.names().map((name) => [name, readProfile(pprof.group(name), name)]));
  const pathPrefix = group.text("path_prefix", "").replace(/\/+$/, "");
  group.finish({ metrics_path: "write pprof_config: {memory: {path: ...}}" });
  if (pathPrefix !== "" && !isPath(pathPrefix)) group.refuse("path_prefix", "path_prefix begins with /: write it as /app");
  const others = KNOWN_PROFILES.filter(({ name }) => !written.has(name));
  const profiles = [...written.values(), ...others].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { profiles: withoutDoubles(profiles, written, pprof), pathPrefix };
}

function readProfile(group: GroupReader, name: string): ProfileSettings {
  const known = KNOWN_PROFILES.find((profile) => profile.name === name);
  const profile: ProfileSettings = {
    name,
    isEnabled: group.boolean("enabled", true),
    path: group.text("path", known?.path ?? ""),
    isDelta: group.boolean("delta", known?.isDelta ?? false),
  };
  group.finish({ keep_sample_type: "all sample types are kept: take it out", seconds: "a delta is measured for as long as scrape_interval says: take it out" });
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) group.refuse(undefined, `${JSON.stringify(name)} is not the name of a profile: write one of letters, digits and _`);
  if (profile.path === "") group.refuse(undefined, `${name} is none of the known profiles${didYouMean(name, KNOWN_PROFILES.map((one) => one.name))}, and of another the path must be written: path: /debug/pprof/name`);
  if (profile.path !== "" && !isPath(profile.path)) group.refuse("path", "path begins with / and has no query: write parameters as params");
  return profile;
}

/** godeltaprof_memory and memory tell of the same allocations, and the store names both `memory`: with both they would count twice. */
function withoutDoubles(profiles: readonly ProfileSettings[], written: ReadonlyMap<string, ProfileSettings>, pprof: GroupReader): ProfileSettings[] {
  const isOn = (name: string): boolean => profiles.find((profile) => profile.name === name)?.isEnabled === true;
  return profiles.map((profile) => {
    const twin = `godeltaprof_${profile.name}`;
    if (!profile.isEnabled || !isOn(twin)) return profile;
    if (written.get(profile.name)?.isEnabled === true) pprof.refuse(twin, `${profile.name} and ${twin} tell of the same, which would count twice: switch one of them off`);
    return { ...profile, isEnabled: false };
  });
}

function isPath(text: string): boolean {
  return /^\/[^?#\s]*$/.test(text);
}
