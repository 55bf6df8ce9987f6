/** Reads a body by its format (body-format.ts). Each reader is in a file of its own. */
import { namingOtherFormat } from "../pprof/other-format.ts";
import type { BodyForms, BodyFormat } from "./body-format.ts";
import { readFolded } from "./folded.ts";
import { readJfr } from "./jfr.ts";
import type { FormatBody, FormatContext, FormatReader } from "./format.ts";
import { readScraped } from "./scraped.ts";
import { readSpeedscope } from "./speedscope.ts";
import { readTree } from "./tree.ts";
import { readTrie } from "./trie.ts";
import { readOtlp } from "./otlp.ts";

const READERS: { readonly [Kind in keyof BodyForms]: FormatReader<BodyForms[Kind]> } = {
  folded: readFolded,
  scraped: readScraped,
  jfr: readJfr,
  speedscope: readSpeedscope,
  tree: readTree,
  trie: readTrie,
  otlp: readOtlp,
};

/** Throws a refusal. */
export function readFormat({ kind, form }: BodyFormat, body: Uint8Array, context: FormatContext): FormatBody {
  const read = READERS[kind] as FormatReader<unknown>; // the table pairs each kind with the reader of its form
  try {
    return read(body, form, context);
  } catch (thrown) {
    throw namingOtherFormat(thrown, body, kind === "scraped" ? "pprof" : kind);
  }
}
