/** The CPU (user and system, all threads) and the memory (anonymous separately) of processes, from /proc. Linux only. */
import { readFileSync } from "node:fs";

export interface ProcessCost {
  readonly cpuMs: number;
  readonly anonymousBytes: number;
  readonly residentBytes: number;
}

/** /proc counts CPU in ticks of 10 ms: USER_HZ is 100 on every Linux that Node.js runs on. */
const TICK_MS = 10;

/** The sum over all processes. Undefined where one of them has ended. */
export function readProcessCost(pids: readonly number[]): ProcessCost | undefined {
  let cpuMs = 0;
  let anonymousBytes = 0;
  let residentBytes = 0;
  try {
    for (const pid of pids) {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      // The name of the command, in parentheses, may contain blanks: the fields begin after it.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      cpuMs += (Number(fields[11]) + Number(fields[12])) * TICK_MS;
      const status = readFileSync(`/proc/${pid}/status`, "latin1");
      anonymousBytes += kilobytesOf(status, "RssAnon") * 1024;
      residentBytes += kilobytesOf(status, "VmRSS") * 1024;
    }
  } catch {
    return undefined;
  }
  return { cpuMs, anonymousBytes, residentBytes };
}

function kilobytesOf(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
}

/** Reads the memory every 100 ms and keeps the highest value. */
export class PeakMemory {
  readonly #pids: readonly number[];
  readonly #timer: NodeJS.Timeout;
  anonymousBytes = 0;
  residentBytes = 0;

  constructor(pids: readonly number[]) {
    this.#pids = pids;
    this.#timer = setInterval(() => this.look(), 100);
    this.#timer.unref();
    this.look();
  }

  look(): void {
    const cost = this.#pids.length === 0 ? undefined : readProcessCost(this.#pids);
    if (cost === undefined) return;
    this.anonymousBytes = Math.max(this.anonymousBytes, cost.anonymousBytes);
    this.residentBytes = Math.max(this.residentBytes, cost.residentBytes);
  }

  stop(): void {
    this.look();
    clearInterval(this.#timer);
  }
}
