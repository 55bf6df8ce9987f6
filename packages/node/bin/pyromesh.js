#!/usr/bin/env -S UV_THREADPOOL_SIZE=16 node
import { openFilesLimit, planOpenFiles } from "../dist/process/open-files.js";

const plan = planOpenFiles(openFilesLimit(), process.argv[2] === "serve");
if (plan.kind === "too-few") {
  process.stderr.write(`pyromesh: ${plan.message} (OPEN_FILES_TOO_FEW)\n`);
  process.exitCode = 1;
} else {
  await import("../dist/main.js");
}
