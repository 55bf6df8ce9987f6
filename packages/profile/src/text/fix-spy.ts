/** Repairs profiles of some clients of /ingest, which are known by their `spyName`, as Pyroscope repairs them. */
import type { IngestQuirks } from "../labels/ingest-name.ts";
import type { PprofDecoder } from "../pprof/pprof-decode.ts";
import { StringRewrite } from "../pprof/string-rewrite.ts";

/** Clients of scripting languages, in which a function is known by its file: `main.py run` says more than `run`. */
export function spyNamesFilesInFunctions(spyName: string): boolean {
  return spyName === "pyspy" || spyName === "rbspy" || spyName === "scripting";
}

/** Function names become `<file name> <function>`. Where pyspy writes an absolute path, the function is not the user's own, and its name stays. */
export function prefixFunctionsWithFile(decoded: PprofDecoder, spyName: string): void {
  const { functionCount, functionName, functionFilename } = decoded;
  const rewrite = new StringRewrite(decoded);
  for (let i = 1; i <= functionCount; i++) {
    const filename = decoded.text(functionFilename[i]!);
    if (filename === "" || (spyName === "pyspy" && filename.startsWith("/"))) continue;
    functionName[i] = rewrite.add(`${filename} ${decoded.text(functionName[i]!)}`);
  }
}

/** Older .NET clients give no spy name, but a configuration with names that only they use. */
export function isDotnet(ingest: IngestQuirks): boolean {
  return ingest.spyName === "dotnetspy" || ((ingest.spyName === "" || ingest.spyName === "unknown") && Object.hasOwn(ingest.sampleTypes ?? {}, "inuse-space"));
}

/**
 * Some .NET clients leave out every function id, and write one function per location in the same order. There a function gets the
 * id of its location, to which the location's line refers. Where the lines name no function either, the n-th line gets the n-th function.
 */
export function fixDotnetFunctionIds(decoded: PprofDecoder): void {
  const { functionCount, functionId, lineCount, lineFunction, locationCount, locationId } = decoded;
  if (functionCount === 0 || functionCount !== locationCount) return;
  for (let i = 1; i <= functionCount; i++) if (functionId[i] !== 0) return;
  let isEveryLineUnset = lineCount === functionCount;
  for (let i = 0; i < lineCount; i++) if (lineFunction[i] !== 0) isEveryLineUnset = false;
  for (let i = 1; i <= functionCount; i++) functionId[i] = locationId[i]!;
  if (isEveryLineUnset) for (let i = 0; i < lineCount; i++) lineFunction[i] = functionId[i + 1]!;
}
