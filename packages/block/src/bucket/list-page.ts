/**
 * The objects in the answer to an S3 LIST, read from its bytes: the client's own XML reader holds the event loop for 40 ms a page of 1000
 * keys, this for 1 to 2 ms. It knows the one form in which stores answer:
 *
 *   ... <Contents><Key>v1/a</Key><LastModified>2026-03-02T14:00:00.000Z</LastModified>...<Size>12</Size>...</Contents> ...
 *
 * What must stay true: nothing is guessed. An answer in any other form is left to the client's reader as a whole. Each key is a string of
 * its own: a slice of the page's text would keep all of the text in memory for as long as the catalog keeps the key.
 */
import type { BucketObject } from "./bucket.ts";

export interface ListPage {
  readonly objects: readonly BucketObject[];
  /** The answer without them. The client reads it: whether more pages follow, and the token. */
  readonly rest: Uint8Array;
}

/** Undefined where the answer has another form than the one drawn above. */
export function parseListPage(bytes: Uint8Array): ListPage | undefined {
  const xml = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (xml.indexOf("<!") >= 0) return undefined; // in comments, CDATA and doctypes a tag's name may be text
  const first = xml.indexOf(OPEN);
  if (first < 0) return xml.indexOf("Contents") < 0 ? { objects: [], rest: xml } : undefined;
  const objects: BucketObject[] = [];
  let at = first;
  while (xml.subarray(at, at + OPEN.length).equals(OPEN)) {
    const end = xml.indexOf(CLOSE, at);
    if (end < 0) return undefined;
    const object = parseContents(xml, at + OPEN.length, end);
    if (object === undefined) return undefined;
    objects.push(object);
    at = skipSpace(xml, end + CLOSE.length);
  }
  const rest = Buffer.concat([xml.subarray(0, first), xml.subarray(at)]);
  return rest.indexOf("Contents") < 0 ? { objects, rest } : undefined;
}

const OPEN = Buffer.from("<Contents>");
const CLOSE = Buffer.from("</Contents>");

function parseContents(xml: Buffer, start: number, end: number): BucketObject | undefined {
  const key = textOf(xml, KEY, start, end);
  const size = textOf(xml, SIZE, start, end);
  const modified = textOf(xml, MODIFIED, start, end);
  if (key === undefined || size === undefined || modified === undefined || !/^\d{1,15}$/.test(size)) return undefined;
  const lastModifiedMs = Date.parse(modified);
  return Number.isNaN(lastModifiedMs) ? undefined : { key, sizeBytes: Number(size), lastModifiedMs };
}

interface Tag {
  readonly open: Buffer;
  readonly close: Buffer;
}

const tag = (name: string): Tag => ({ open: Buffer.from(`<${name}>`), close: Buffer.from(`</${name}>`) });
const KEY = tag("Key");
const SIZE = tag("Size");
const MODIFIED = tag("LastModified");

/** The text between a tag's two ends. Undefined where the tag is missing or repeated, or holds anything but plain text. */
function textOf(xml: Buffer, { open, close }: Tag, start: number, end: number): string | undefined {
  const at = xml.indexOf(open, start);
  if (at < 0 || at >= end) return undefined;
  const stop = xml.indexOf(close, at);
  if (stop < 0 || stop >= end) return undefined;
  const text = xml.toString("utf8", at + open.length, stop);
  if (text.includes("<")) return undefined;
  return text.includes("&") ? unescape(text) : text;
}

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** Undefined where an entity is none of XML's own. */
function unescape(text: string): string | undefined {
  let isKnown = true;
  const plain = text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w+));?/g, (whole, decimal: string | undefined, hex: string | undefined, name: string | undefined) => {
    const code = decimal !== undefined ? Number(decimal) : Number.parseInt(hex ?? "", 16);
    const found = name === undefined ? (code <= 0x10ffff ? String.fromCodePoint(code) : undefined) : NAMED[name];
    if (found === undefined || !whole.endsWith(";")) isKnown = false;
    return found ?? whole;
  });
  return isKnown && !/&(?![#\w])/.test(text) ? plain : undefined;
}

function skipSpace(xml: Buffer, start: number): number {
  let at = start;
  while (at < xml.length && xml[at]! <= 0x20) at++;
  return at;
}
