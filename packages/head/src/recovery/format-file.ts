/**
 * The file `format` beside LevelDB: which formats the data directory may hold, told without opening it.
 *
 *   pyromesh head format 4
 *   record 1                    a line for each other format of which it holds another version than is usual
 *
 * Opening a store takes its lock, salvages its tables and may repair it, and each of these changes files. So a directory of a later format must be recognised
 * before that. Later head formats may add other lines and keep the first. Format 1 has no such file: the entry `m/store` names its format.
 *
 * What must stay true: the file is written before the first byte of a newer version is, and before this node promises other members to read that version
 * (package ring, formats.ts). So an earlier build refuses the directory, and what it would not read is not in a directory that it takes.
 */
import { join } from "node:path";
import { CodedError, encodeUtf8 } from "@pyromesh/base";
import type { AtomicFile } from "@pyromesh/base";
import { FORMAT_VERSION, FORMAT_VERSION_MIN } from "../entries/meta-entry.ts";

export interface FormatPlace {
  /** The folder that the file lies in, for people. */
  readonly place: string;
  readonly formatFile: AtomicFile;
}

/** By the name of the format, as package ring has them. "head": of the head's own entries. */
export type HeldVersions = Readonly<Record<string, number>>;

/** What a directory may hold whose file has no lines for them: what builds wrote before there were such lines. */
export const USUAL_VERSIONS: HeldVersions = { head: FORMAT_VERSION_MIN, record: 2, normalisation: 2, segment: 1, partial: 1 };

/** What the file says; undefined where it is missing or cannot be read as one. Changes nothing. Throws `HEAD_FORMAT_NEWER` where that is more than `reads`. */
export async function checkHeadFormat({ formatFile, place }: FormatPlace, reads: HeldVersions = READ_VERSIONS): Promise<HeldVersions | undefined> {
  const bytes = await formatFile.read();
  const text = bytes === undefined ? "" : Buffer.from(bytes).toString("latin1");
  const first = FIRST_LINE.exec(text);
  if (first === null) return undefined;
  const head = Number(first[1]);
  const path = join(place, "format");
  const held: Record<string, number> = { ...USUAL_VERSIONS };
  for (const [, name, version] of text.slice(first[0].length, TEXT_LENGTH_MAX).matchAll(LINE)) held[name!] = Number(version);
  held["head"] = head;
  for (const [name, version] of Object.entries(held)) {
    const versionMax = reads[name] ?? 0;
    if (version > versionMax) throw formatNewer(name === "head" ? "head format" : `data of format "${name}"`, version, versionMax, path);
  }
  return held;
}

/** What this build reads where its caller does not say. */
export const READ_VERSIONS: HeldVersions = { ...USUAL_VERSIONS, head: FORMAT_VERSION };

/** What the directory may hold, in memory and in its file. */
export class VersionMark {
  readonly #place: FormatPlace;
  #held: HeldVersions;
  #raising: Promise<void> | undefined;

  /** `held`: what the file says. */
  constructor(place: FormatPlace, held: HeldVersions) {
    this.#place = place;
    this.#held = held;
  }

  get held(): HeldVersions {
    return this.#held;
  }

  /** Undefined: the directory may hold these versions. Otherwise it may once the promise resolves. Rejects as a write of the file does; then ask again. */
  raise(wanted: HeldVersions): Promise<void> | undefined {
    if (this.#holds(wanted)) return undefined;
    return (this.#raising ?? Promise.resolve()).then(async () => {
      if (this.#holds(wanted)) return;
      this.#raising ??= this.#write(highest(this.#held, wanted)).finally(() => (this.#raising = undefined));
      await this.#raising;
      await this.raise(wanted);
    });
  }

  async #write(held: HeldVersions): Promise<void> {
    await writeHeadFormat(this.#place, held);
    this.#held = held;
  }

  #holds(wanted: HeldVersions): boolean {
    for (const name in wanted) if (wanted[name]! > (this.#held[name] ?? 0)) return false;
    return true;
  }
}

export function highest(a: HeldVersions, b: HeldVersions): HeldVersions {
  const both: Record<string, number> = { ...a };
  for (const [name, version] of Object.entries(b)) both[name] = Math.max(version, both[name] ?? 0);
  return both;
}

/** Call it while the store's lock is held. */
export async function writeHeadFormat({ formatFile }: FormatPlace, held: HeldVersions): Promise<void> {
  const lines = Object.entries(held).filter(([name, version]) => name !== "head" && version !== USUAL_VERSIONS[name]);
  await formatFile.write(encodeUtf8(`pyromesh head format ${held["head"] ?? FORMAT_VERSION_MIN}\n${lines.map(([name, version]) => `${name} ${version}\n`).join("")}`));
}

const FIRST_LINE = /^pyromesh head format (\d{1,9})\r?\n/;
const LINE = /^([a-z-]{1,40}) (\d{1,9})\r?$/gm;
/** What lies behind is ignored. */
const TEXT_LENGTH_MAX = 4096;

function formatNewer(what: string, version: number, versionMax: number, path: string): CodedError {
  return new CodedError({
    code: "HEAD_FORMAT_NEWER",
    kind: "failed_precondition",
    message: `${path} says that the data directory has ${what} ${what === "head format" ? "" : "of version "}${version}, this version reads up to ${versionMax}: run the newer version on it; nothing was changed`,
    details: { path, version, versionMax },
  });
}
