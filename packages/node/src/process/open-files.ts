/**
 * How many files and sockets this process may have open (`ulimit -n`), and how they are shared out.
 *
 * At the limit nothing can be opened: no segment, no log of LevelDB's, no connection. Anyone may open as many connections as they like, so
 * connections get what everything else leaves. Past that number a new connection is closed at once.
 *
 *   connections  all but                            at least 32, at most 10,000
 *   the rest     192 and an eighth of the limit     what the process begins with (some 60), sealed files kept open (64), uploads (12),
 *                                                   reads of the bucket (16 a query); LevelDB takes a fifth of the limit at most, and
 *                                                   that only with thousands of tables, which it maps into memory
 *
 * This file imports nothing of ours: it is loaded before all else, since loading the program opens more files than a low limit allows.
 */
import { readFileSync } from "node:fs";

export type OpenFilesPlan =
  | { readonly kind: "enough"; readonly connectionCountMax: number; /** Fewer connections than this node would take otherwise. */ readonly isShort: boolean }
  | { readonly kind: "too-few"; readonly message: string };

/** The least limits: of `serve`, and of a command that asks another node. Loading the program takes some 100 files at once. */
const SERVE_COUNT_MIN = 256;
const COMMAND_COUNT_MIN = 160;

const RESERVED_COUNT = 192;
const RESERVED_PARTS = 8;
export const CONNECTION_COUNT_MAX = 10_000;

/** `limit` is undefined where the system does not tell it; then it is taken to be enough. */
export function planOpenFiles(limit: number | undefined, isServe: boolean): OpenFilesPlan {
  if (limit === undefined) return { kind: "enough", connectionCountMax: CONNECTION_COUNT_MAX, isShort: false };
  const countMin = isServe ? SERVE_COUNT_MIN : COMMAND_COUNT_MIN;
  if (limit < countMin) {
    const message = `this process may have ${limit} files open and needs at least ${countMin}: raise the limit (ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit)`;
    return { kind: "too-few", message };
  }
  const connectionCountMax = Math.min(CONNECTION_COUNT_MAX, limit - RESERVED_COUNT - Math.floor(limit / RESERVED_PARTS));
  return { kind: "enough", connectionCountMax, isShort: connectionCountMax < CONNECTION_COUNT_MAX };
}

/** The limit in force. Node has raised the soft limit to the hard one by the time this is called. Undefined where there is no /proc, or no limit. */
export function openFilesLimit(): number | undefined {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
    return found === null ? undefined : Number(found[1]);
  } catch {
    return undefined;
  }
}
