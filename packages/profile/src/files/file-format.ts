/**
 * Tells by a file's content what it is, since people upload files and name them as they like:
 *
 *   "FLR\0" at the start                      a JFR recording
 *   {"...                                     JSON: a flame graph of Pyroscope where it has the key `flamebearer`, else a file of speedscope
 *   bytes that no text has                    pprof
 *   text                                      folded stacktraces, unless its name says that it should be one of the others
 *
 * Where a name and a text contradict each other the name decides only which error is given: "is no JSON" helps who sends `a.json` more than
 * "line 1 has no count".
 */
import { isUtf8 } from "node:buffer";

export type FileFormat = "pprof" | "jfr" | "json" | "folded";

/** `bytes`: not compressed. */
export function fileFormatOf(bytes: Uint8Array, name: string): FileFormat {
  if (JFR_MAGIC.every((byte, at) => bytes[at] === byte)) return "jfr";
  if (beginsAsJsonObject(bytes)) return "json";
  if (!isText(bytes)) return "pprof";
  return FORMAT_BY_ENDING.get(endingOf(name)) ?? "folded";
}

const JFR_MAGIC: readonly number[] = [0x46, 0x4c, 0x52, 0x00];

/** Of names of files. What is not here is text. */
const FORMAT_BY_ENDING: ReadonlyMap<string, FileFormat> = new Map([
  ["jfr", "jfr"],
  ["json", "json"],
  ["pb", "pprof"],
  ["pprof", "pprof"],
  ["prof", "pprof"],
]);

/** What stands behind the last dot, or before `.gz`. */
function endingOf(name: string): string {
  const parts = name.toLowerCase().split(".");
  if (parts.at(-1) === "gz") parts.pop();
  return parts.length > 1 ? parts.at(-1)! : "";
}

/** An object begins with a key or ends. `{main};work 3`, as PHP names its first frame, is a stacktrace. */
function beginsAsJsonObject(bytes: Uint8Array): boolean {
  const at = nextToken(bytes, BYTE_ORDER_MARK.every((byte, index) => bytes[index] === byte) ? BYTE_ORDER_MARK.length : 0);
  if (bytes[at] !== OPEN_OBJECT) return false;
  const next = bytes[nextToken(bytes, at + 1)];
  return next === QUOTE || next === CLOSE_OBJECT;
}

function nextToken(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === SPACE || bytes[at] === TAB || bytes[at] === LF || bytes[at] === CR) at++;
  return at;
}

/** UTF-8 without control characters. Every pprof with a sample type has the byte 8, which begins a number in it. */
function isText(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte < SPACE && byte !== TAB && byte !== LF && byte !== CR && byte !== FF) return false;
  }
  return isUtf8(bytes);
}

const BYTE_ORDER_MARK: readonly number[] = [0xef, 0xbb, 0xbf];
const TAB = 0x09;
const LF = 0x0a;
const FF = 0x0c;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
