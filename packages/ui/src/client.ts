/**
 * The page's client of the querier: Connect in JSON, on the origin of the page. Answers are validated here, once; the rest of the page
 * trusts the types. An error keeps the server's own message, since it says what to change.
 */
import type { FlameGraph } from "./model/flame-graph-layout.ts";
import type { TimeSpan } from "./model/time-range.ts";
import type { TopRow } from "./model/top-table.ts";

export interface QuerierOptions {
  /** Ends in a slash. The page may be served under a prefix. */
  readonly baseUrl: string;
  /** Empty: no header is sent. */
  readonly tenant: string;
  /** True: the answer may lack what the node cannot read, and names it. */
  readonly allowsPartial: boolean;
}

export interface Answered<T> {
  readonly value: T;
  /** What the answer lacks, in the node's words. Empty where it is complete. */
  readonly missing: string;
}

/** What an answer was made of. The same question to any node counts the same records, with the same sum. */
export interface Receipt {
  readonly recordCount: number;
  readonly objectCount: number;
  /** Nodes whose memory was asked. Their names, where they are a cluster. */
  readonly storeCount: number;
  readonly nodes: readonly string[];
  readonly identitySum: string;
}

/** A list that may be cut off. */
interface AnsweredList<T> extends Answered<T[]> {
  /** `100 of 2000`, or `100 of more`, where the list was cut off; empty where it was not. */
  readonly truncated: string;
}

export interface Selection {
  readonly profileType: string;
  readonly selector: string;
  readonly span: TimeSpan;
}

export interface SeriesPoint {
  readonly timestampMs: number;
  readonly value: number;
}

interface PointSeries {
  readonly labels: ReadonlyMap<string, string>;
  readonly points: readonly SeriesPoint[];
}

export interface TopFunctions {
  readonly rows: readonly TopRow[];
  /** How many functions have a value. `rows` may be only the first of them. */
  readonly functionCount: number;
}

export interface StoreStats {
  readonly hasData: boolean;
  readonly oldestMs: number;
  readonly newestMs: number;
}

export class QuerierError extends Error {
  override readonly name = "QuerierError";
  /** Connect's code, or `unreachable` where no answer came, or `unreadable` where it could not be parsed. */
  readonly code: string;
  /** The node can answer in part, and does so for a request that allows it. */
  readonly canBePartial: boolean;

  constructor(code: string, message: string, more: { readonly cause?: unknown; readonly canBePartial?: boolean } = {}) {
    super(message, { cause: more.cause });
    this.code = code;
    this.canBePartial = more.canBePartial ?? false;
  }
}

export class QuerierClient {
  readonly #options: QuerierOptions;
  readonly #fetch: typeof fetch;

  constructor(options: QuerierOptions, modules: { readonly fetch: typeof fetch }) {
    this.#options = options;
    this.#fetch = modules.fetch;
  }

  /** Every pair of service and profile type with a profile in the span. */
  async services(span: TimeSpan, signal: AbortSignal): Promise<AnsweredList<{ service: string; profileType: string }>> {
    const { body, missing, truncated } = await this.#call("Series", { matchers: [], labelNames: ["service_name", "__profile_type__"], ...times(span) }, signal);
    const value = listOf(body["labelsSet"]).map((set) => {
      const labels = labelsOf(recordOf(set)["labels"]);
      return { service: labels.get("service_name") ?? "", profileType: labels.get("__profile_type__") ?? "" };
    });
    return { value, missing, truncated };
  }

  async flameGraph(selection: Selection, maxNodes: number, signal: AbortSignal): Promise<Answered<FlameGraph> & { readonly receipt: Receipt | undefined }> {
    const request = { ...selectionBody(selection), ...(maxNodes > 0 ? { maxNodes } : {}) };
    const { body, missing, receipt } = await this.#call("SelectMergeStacktraces", request, signal);
    const graph = recordOf(body["flamegraph"]);
    const value = {
      names: listOf(graph["names"]).map(textOf),
      levels: listOf(graph["levels"]).map((level) => listOf(recordOf(level)["values"]).map(Number)),
    };
    return { value, missing, receipt };
  }

  /** The node adds them up over all stacktraces that begin with `callSite`. Returns the first `limit` by `order`. */
  async topFunctions(selection: Selection, callSite: readonly string[], order: "self" | "total", limit: number, signal: AbortSignal): Promise<Answered<TopFunctions>> {
    const stackTraceSelector = callSite.length === 0 ? {} : { stackTraceSelector: { callSite: callSite.map((name) => ({ name })) } };
    const request = { ...selectionBody(selection), ...stackTraceSelector, limit, sort: order === "self" ? "TOP_TABLE_SORT_SELF" : "TOP_TABLE_SORT_TOTAL" };
    const { body, missing } = await this.#call("SelectTopTable", request, signal, "pyromesh.query.v1.QueryService");
    const rows = listOf(body["functions"]).map((row) => {
      const { name, self, total } = recordOf(row);
      return { name: textOf(name), self: Number(self ?? 0), total: Number(total ?? 0) };
    });
    return { value: { rows, functionCount: Number(body["functionCount"] ?? 0) }, missing };
  }

  async points(selection: Selection, stepMs: number, groupBy: readonly string[], signal: AbortSignal): Promise<Answered<PointSeries[]>> {
    const { body, missing } = await this.#call("SelectSeries", { ...selectionBody(selection), step: stepMs / 1000, groupBy }, signal);
    const value = listOf(body["series"]).map((entry) => {
      const series = recordOf(entry);
      const points = listOf(series["points"]).map((point) => ({
        timestampMs: Number(recordOf(point)["timestamp"] ?? 0),
        value: Number(recordOf(point)["value"] ?? 0), // JSON omits a zero
      }));
      return { labels: labelsOf(series["labels"]), points };
    });
    return { value, missing };
  }

  /** The newest and oldest data of the store. */
  async stats(signal: AbortSignal): Promise<StoreStats> {
    const { body } = await this.#call("GetProfileStats", {}, signal);
    return { hasData: body["dataIngested"] === true, oldestMs: Number(body["oldestProfileTime"] ?? 0), newestMs: Number(body["newestProfileTime"] ?? 0) };
  }

  async #call(method: string, request: object, signal: AbortSignal, service = "querier.v1.QuerierService"): Promise<Reply> {
    if (!/^[\x20-\x7e]*$/.test(this.#options.tenant)) throw new QuerierError("invalid_argument", `No tenant can be called ${this.#options.tenant}: ids are of A-Z a-z 0-9 ! _ . * ' ( ) -.`);
    const headers: Record<string, string> = { "content-type": "application/json", "connect-protocol-version": "1" };
    if (this.#options.tenant !== "") headers["x-scope-orgid"] = this.#options.tenant;
    if (this.#options.allowsPartial) headers["x-pyromesh-partial"] = "allow";
    const url = new URL(`${service}/${method}`, this.#options.baseUrl).href;
    let response: Response;
    let text: string;
    try {
      response = await this.#fetch(url, { method: "POST", headers, body: JSON.stringify(request), credentials: "same-origin", signal });
      text = await response.text();
    } catch (error) {
      if (signal.aborted) throw error;
      throw new QuerierError("unreachable", `The node at ${new URL(url).host} did not answer. Is it running?`, { cause: error });
    }
    const body = parseBody(text);
    if (response.ok && body !== undefined) {
      return { body, missing: response.headers.get("x-pyromesh-missing") ?? "", truncated: response.headers.get("x-pyromesh-truncated") ?? "", receipt: receiptOf(response.headers) };
    }
    if (response.ok) throw new QuerierError("unreadable", `The answer to ${method} is not a JSON object. Is something between this page and the node?`);
    const code = typeof body?.["code"] === "string" ? body["code"] : "unknown";
    const message = typeof body?.["message"] === "string" && body["message"] !== "" ? body["message"] : `${method} was answered with status ${response.status}.`;
    const canBePartial = response.headers.get("x-pyromesh-partial") === "possible";
    throw new QuerierError(response.status === 401 ? "unauthenticated" : code, message, { canBePartial });
  }
}

interface Reply {
  readonly body: Record<string, unknown>;
  readonly missing: string;
  readonly truncated: string;
  readonly receipt: Receipt | undefined;
}

/** Undefined where something between drops the headers. */
function receiptOf(headers: Headers): Receipt | undefined {
  const identitySum = headers.get("x-pyromesh-identity-sum");
  if (identitySum === null) return undefined;
  const count = (name: string): number => Number(headers.get(`x-pyromesh-${name}`) ?? 0);
  return { recordCount: count("records"), objectCount: count("objects"), storeCount: count("stores"), nodes: namesOf(headers.get("x-pyromesh-nodes")), identitySum };
}

/** Each is percent-encoded. */
function namesOf(header: string | null): string[] {
  try {
    return header === null || header === "" ? [] : header.split("; ").map(decodeURIComponent);
  } catch {
    return []; // a list that was cut off
  }
}

function selectionBody(selection: Selection): object {
  return { profileTypeID: selection.profileType, labelSelector: selection.selector, ...times(selection.span) };
}

function times(span: TimeSpan): object {
  return { start: span.startMs, end: span.endMs };
}

function parseBody(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? recordOf(value) : undefined;
  } catch {
    return undefined;
  }
}

function labelsOf(value: unknown): Map<string, string> {
  return new Map(listOf(value).map((label) => [textOf(recordOf(label)["name"]), textOf(recordOf(label)["value"])]));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Connect omits empty lists and messages, so a missing one is empty. */
function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}; // checked: an object has string keys
}
