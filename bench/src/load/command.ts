/** The load bench as a command: push, verify or both, then the report. Exits 1 where a push failed or a sum was wrong. */
import { writeFileSync } from "node:fs";
import { PushGenerator } from "./generator.ts";
import { HttpClient } from "./http-client.ts";
import { Ledger, readLedgerFile, writeLedgerFile } from "./ledger.ts";
import type { LedgerFile } from "./ledger.ts";
import { hasCorpus, readLoadOptions, USAGE } from "./options.ts";
import type { LoadOptions } from "./options.ts";
import { readPrograms } from "./program.ts";
import { runPushes } from "./push-run.ts";
import type { PushRunResult } from "./push-run.ts";
import { printReport, reportOf } from "./report.ts";
import type { LoadReport } from "./report.ts";
import { verify } from "./verify.ts";
import type { VerifyResult } from "./verify.ts";

export async function runLoadCommand(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  let options: LoadOptions;
  try {
    options = readLoadOptions(args, Date.now());
    if (!hasCorpus(options.corpusFolder)) throw new Error(`no profiles in ${options.corpusFolder}: set PYROMESH_CORPUS or --corpus`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const report = await runLoad(options, progressLine());
  const json = `${JSON.stringify(report, undefined, 2)}\n`;
  if (options.jsonFile === "-") process.stdout.write(json);
  else {
    if (options.jsonFile !== undefined) writeFileSync(options.jsonFile, json);
    process.stdout.write(printReport(report));
  }
  const isPushed = report.push === undefined || report.push.ackedCount === report.push.pushCount;
  return isPushed && (report.verify?.mismatchCount ?? 0) === 0 ? 0 : 1;
}

export async function runLoad(options: LoadOptions, progress: (line: string) => void): Promise<LoadReport> {
  const programs = readPrograms(options.corpusFolder);
  const kept = options.phase === "verify" && options.ledgerFile !== undefined ? readLedgerFile(options.ledgerFile) : undefined;
  const workload = kept?.workload ?? options.workload;
  const generator = new PushGenerator(workload, programs);
  const client = new HttpClient({ url: options.url, headers: options.headers, socketCountMax: options.inFlightCount });

  let pushed: PushRunResult | undefined;
  let outcome: LedgerFile = kept ?? { version: 1, workload, refused: [], unsure: [] };
  if (options.phase !== "verify") {
    pushed = await runPushes(options, { generator, client, progress });
    outcome = { version: 1, workload, refused: pushed.refused, unsure: pushed.unsure };
    if (options.ledgerFile !== undefined) writeLedgerFile(options.ledgerFile, outcome);
  }
  let verified: VerifyResult | undefined;
  if (options.phase !== "push") {
    progress("working out what the server should hold");
    const ledger = Ledger.of(generator, outcome);
    verified = await verify({ workload, profileSeriesCount: options.profileSeriesCount }, { ledger, client, progress });
  }
  client.close();
  progress("");
  return reportOf({ ...options, workload }, new Date().toISOString(), pushed, verified);
}

/** Prints progress on standard error: on one line that is overwritten, or on a pipe as a line now and then. */
function progressLine(): (line: string) => void {
  let lastMs = 0;
  return (line) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
    else if (line !== "" && performance.now() - lastMs >= 5_000) {
      lastMs = performance.now();
      process.stderr.write(`${line}\n`);
    }
  };
}
