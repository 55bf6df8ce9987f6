/**
 * Named crash points: where a test kills the real process. Armed by PYROMESH_CRASH_AT, which only tests set; SIGKILL, so
 * nothing is flushed, closed or said. The names are the steps of the flush (background/flusher.ts).
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
