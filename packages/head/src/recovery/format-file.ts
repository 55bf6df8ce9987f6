/**
 * The file `format` beside LevelDB: which format the data directory is in, told without opening it.
 *
 *   pyromesh head format 4
 *
 * Opening a store takes its lock, salvages its tables and may repair it, and each of these changes files. So a directory of a later
 * format must be recognised before that. Later formats may add lines and keep the first. Format 1 has no such file: the entry `m/store`
 * names its format.
 */
import { join } from "node:path";
import { CodedError, encodeUtf8 } from "@pyromesh/base";
import type { AtomicFile } from "@pyromesh/base";
import { FORMAT_VERSION } from "../entries/meta-entry.ts";

export interface FormatPlace {
  /** The folder that the file lies in, for people. */
  readonly place: string;
  readonly formatFile: AtomicFile;
}

/** The format that the file names; undefined where the file is missing or cannot be read as one. Changes nothing. Throws `HEAD_FORMAT_NEWER`. */
export async function checkHeadFormat({ formatFile, place }: FormatPlace): Promise<number | undefined> {
  const bytes = await formatFile.read();
  const found = bytes === undefined ? null : FIRST_LINE.exec(Buffer.from(bytes).toString("latin1"));
  if (found === null) return undefined;
  const version = Number(found[1]);
  if (version > FORMAT_VERSION) throw formatNewer(version, join(place, "format"));
  return version;
}

/** Call it while the store's lock is held. */
export async function writeHeadFormat({ formatFile }: FormatPlace): Promise<void> {
  await formatFile.write(encodeUtf8(`pyromesh head format ${FORMAT_VERSION}\n`));
}

const FIRST_LINE = /^pyromesh head format (\d{1,9})\r?\n/;

function formatNewer(version: number, path: string): CodedError {
  return new CodedError({
    code: "HEAD_FORMAT_NEWER",
    kind: "failed_precondition",
    message: `${path} says that the data directory has head format ${version}, this version reads up to ${FORMAT_VERSION}: run the newer version on it; nothing was changed`,
    details: { path, version, versionMax: FORMAT_VERSION },
  });
}
