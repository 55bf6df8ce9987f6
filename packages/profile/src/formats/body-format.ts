/**
 * The formats that a body may have, other than pprof. To add one: its reader, in a file of its own, a line here, and one in formats.ts. The API
 * chooses the format and makes its form (api/src/write/ingest.ts). This file loads no reader.
 */
import type { OtlpForm } from "../otlp/otlp.ts";
import type { FoldedText } from "../text/folded.ts";
import type { JfrForm } from "./jfr.ts";
import type { ScrapedPprof } from "./scraped.ts";
import type { SpeedscopeForm } from "./speedscope.ts";
import type { TreeForm } from "./tree.ts";
import type { TrieForm } from "./trie.ts";

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

export type BodyFormat = { readonly [Kind in keyof BodyForms]: { readonly kind: Kind; readonly form: BodyForms[Kind] } }[keyof BodyForms];

/** Formats whose bodies hold several profiles: the limit on the size of a profile is that of each, and not of the body. */
const HOLD_MANY: ReadonlySet<keyof BodyForms> = new Set(["otlp"] as const);

export function holdsManyProfiles({ kind }: BodyFormat): boolean {
  return HOLD_MANY.has(kind);
}
