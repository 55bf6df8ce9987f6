/**
 * A real disk that is small enough to fill: a tmpfs in a mount namespace of its own, held by a process that ends with this
 * one. Seen from outside through that process's root, so nothing here needs to enter the namespace or be root.
 */
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk {
  readonly dir: string;
  /** Until nothing more goes in, but for `leaveBytes`. */
  fill(leaveBytes?: number): void;
  free(): void;
  unmount(): Promise<void>;
}

/** Resolves with the reason, as text, where this machine does not allow mounting one. */
export async function mountSmallDisk(sizeBytes: number): Promise<SmallDisk | string> {
  const reasons: string[] = [];
  // First as root of a user namespace, which any user may be; where that is forbidden, as the real root.
  for (const flags of ["-rm", "-m"]) {
    const disk = await tryMount(sizeBytes, flags);
    if (typeof disk !== "string") return disk;
    reasons.push(disk);
  }
  return `no small disk can be mounted here (${reasons.join("; ")})`;
}

async function tryMount(sizeBytes: number, flags: string): Promise<SmallDisk | string> {
  const point = mkdtempSync(join(tmpdir(), "pyromesh-disk-"));
  const holder = spawn("unshare", [flags, "sh", "-c", `mount -t tmpfs -o size=${sizeBytes} none "$0" && echo mounted && exec cat`, point], { stdio: ["pipe", "pipe", "pipe"] });
  const gone = new Promise<void>((resolve) => void holder.once("close", () => resolve()).once("error", () => resolve()));
  let said = "";
  holder.stderr.on("data", (chunk: Buffer) => (said += String(chunk)));
  const isMounted = await Promise.race([new Promise<boolean>((resolve) => holder.stdout.once("data", () => resolve(true))), gone.then(() => false)]);
  if (!isMounted) {
    rmSync(point, { recursive: true, force: true });
    return `unshare ${flags}: ${said.trim().split("\n")[0] || "not there"}`;
  }
  holder.unref();
  const dir = `/proc/${holder.pid}/root${point}`;
  const filler = join(dir, "filler");
  return {
    dir,
    fill: (leaveBytes = 0) => fillUp(filler, leaveBytes),
    free: () => rmSync(filler, { force: true }),
    unmount: async () => {
      holder.ref();
      holder.stdin.end();
      await gone;
      rmSync(point, { recursive: true, force: true });
    },
  };
}

function fillUp(path: string, leaveBytes: number): void {
  const file = openSync(path, "w"); // which empties one that is there
  const room = openSync(`${path}.room`, "w");
  try {
    if (leaveBytes > 0) writeSync(room, Buffer.alloc(leaveBytes));
    for (;;) writeSync(file, Buffer.alloc(4096)); // a page of a tmpfs
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(file);
    closeSync(room);
    rmSync(`${path}.room`);
  }
}
