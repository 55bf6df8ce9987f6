/** Describes errors of the operating system for the person who runs the program: they consist of a code such as `EROFS` and a system call. */

/** Undefined where it is no error of the operating system. */
export function describeSystemError(thrown: unknown): string | undefined {
  const error = systemErrorOf(thrown);
  if (error === undefined) return undefined;
  const words = WORDS[error.code];
  return words === undefined ? error.message : `${words} (${error.code})`;
}

interface SystemError {
  /** A name of errno.h. */
  readonly code: string;
  readonly message: string;
  /** The file or folder. Undefined where the system does not name it. */
  readonly path: string | undefined;
}

/** The error itself, or the first of its causes that is one: libraries wrap them. */
export function systemErrorOf(thrown: unknown): SystemError | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < CAUSES_MAX; error = error.cause, depth++) {
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) return { code, message: error.message, path };
    const told = TOLD.find(({ text }) => text.test(error.message));
    // LevelDB reports the file's name and the system's text, without the code.
    if (told !== undefined && code?.startsWith("LEVEL_") === true) return { code: told.code, message: error.message, path: undefined };
  }
  return undefined;
}

const CAUSES_MAX = 8;

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "the user of this process has no right to it",
  EBUSY: "it is in use",
  EDQUOT: "the disk quota of this process's user is used up",
  EEXIST: "something else of that name is there",
  EIO: "its disk reports an input/output error",
  EISDIR: "a folder is there where a file is needed",
  ELOOP: "its links lead in a circle",
  EMFILE: "this process has as many files and sockets open as it may: raise its limit (ulimit -n)",
  ENAMETOOLONG: "the name is too long for its file system",
  ENFILE: "the whole machine has as many files open as it may: raise fs.file-max",
  ENODEV: "its disk is not there",
  ENOENT: "it is not there",
  ENOMEM: "the machine has no memory left",
  ENOSPC: "its disk is full",
  ENOTDIR: "a file is there where a folder is needed",
  EPERM: "the user of this process has no right to it",
  EROFS: "its file system is read-only",
  ESTALE: "its network file system has lost it",
};

/** The texts of strerror in the C library's default language. */
const TOLD: readonly { readonly text: RegExp; readonly code: string }[] = [
  { text: /permission denied/i, code: "EACCES" },
  { text: /read-only file system/i, code: "EROFS" },
  { text: /no space left on device/i, code: "ENOSPC" },
  { text: /disk quota exceeded/i, code: "EDQUOT" },
  { text: /too many open files in system/i, code: "ENFILE" },
  { text: /too many open files/i, code: "EMFILE" },
  { text: /not a directory/i, code: "ENOTDIR" },
  { text: /is a directory/i, code: "EISDIR" },
  { text: /input\/output error/i, code: "EIO" },
  { text: /cannot allocate memory/i, code: "ENOMEM" },
];
