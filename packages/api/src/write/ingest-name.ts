/**
 * Parses the `name` of /ingest: `app.name{key=value,key=value}`. There are no quotes, braces are optional, and blanks around each word
 * are ignored.
 *
 *   app    A-Z a-z 0-9 _ . - /
 *   key    A-Z a-z 0-9 _ .            not __name__
 *   value  anything but , and }
 *
 * A name without its closing brace, or a key without a value, is refused. Taking the part that parses would store the profile under a
 * series that the client did not mean.
 */
import { invalidArgument } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { LABEL_NAME } from "@pyromesh/profile";
import type { Label } from "@pyromesh/profile";

export interface IngestName {
  readonly app: string;
  /** In the order given. Of a repeated key the last value counts. */
  readonly labels: readonly Label[];
}

/** Throws INGEST_NAME_INVALID. */
export function parseIngestName(text: string): IngestName {
  const open = text.indexOf("{");
  const app = (open < 0 ? text : text.slice(0, open)).trim();
  if (app === "") throw invalid(text, "it has no application name: send ?name=app or ?name=app{key=value}");
  checkCharacters(text, "application name", app, /[^A-Za-z0-9_.\-/]/u, "A-Z a-z 0-9 _ . - /");
  if (open < 0) return { app, labels: [] };

  const close = text.indexOf("}", open);
  const inside = text.slice(open + 1, close < 0 ? text.length : close);
  // Some clients send `app{` when they have no labels.
  if (close < 0 && inside.trim() !== "") throw invalid(text, "it has no closing }");
  if (close >= 0 && text.slice(close + 1).trim() !== "") throw invalid(text, "something follows its closing }");

  const values = new Map<string, string>();
  for (const pair of inside.split(",")) {
    if (pair.trim() === "") continue;
    const equals = pair.indexOf("=");
    if (equals < 0) throw invalid(text, `label ${quote(pair.trim())} has no value: write it as key=value`);
    const key = pair.slice(0, equals).trim();
    if (key === "") throw invalid(text, "a label has no key: write it as key=value");
    checkCharacters(text, "label key", key, /[^A-Za-z0-9_.]/u, "A-Z a-z 0-9 _ .");
    if (key === LABEL_NAME) throw invalid(text, `the label key ${LABEL_NAME} is reserved`);
    values.set(key, pair.slice(equals + 1).trim());
  }
  return { app, labels: [...values].map(([name, value]) => ({ name, value })) };
}

function checkCharacters(text: string, what: string, word: string, forbidden: RegExp, allowed: string): void {
  const found = forbidden.exec(word);
  if (found !== null) throw invalid(text, `the ${what} ${quote(word)} holds ${quote(found[0])}: only ${allowed} are allowed`);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}

function invalid(text: string, why: string): CodedError {
  return invalidArgument("INGEST_NAME_INVALID", `name: ${quote(text)} is not accepted: ${why}`);
}
