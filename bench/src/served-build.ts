/** A server of a built checkout, with a temporary data directory that is removed when the server stops. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

export class ServedBuild {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #dataDir: string;

  private constructor(child: ChildProcess, dataDir: string, url: string) {
    this.#process = child;
    this.#dataDir = dataDir;
    this.url = url;
  }

  /** `flags` are those of `pyromesh serve`, `nodeFlags` those of Node.js. `onLog` is given the lines of the log once it listens. */
  static async start(dir: string, { flags = [], nodeFlags = [], onLog }: { readonly flags?: readonly string[]; readonly nodeFlags?: readonly string[]; readonly onLog?: (line: string) => void }): Promise<ServedBuild> {
    const dataDir = mkdtempSync(path.join(tmpdir(), "pyromesh-bench-"));
    const serve = ["serve", "--data-dir", dataDir, "--http-addr", "127.0.0.1:0", "--limits.ingestion-rate-mb", "0", ...flags];
    const env = { ...process.env, UV_THREADPOOL_SIZE: "16" }; // bin/pyromesh.js sets the same
    const child = spawn(process.execPath, [...nodeFlags, path.join(dir, "packages/node/bin/pyromesh.js"), ...serve], { env, stdio: ["ignore", "ignore", "pipe"] });
    for await (const line of createInterface({ input: child.stderr })) {
      const found = /"url":"(http:[^"]+)".*"msg":"listening"/.exec(line);
      if (found === null) continue;
      if (onLog === undefined) child.stderr.resume();
      else createInterface({ input: child.stderr }).on("line", onLog);
      // It listens before it is ready, and refuses pushes until it is.
      while ((await fetch(`${found[1]!}/ready`)).status !== 200) await sleep(20);
      return new ServedBuild(child, dataDir, found[1]!);
    }
    rmSync(dataDir, { recursive: true, force: true });
    throw new Error(`${dir} did not start: is it built?`);
  }

  get pid(): number {
    return this.#process.pid!; // it has been spawned
  }

  /** As `kill -9` does. The data directory goes with `stop`. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await once(this.#process, "exit");
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill();
      await once(this.#process, "exit");
    }
    rmSync(this.#dataDir, { recursive: true, force: true });
  }
}
