/**
 * The corpus of real profiles and recorded exchanges, in the folder `PYROMESH_CORPUS`, by default `../shared/corpus` next to the
 * repository.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

interface RecordedExchange {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly status: number;
}

/** Undefined where there is no corpus. */
export function corpusFolder(): string | undefined {
  const repository = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../../..");
  const folder = process.env["PYROMESH_CORPUS"] ?? path.join(repository, "../shared/corpus");
  return existsSync(folder) ? folder : undefined;
}

/** Reads the recorded exchange with this number: `01` for 01-push-heap-pod-a. */
export function readRecorded(corpus: string, number: string): RecordedExchange {
  const folder = path.join(corpus, "recorded");
  const file = readdirSync(folder).find((name) => name.startsWith(`${number}-`));
  if (file === undefined) throw new Error(`no recorded exchange ${number}`);
  const exchange = JSON.parse(readFileSync(path.join(folder, file), "utf8")) as {
    request: { method: string; path: string; headers: Record<string, string>; json?: unknown; bodyBase64?: string };
    response: { status: number };
  };
  const { request, response } = exchange;
  const body = new Uint8Array(Buffer.from(request.bodyBase64 ?? Buffer.from(JSON.stringify(request.json)).toString("base64"), "base64"));
  return { name: file.replace(/\.json$/, ""), method: request.method, path: request.path, headers: request.headers, body, status: response.status };
}
