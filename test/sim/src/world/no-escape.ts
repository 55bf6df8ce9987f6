/**
 * Guards the walls of the simulated world: what would reach the real clock, real chance, the real disk or libuv's threads throws, and fails the
 * seed. A product that reaches for one of them there is not deterministic.
 *
 * For a process that runs nothing but seeds: it changes the globals and Node's own modules.
 */
import crypto from "node:crypto";
import fs from "node:fs";
import fsPromises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import zlib from "node:zlib";
import { Violation } from "../check/violation.ts";

let report: (error: Error) => void = () => {};

/** Who hears of the next ones: the seed that runs. */
export function onEscape(listener: (error: Error) => void): void {
  report = listener;
}

export function forbidEscapes(): void {
  forbid(globalThis, ["setTimeout", "setInterval", "setImmediate", "fetch"], "global");
  forbid(Date, ["now"], "Date");
  forbid(Math, ["random"], "Math");
  forbid(performance, ["now"], "performance");
  forbid(AbortSignal, ["timeout"], "AbortSignal");
  forbid(crypto, ["randomBytes", "randomFill", "randomFillSync", "randomUUID", "randomInt", "generateKey", "pbkdf2", "scrypt"], "node:crypto");
  forbid(zlib, ["gzip", "gunzip", "deflate", "inflate", "deflateRaw", "inflateRaw", "brotliCompress", "brotliDecompress", "unzip"], "node:zlib");
  forbid(fs, ["open", "read", "write", "readFile", "writeFile", "stat", "statfs", "readdir", "rename", "unlink", "mkdir", "createReadStream", "createWriteStream"], "node:fs");
  forbid(fsPromises, ["open", "readFile", "writeFile", "stat", "statfs", "readdir", "opendir", "rename", "unlink", "mkdir", "rm", "access"], "node:fs/promises");
  // So that modules which imported a name have the new one.
  syncBuiltinESMExports();
  process.on("unhandledRejection", (reason) => report(new Violation("no-error", `a rejection that nobody handles: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`)));
}

function forbid(holder: object, names: readonly string[], of: string): void {
  for (const name of names) {
    if (!(name in holder)) continue;
    const escape = (): never => {
      const violation = new Violation("no-escape", `${of}.${name} was called`);
      report(violation);
      throw violation;
    };
    Object.defineProperty(holder, name, { value: escape, writable: true, configurable: true });
  }
}
