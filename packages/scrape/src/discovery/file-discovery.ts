/**
 * Targets in files of JSON or YAML. Each file is read when its time or size has changed, and anew at each `refresh_interval`.
 *
 * A file that is broken or cannot be read keeps its last good groups, and the log names it; one that is gone, or that no pattern matches any
 * more, takes its targets with it.
 */
import path from "node:path";
import { messageOf } from "@pyromesh/base";
import { parse } from "yaml";
import type { FileConfig } from "../config/scrape-config.ts";
import type { Discovery, DiscoveryModules, TargetGroup } from "./discovery.ts";
import { readGroups } from "./read-groups.ts";
import { Refresher } from "./refresher.ts";

/** How often files are looked at. To look at one is cheap. */
const LOOK_MS = 5000;
const TIMEOUT_MS = 30_000;
/** Of one `files` setting; with more the whole of it is refused. */
const FILES_MAX = 1000;
const FILE_SIZE_BYTES_MAX = 16 * 2 ** 20;

interface KnownFile {
  readonly modifiedMs: number;
  readonly sizeBytes: number;
  readonly readAtMs: number;
  readonly groups: readonly TargetGroup[];
}

export function fileDiscovery(config: FileConfig, modules: DiscoveryModules): Discovery {
  const { clock, files } = modules;
  const known = new Map<string, KnownFile>();
  let tell: ((groups: readonly TargetGroup[]) => void) | undefined;

  const look = async (): Promise<void> => {
    const faults: string[] = [];
    const names = await findFiles(config.files, modules);
    let isChanged = false;
    for (const name of known.keys()) if (!names.includes(name)) isChanged = known.delete(name);
    for (const name of names) {
      try {
        const stat = await files.stat(name);
        const before = known.get(name);
        const nowMs = clock.monotonicMs();
        const isSame = before !== undefined && before.modifiedMs === stat.modifiedMs && before.sizeBytes === stat.sizeBytes;
        if (isSame && nowMs - before.readAtMs < config.refreshIntervalMs) continue;
        if (stat.sizeBytes > FILE_SIZE_BYTES_MAX) throw new Error(`it has ${stat.sizeBytes} bytes, more than ${FILE_SIZE_BYTES_MAX}`);
        const groups = readGroups(parseFile(name, await files.read(name)), { __meta_filepath: name });
        const isEqual = before !== undefined && JSON.stringify(before.groups) === JSON.stringify(groups);
        known.set(name, { ...stat, readAtMs: nowMs, groups: isEqual ? before.groups : groups });
        isChanged ||= !isEqual;
      } catch (thrown) {
        faults.push(`${name}: ${messageOf(thrown)}`);
      }
    }
    if (isChanged) tell?.([...known.values()].flatMap(({ groups }) => groups));
    if (faults.length > 0) throw new Error(faults.join("; ").slice(0, FAULT_LENGTH_MAX));
  };

  const refresher = new Refresher({ intervalMs: Math.min(LOOK_MS, config.refreshIntervalMs), timeoutMs: TIMEOUT_MS, mechanism: "file", source: config.files.join(", ") }, modules, look);
  return {
    start: (onGroups) => {
      tell = onGroups;
      refresher.start();
    },
    stop: () => refresher.stop(),
  };
}

const FAULT_LENGTH_MAX = 1000;

function parseFile(name: string, text: string): unknown {
  return name.endsWith(".json") ? JSON.parse(text) : parse(text, { maxAliasCount: 100 });
}

/** The files of all patterns, sorted. A name without * is one of them whether it is there or not. A folder that is not there has none. */
async function findFiles(patterns: readonly string[], { files }: DiscoveryModules): Promise<string[]> {
  const found = new Set<string>();
  for (const pattern of patterns) {
    const [folder, name] = [path.dirname(pattern), path.basename(pattern)];
    if (!name.includes("*")) {
      found.add(pattern);
      continue;
    }
    const entries = await files.list(folder).catch((thrown: unknown) => {
      if ((thrown as { readonly code?: unknown }).code === "ENOENT") return [];
      throw thrown;
    });
    for (const entry of entries) if (matchesName(entry, name)) found.add(path.join(folder, entry));
  }
  if (found.size > FILES_MAX) throw new Error(`${found.size} files match, more than ${FILES_MAX}`);
  return [...found].sort();
}

/** `*` stands for any characters, and not for a dot at the beginning. Each part is looked for behind the one before: linear in the name. */
export function matchesName(name: string, pattern: string): boolean {
  const parts = pattern.split("*");
  const [first, last] = [parts[0]!, parts.at(-1)!];
  if (parts.length === 1) return name === pattern;
  if (name.startsWith(".") && first === "") return false;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const next = name.indexOf(part, at);
    if (next === -1) return false;
    at = next + part.length;
  }
  return at <= name.length - last.length;
}
