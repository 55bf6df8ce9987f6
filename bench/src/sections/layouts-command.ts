/**
 * `npm run bench -- layouts [--pushes N]`: the size and cost of each layout of rows, with each codec that is fast enough for a flush. The
 * tables of docs/decisions/0004-segment-layout.md.
 */
import { parseArgs } from "node:util";
import { brotliCompressSync, constants, deflateRawSync } from "node:zlib";
import { defaultCorpusFolder, hasCorpus } from "../load/options.ts";
import { LAYOUTS } from "./layouts.ts";
import { rawBytes, readRows } from "./rows.ts";
import type { Rows } from "./rows.ts";

const brotli = (quality: number) => (raw: Uint8Array): Uint8Array =>
  brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length } });

const CODECS: readonly { readonly name: string; readonly compress: (raw: Uint8Array) => Uint8Array }[] = [
  { name: "none", compress: (raw) => raw },
  { name: "deflate 1", compress: (raw) => deflateRawSync(raw, { level: 1 }) },
  { name: "brotli 0", compress: brotli(0) },
  { name: "brotli 1", compress: brotli(1) },
];

/** The best of this many rounds counts: other load disturbed the rest. */
const ROUNDS = 3;

export async function runLayoutsCommand(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { pushes: { type: "string", default: "5000" }, corpus: { type: "string" }, help: { type: "boolean" } } });
  if (values.help === true) {
    process.stdout.write("usage: npm run bench -- layouts [--pushes 5000] [--corpus DIR]\n");
    return 0;
  }
  const corpus = values.corpus ?? defaultCorpusFolder();
  if (!hasCorpus(corpus)) {
    process.stderr.write(`no profiles in ${corpus}: set PYROMESH_CORPUS or give --corpus\n`);
    return 2;
  }
  for (const mix of ["scaled", "repeats"] as const) {
    const rows = readRows(Number(values.pushes), mix, corpus);
    process.stdout.write(`\n${mix}: ${rows.pushCount} pushes, ${rows.rows.length} rows; ${(rawBytes(rows.dataset) / rows.pushCount).toFixed(0)} raw bytes a push today\n`);
    let group = "";
    for (const layout of LAYOUTS) {
      if (layout.group !== group) {
        group = layout.group;
        process.stdout.write(`\n| ${group} | ${CODECS.map(({ name }) => `${name}, bytes a push`).join(" | ")} | encode, µs a row | ${CODECS.slice(1).map(({ name }) => name).join(" | ")} |\n|---|${"---|".repeat(CODECS.length * 2)}\n`);
      }
      const { bytes, codecUs, encodeUs } = measure(layout.encode, rows);
      process.stdout.write(`| ${layout.name} | ${bytes.map((each) => each.toFixed(1)).join(" | ")} | ${encodeUs.toFixed(1)} | ${codecUs.slice(1).map((each) => each.toFixed(1)).join(" | ")} |\n`);
    }
  }
  return 0;
}

interface Measured {
  /** Per push, by codec. */
  readonly bytes: readonly number[];
  /** Per row. */
  readonly encodeUs: number;
  readonly codecUs: readonly number[];
}

function measure(encode: (rows: Rows) => readonly Uint8Array[], rows: Rows): Measured {
  let sections: readonly Uint8Array[] = [];
  const encodeUs = bestUs(() => (sections = encode(rows)), rows.rows.length);
  const bytes: number[] = [];
  const codecUs = CODECS.map(({ compress }) => {
    let stored = 0;
    const us = bestUs(() => (stored = sections.reduce((sum, raw) => sum + Math.min(raw.length, compress(raw).length), 0)), rows.rows.length);
    bytes.push(stored / rows.pushCount);
    return us;
  });
  return { bytes, encodeUs, codecUs };
}

function bestUs(work: () => void, rowCount: number): number {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / rowCount);
  }
  return best;
}
