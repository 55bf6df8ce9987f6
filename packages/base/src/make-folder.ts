/** Makes folders one by one. Node.js' own recursive mkdir never ends on a file system that answers ENOENT to every mkdir, such as /proc. */
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder and its missing parents. Resolves with the folders that were made, outermost first. Rejects with the system's error:
 * ENOTDIR where a file is in the way, ENOENT where the file system takes no folders.
 */
export async function makeFolders(path: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let at = resolve(path); !(await isFolder(at)); at = dirname(at)) missing.unshift(at);
  const made: string[] = [];
  for (const folder of missing) if (await make(folder)) made.push(folder);
  return made;
}

/** False where another process made it in the meantime. */
async function make(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST" && (await isFolder(folder))) return false;
    throw error;
  }
}

/** False where nothing exists. Rejects ENOTDIR where `path`, or a parent of it, is a file. */
async function isFolder(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${path}'`), { code: "ENOTDIR", path });
}
