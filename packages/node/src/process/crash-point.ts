/**
 * Named crash points, at which a test kills the real process. Only tests set PYROMESH_CRASH_AT, which arms one. The signal is SIGKILL, so
 * nothing is flushed, closed or logged. The names are the steps of the flush (background/flusher.ts).
 */

export type CrashPoint =
  | "flush-before-cut"
  | "flush-after-cut"
  | "flush-after-build"
  | "flush-after-local-file"
  | "flush-after-seal"
  | "flush-after-rename-file"
  | "flush-after-rename"
  | "flush-after-upload"
  | "flush-after-verify"
  | "flush-after-unseal"
  | "flush-after-local-delete";

export function crashPoint(name: CrashPoint): void {
  if (process.env["PYROMESH_CRASH_AT"] === name) process.kill(process.pid, "SIGKILL");
}
