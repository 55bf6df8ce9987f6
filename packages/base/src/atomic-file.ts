/** One small file that is replaced as a whole: written beside, synced, renamed, the directory synced. */
import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

export interface AtomicFile {
  /** Undefined where there is none. */
  read(): Promise<Uint8Array | undefined>;
  /** Resolves when the new content survives power loss; the old one stays until then. */
  write(bytes: Uint8Array): Promise<void>;
}

export function atomicFile(path: string): AtomicFile {
  return {
    async read() {
      try {
        return await readFile(path);
      } catch (cause) {
        // Errors of the file system carry a code. ENOTDIR: a file stands where its folder would be.
        if (["ENOENT", "ENOTDIR"].includes(String((cause as NodeJS.ErrnoException).code))) return undefined;
        throw cause;
      }
    },
    async write(bytes) {
      const beside = `${path}.new`;
      const file = await open(beside, "w");
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(beside, path);
      await syncDirectory(dirname(path));
    },
  };
}

/** Makes names made or changed in a directory survive power loss. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
