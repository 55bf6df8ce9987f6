/**
 * Whether a profile is Go's, by Pyroscope's rule, so that the same profiles are repaired: by the client's name, where that is the name of a
 * language's client, else by the first string of the profile that looks like a function or a file of some language. With `/src/main.go`
 * before `lib.js` it is Go's.
 */
import type { PprofDecoder } from "../pprof/pprof-decode.ts";

/** `pyroscope_spy` of the clients that profile one language. Of any other client the strings decide. */
const IS_GO_BY_SPY: ReadonlyMap<string, boolean> = new Map([
  ["gospy", true],
  ["dotnetspy", false],
  ["grafana-agent.java", false],
  ["javaspy", false],
  ["nodespy", false],
  ["phpspy", false],
  ["pyroscope-rs", false],
  ["pyspy", false],
  ["rbspy", false],
]);

/** How a string of each language begins or ends. Go's come first: a string that fits several languages is Go's. */
const GO_MARKS = [".go", "/usr/local/go/"].map(bytesOf);
const OTHER_MARKS = ["java/", "sun/", ".rb", "gems/", "../node_modules/", ".js", "System.", "Microsoft.", ".py", "main.rs", "core.rs"].map(bytesOf);

export function isGoProfile({ bytes, stringCount, stringStart, stringEnd }: Pick<PprofDecoder, "bytes" | "stringCount" | "stringStart" | "stringEnd">, spyName: string): boolean {
  const isGo = IS_GO_BY_SPY.get(spyName);
  if (isGo !== undefined) return isGo;
  for (let i = 0; i < stringCount; i++) {
    const start = stringStart[i]!;
    const end = stringEnd[i]!;
    if (GO_MARKS.some((mark) => hasMark(bytes, start, end, mark))) return true;
    if (OTHER_MARKS.some((mark) => hasMark(bytes, start, end, mark))) return false;
  }
  return false;
}

function hasMark(bytes: Uint8Array, start: number, end: number, mark: Uint8Array): boolean {
  return mark.length <= end - start && (isAt(bytes, start, mark) || isAt(bytes, end - mark.length, mark));
}

function isAt(bytes: Uint8Array, at: number, mark: Uint8Array): boolean {
  for (let i = 0; i < mark.length; i++) if (bytes[at + i] !== mark[i]) return false;
  return true;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"));
}
