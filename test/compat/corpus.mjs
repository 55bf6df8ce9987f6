/**
 * The corpus of real profiles and recorded exchanges, which is not part of this repository: PYROMESH_CORPUS, by default
 * `../shared/corpus` next to it. Without it tests are skipped and counted as skipped.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
const folder = process.env["PYROMESH_CORPUS"] ?? path.join(root, "../shared/corpus");

export function hasCorpus(...parts) {
  return existsSync(path.join(folder, ...parts));
}

export function corpusFile(...parts) {
  return readFileSync(path.join(folder, ...parts));
}

export function corpusNames(...parts) {
  return hasCorpus(...parts) ? readdirSync(path.join(folder, ...parts)).sort() : [];
}

/** The recorded requests with their answers. `number` is the order in which they were made. */
export function recordedExchanges() {
  return corpusNames("recorded")
    .filter((name) => /^\d+-.*\.json$/.test(name))
    .map((name) => ({ number: Number.parseInt(name, 10), ...JSON.parse(corpusFile("recorded", name).toString()) }));
}
