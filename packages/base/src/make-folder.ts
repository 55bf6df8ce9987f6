/** Folders made one by one: with `recursive`, Node's own mkdir never ends where a file system takes no folder and says ENOENT, as /proc does. */
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder and those above it that are missing; resolves with the ones that were made, the uppermost first. Rejects with the
 * system's own error: ENOTDIR where a file stands in the way, ENOENT where the file system takes no folders.
 */
export async function makeFolders(path: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let at = resolve(path); !(await isFolder(at)); at = dirname(at)) missing.unshift(at);
  const made: string[] = [];
  for (const folder of missing) if (await make(folder)) made.push(folder);
  return made;
}

/** False where another process has made it meanwhile. */
async function make(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST" && (await isFolder(folder))) return false;
    throw error;
  }
}

/** False where nothing is there. Rejects ENOTDIR where it is a file, or a file is above it. */
async function isFolder(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${path}'`), { code: "ENOTDIR", path });
}
