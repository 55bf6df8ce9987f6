/**
 * Checks the data directory before anything in it is opened, so that what its disk or its permissions do not allow is said in one sentence that
 * names the path. Errors that occur later, while it is opened, are put into the same words (`dataDirError`).
 */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import { CodedError, describeSystemError, makeFolders, systemErrorOf } from "@pyromesh/base";

/** The folders in it that an earlier start may have made. `bucket` is not among them: opening the bucket checks it. */
const FOLDERS = ["head", "head/db", "sealed"];

/** Makes the folder where it is missing. Throws `DATA_DIR_UNUSABLE`. */
export async function prepareDataDir(dataDir: string): Promise<void> {
  try {
    await makeFolders(dataDir);
  } catch (cause) {
    throw unusable(dataDir, "the data directory", "cannot be made", cause);
  }
  await checkFolder(dataDir, "the data directory");
  for (const folder of FOLDERS) await checkFolder(join(dataDir, folder), "the folder");
}

/** A missing folder is no error: it is made later. */
async function checkFolder(path: string, name: string): Promise<void> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) throw Object.assign(new Error("a file"), { code: "ENOTDIR", path });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw unusable(path, name, "cannot be written to", cause); // errors of the file system carry a code
  }
}

/** An error of the operating system in words; any other error as it is. */
export function dataDirError(dataDir: string, thrown: unknown): unknown {
  const error = systemErrorOf(thrown);
  if (thrown instanceof CodedError || error === undefined) return thrown;
  return error.path === undefined ? unusable(dataDir, "the data directory", "cannot be used", thrown) : unusable(error.path, "in the data directory,", "cannot be used", thrown);
}

function unusable(path: string, name: string, what: string, cause: unknown): CodedError {
  const code = systemErrorOf(cause)?.code ?? "";
  // File systems such as /proc answer ENOENT where a folder is to be made.
  const words = code === "ENOENT" ? "its file system takes no folders, or something was deleted meanwhile (ENOENT)" : describeSystemError(cause);
  return new CodedError({
    code: "DATA_DIR_UNUSABLE",
    kind: "failed_precondition",
    message: `${name} ${path} ${what}: ${words ?? String(cause)}${ADVICE[code] ?? `; ${NAME_ANOTHER}`}`,
    details: { path },
    cause,
  });
}

const NAME_ANOTHER = "name another with --data-dir";
const ADVICE: Readonly<Record<string, string>> = {
  EACCES: `; give the user of this process the right to read and write it, or ${NAME_ANOTHER}`,
  EPERM: `; give the user of this process the right to read and write it, or ${NAME_ANOTHER}`,
  EROFS: `; mount it for writing, or ${NAME_ANOTHER}`,
  ENOSPC: "; free some of it and start again",
  EDQUOT: "; free some of it and start again",
  ENOTDIR: `; move the file away, or ${NAME_ANOTHER}`,
  EEXIST: `; move it away, or ${NAME_ANOTHER}`,
  EISDIR: "; move that folder away: what is there is not this program's",
  EMFILE: "",
  ENFILE: "",
};
