/**
 * Keeps the simulated world deterministic: a call of the real clock, real random numbers, the real disk or libuv's threads throws and fails the
 * seed.
 *
 * It replaces functions of the globals and of Node's own modules, so it is for a process that runs nothing but seeds.
 */
import crypto from "node:crypto";
import fs from "node:fs";
import fsPromises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import zlib from "node:zlib";
import { Violation } from "../check/violation.ts";

let report: (error: Error) => void = () => {};

/** Reports later escapes to the listener, which is the seed that runs; it replaces the one before. */
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
  // Modules that imported a function by name get the new one too.
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
