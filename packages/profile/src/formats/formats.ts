/**
 * The formats that a body may have, other than pprof. To add one: its reader, in a file of its own, and a line in each of the two lists
 * here. The API chooses the format and makes its form (api/src/write/ingest.ts).
 */
import { namingOtherFormat } from "../pprof/other-format.ts";
import type { OtlpForm } from "../otlp/otlp.ts";
import type { FoldedText } from "../text/folded.ts";
import { readFolded } from "./folded.ts";
import { readJfr } from "./jfr.ts";
import type { JfrForm } from "./jfr.ts";
import type { FormatBody, FormatContext, FormatReader } from "./format.ts";
import { readScraped } from "./scraped.ts";
import type { ScrapedPprof } from "./scraped.ts";
import { readSpeedscope } from "./speedscope.ts";
import type { SpeedscopeForm } from "./speedscope.ts";
import { readTree } from "./tree.ts";
import type { TreeForm } from "./tree.ts";
import { readTrie } from "./trie.ts";
import type { TrieForm } from "./trie.ts";
import { readOtlp } from "./otlp.ts";

/** Format -> how a body of it is to be read. */
export interface BodyForms {
  readonly folded: FoldedText;
  readonly scraped: ScrapedPprof;
  readonly jfr: JfrForm;
  readonly speedscope: SpeedscopeForm;
  readonly tree: TreeForm;
  readonly trie: TrieForm;
  readonly otlp: OtlpForm;
}

const READERS: { readonly [Kind in keyof BodyForms]: FormatReader<BodyForms[Kind]> } = {
  folded: readFolded,
  scraped: readScraped,
  jfr: readJfr,
  speedscope: readSpeedscope,
  tree: readTree,
  trie: readTrie,
  otlp: readOtlp,
};

/** Formats whose bodies hold several profiles: the limit on the size of a profile is that of each, and not of the body. */
const HOLD_MANY: ReadonlySet<keyof BodyForms> = new Set(["otlp"] as const);

export function holdsManyProfiles({ kind }: BodyFormat): boolean {
  return HOLD_MANY.has(kind);
}

export type BodyFormat = { readonly [Kind in keyof BodyForms]: { readonly kind: Kind; readonly form: BodyForms[Kind] } }[keyof BodyForms];

/** Throws a refusal. */
export function readFormat({ kind, form }: BodyFormat, body: Uint8Array, context: FormatContext): FormatBody {
  const read = READERS[kind] as FormatReader<unknown>; // the table pairs each kind with the reader of its form
  try {
    return read(body, form, context);
  } catch (thrown) {
    throw namingOtherFormat(thrown, body, kind === "scraped" ? "pprof" : kind);
  }
}
