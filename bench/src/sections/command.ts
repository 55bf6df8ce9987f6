/**
 * `npm run bench -- sections FILE.seg ...`: the size of each section of real segments, raw and with each codec, and the cost of the
 * codecs. docs/decisions/0004-segment-layout.md chose the codecs by this table; run it again on your own segments.
 */
import { readFileSync } from "node:fs";
import { brotliCompressSync, brotliDecompressSync, constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { bytesSource, openSections, readFooter, TAG } from "@pyromesh/block";

interface Codec {
  readonly name: string;
  readonly compress: (raw: Uint8Array) => Uint8Array;
  readonly inflate: (stored: Uint8Array) => Uint8Array;
}

const CODECS: readonly Codec[] = [
  { name: "deflate 1", compress: (raw) => deflateRawSync(raw, { level: 1 }), inflate: inflateRawSync },
  { name: "deflate 6", compress: (raw) => deflateRawSync(raw, { level: 6 }), inflate: inflateRawSync },
  ...[1, 4, 5, 9].map((quality) => ({
    name: `brotli ${quality}`,
    compress: (raw: Uint8Array): Uint8Array =>
      brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length } }),
    inflate: brotliDecompressSync,
  })),
];

const USAGE = "usage: npm run bench -- sections FILE.seg ...\n";

export async function runSectionsCommand(files: readonly string[]): Promise<number> {
  if (files.length === 0 || files.includes("--help")) {
    (files.length === 0 ? process.stderr : process.stdout).write(USAGE);
    return files.length === 0 ? 2 : 0;
  }
  const rawByTag = new Map<number, Uint8Array[]>();
  let recordCount = 0;
  for (const file of files) {
    const bytes = new Uint8Array(readFileSync(file));
    const footer = await readFooter(bytesSource(bytes), file, new AbortController().signal);
    recordCount += footer.meta.recordCount;
    for (const dataset of footer.datasets) {
      const range = bytes.subarray(dataset.offset, dataset.offset + dataset.length);
      for (const [tag, raw] of openSections(range, dataset, dataset.sections.map((section) => section.tag), file)) {
        const all = rawByTag.get(tag);
        if (all === undefined) rawByTag.set(tag, [raw]);
        else all.push(raw);
      }
    }
  }
  process.stdout.write(`${recordCount} records; bytes a record by section and codec\n\n| section | raw | ${CODECS.map(({ name }) => name).join(" | ")} |\n|---|${"---|".repeat(CODECS.length + 1)}\n`);
  const sums = CODECS.map(() => ({ bytes: 0, compressMs: 0, inflateMs: 0 }));
  let rawBytes = 0;
  for (const [tag, raws] of [...rawByTag].sort(([a], [b]) => a - b)) {
    const raw = raws.reduce((sum, { length }) => sum + length, 0);
    rawBytes += raw;
    const cells = CODECS.map((codec, index) => {
      const sum = sums[index]!;
      let stored = 0;
      for (const section of raws) {
        const startMs = performance.now();
        const compressed = codec.compress(section);
        const middleMs = performance.now();
        codec.inflate(compressed);
        sum.compressMs += middleMs - startMs;
        sum.inflateMs += performance.now() - middleMs;
        stored += Math.min(section.length, compressed.length);
      }
      sum.bytes += stored;
      return (stored / recordCount).toFixed(1);
    });
    process.stdout.write(`| ${nameOf(tag)} | ${(raw / recordCount).toFixed(1)} | ${cells.join(" | ")} |\n`);
  }
  process.stdout.write(`| **all** | ${(rawBytes / recordCount).toFixed(1)} | ${sums.map(({ bytes }) => (bytes / recordCount).toFixed(1)).join(" | ")} |\n`);
  process.stdout.write(`| µs a record, in / out | | ${sums.map(({ compressMs, inflateMs }) => `${((compressMs / recordCount) * 1000).toFixed(1)} / ${((inflateMs / recordCount) * 1000).toFixed(1)}`).join(" | ")} |\n`);
  return 0;
}

function nameOf(tag: number): string {
  if (tag >= TAG.columns) return `columns + ${tag - TAG.columns}`;
  return Object.entries(TAG).find(([, value]) => value === tag)?.[0] ?? String(tag);
}
