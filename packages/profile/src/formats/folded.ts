/** Folded stacks (text/folded.ts): one profile, with the labels of the request. */
import { pprofOfText } from "../text/folded.ts";
import type { FoldedText } from "../text/folded.ts";
import type { FormatBody, FormatContext } from "./format.ts";

export function readFolded(body: Uint8Array, form: FoldedText, { labels }: FormatContext): FormatBody {
  return { profiles: [{ pprof: pprofOfText(body, form), labels }] };
}
