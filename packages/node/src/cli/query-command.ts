/** `pyromesh query`: prints a top table, folded stacktraces or the API's own JSON, writes a pprof file, or lists types, labels and series. */
import { gzipSync } from "node:zlib";
import { ByteWriter, CodedError, messageOf } from "@pyromesh/base";
import { NameTreeBuilder, parseProfileType, topTable } from "@pyromesh/profile";
import type { ProfileType, TopTable } from "@pyromesh/profile";
import { usage } from "./client.ts";
import type { Client } from "./client.ts";
import type { AddCommand, CommandModules } from "./command.ts";
import { addConnectionFlags, openClient } from "./connection-flags.ts";
import type { ConnectionFlags } from "./connection-flags.ts";
import { printFolded, readFlameGraphReply } from "./flame-graph-reply.ts";
import { hasSamples } from "./pprof-file.ts";
import type { Terminal } from "./terminal.ts";
import { parseTime } from "./time-text.ts";
import { readTopTableReply } from "./top-table-reply.ts";
import { printTop } from "./top-text.ts";

const SERVICE = "querier.v1.QuerierService";
const TOP_TABLE = "pyromesh.query.v1.QueryService/SelectTopTable";
const TOP_ROWS_DEFAULT = "30";

interface QueryFlags extends ConnectionFlags {
  readonly query?: string;
  readonly from: string;
  readonly until: string;
  readonly output: string;
  readonly limit?: string;
  readonly maxNodes?: string;
  readonly allowPartial?: boolean;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

export const addQuery: AddCommand = (program, modules, done) => {
  const command = program
    .command("query")
    .description("ask for profiles, or with types, labels or series for what there is")
    .argument("[listing]", "types, labels (names, or the values of one) or series")
    .argument("[label]", "with labels: the label whose values are wanted")
    .option("--query <query>", `profile type and selector: 'process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name="api"}'`)
    .option("--from <time>", "now-1h, RFC 3339, or seconds since 1970", "now-1h")
    .option("--until <time>", "the same", "now")
    .option("--output <form>", "top, folded, json or pprof=FILE", "top")
    .option("--limit <count>", "rows of the top table (default: 30), or entries of a listing (default: all the server gives); 0: all")
    .option("--max-nodes <count>", "nodes to keep of a flame graph or pprof; the rest is summed up as other (default: the server's). A top table is of all")
    .option("--allow-partial", "where not all can be read, answer with what can, and say what is missing");
  addConnectionFlags(command).action(async (listing: string | undefined, label: string | undefined, flags: QueryFlags) => {
    await query(listing, label, flags, modules);
    done(0);
  });
};

async function query(listing: string | undefined, label: string | undefined, flags: QueryFlags, modules: CommandModules): Promise<void> {
  const nowMs = modules.clock.nowMs();
  // The API takes 0 for a missing time; no profile is that old either.
  const range: Range = { start: Math.max(1, parseTime(flags.from, nowMs, "--from")), end: Math.max(1, parseTime(flags.until, nowMs, "--until")) };
  if (range.start > range.end) throw usage(`--from ${flags.from} is after --until ${flags.until}: swap them`);
  if (label !== undefined && listing !== "labels") throw usage(`query ${listing} takes no ${JSON.stringify(label)}: only labels takes a name`);
  const client = openClient(flags, modules);
  // Sent only where --limit was given, since some servers do not know it.
  const limit = flags.limit === undefined ? {} : { limit: count(flags.limit, "--limit") };
  const matchers = flags.query === undefined ? [] : [flags.query];
  switch (listing) {
    case undefined:
      if (flags.query === undefined) throw usage(`--query is missing: write --query 'process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name="..."}'; pyromesh query types lists the types`);
      return await profileQuery(client, flags.query, range, flags, modules);
    case "types":
      return print(modules, strings(await client.json(`${SERVICE}/ProfileTypes`, { ...range, ...limit }), "profileTypes", "ID"));
    case "labels": {
      const reply =
        label === undefined
          ? await client.json(`${SERVICE}/LabelNames`, { matchers, ...range, ...limit })
          : await client.json(`${SERVICE}/LabelValues`, { name: label, matchers, ...range, ...limit });
      return print(modules, strings(reply, "names"));
    }
    case "series":
      return print(modules, seriesLines(await client.json(`${SERVICE}/Series`, { matchers, labelNames: [], ...range, ...limit })));
    default:
      throw usage(`query ${JSON.stringify(listing)} is not a listing: write types, labels or series, or --query for profiles`);
  }
}

async function profileQuery(client: Client, text: string, range: Range, flags: QueryFlags, { terminal }: CommandModules): Promise<void> {
  const { profileType, selector } = splitQuery(text);
  const { sampleUnit } = readProfileType(profileType);
  const maxNodes = flags.maxNodes === undefined ? {} : { maxNodes: count(flags.maxNodes, "--max-nodes") };
  const limit = count(flags.limit ?? TOP_ROWS_DEFAULT, "--limit");
  const request = { profileTypeID: profileType, labelSelector: selector, ...range, ...maxNodes };
  if (flags.output.startsWith("pprof=")) {
    const file = flags.output.slice("pprof=".length);
    if (file === "") throw usage("--output pprof= names no file: write it as pprof=cpu.pb.gz");
    const bytes = await client.proto(`${SERVICE}/SelectMergeProfile`, encodeMergeRequest(profileType, selector, range, maxNodes.maxNodes));
    writeTo(terminal, file, gzipSync(bytes));
    terminal.note(hasSamples(bytes) ? `wrote ${file}\n` : `nothing matched; ${file} is an empty profile\n`);
    return;
  }
  if (!["top", "folded", "json"].includes(flags.output)) throw usage(`--output ${JSON.stringify(flags.output)} is not an output form: write top, folded, json or pprof=FILE`);
  if (flags.output === "top") {
    const table = (await serverTopTable(client, { profileTypeID: profileType, labelSelector: selector, ...range, limit })) ?? (await ownTopTable(client, request, limit, terminal));
    return table.rowCount === 0 ? terminal.note(NOTHING_MATCHED) : terminal.out(printTop(table, { unit: sampleUnit, limit, isColoured: terminal.isOutTty }));
  }
  const reply = await client.json(`${SERVICE}/SelectMergeStacktraces`, request);
  if (flags.output === "json") return terminal.out(`${JSON.stringify(reply)}\n`);
  const { stacktraces } = readFlameGraphReply(reply);
  if (stacktraces.length === 0) return terminal.note(NOTHING_MATCHED);
  terminal.out(printFolded(stacktraces));
}

const NOTHING_MATCHED = "nothing matched: a longer --from, or pyromesh query series, shows what there is\n";

/** The top table that the server makes of all stacktraces, also of those that a flame graph leaves out. Undefined where the server has none, such as Pyroscope. */
async function serverTopTable(client: Client, request: object): Promise<TopTable | undefined> {
  try {
    return readTopTableReply(await client.json(TOP_TABLE, request));
  } catch (error) {
    if (error instanceof CodedError && error.details["status"] === 404) return undefined;
    throw error;
  }
}

/** The top table made here from the flame graph. What the flame graph leaves out is one row. */
async function ownTopTable(client: Client, request: object, limit: number, terminal: Terminal): Promise<TopTable> {
  const { stacktraces } = readFlameGraphReply(await client.json(`${SERVICE}/SelectMergeStacktraces`, request));
  const tree = new NameTreeBuilder();
  for (const { names, self } of stacktraces) tree.addStacktrace(names, self);
  const table = topTable(tree.result(), { limit });
  if (table.rows.some(({ name }) => name === "other")) terminal.note("this server adds up no top table: it is made of its flame graph, and other is what that left out\n");
  return table;
}

/** Splits `type{selector}`. A type alone selects everything of it. */
function splitQuery(text: string): { readonly profileType: string; readonly selector: string } {
  const at = text.indexOf("{");
  const profileType = (at === -1 ? text : text.slice(0, at)).trim();
  if (profileType === "") throw usage(`--query ${text} names no profile type before its {: write process_cpu:cpu:nanoseconds:cpu:nanoseconds${text}`);
  return { profileType, selector: at === -1 ? "{}" : text.slice(at) };
}

function readProfileType(text: string): ProfileType {
  try {
    return parseProfileType(text);
  } catch (thrown) {
    throw usage(`--query: ${messageOf(thrown)}; pyromesh query types lists the types`);
  }
}

function writeTo(terminal: Terminal, file: string, bytes: Uint8Array): void {
  try {
    terminal.writeFile(file, bytes);
  } catch (cause) {
    throw new CodedError({ code: "FILE_NOT_WRITTEN", kind: "failed_precondition", message: `${file} cannot be written: ${messageOf(cause)}`, cause });
  }
}

/** SelectMergeProfileRequest: 1 profile_typeID, 2 label_selector, 3 start, 4 end, 5 max_nodes. */
function encodeMergeRequest(profileType: string, selector: string, range: Range, maxNodes: number | undefined): Uint8Array {
  const request = new ByteWriter().uvarint(10).text(profileType).uvarint(18).text(selector);
  request.uvarint(24).uvarint(range.start).uvarint(32).uvarint(range.end);
  if (maxNodes !== undefined) request.uvarint(40).uvarint(maxNodes);
  return request.finish();
}

function count(text: string, flag: string): number {
  if (!/^\d{1,15}$/.test(text)) throw usage(`${flag} ${JSON.stringify(text)} is not a whole number`);
  return Number(text);
}

function print({ terminal }: CommandModules, lines: readonly string[]): void {
  if (lines.length === 0) terminal.note("nothing in this time range\n");
  terminal.out(lines.map((line) => `${line}\n`).join(""));
}

/** The entries of reply[list], or this property of each. */
function strings(reply: unknown, list: string, property?: string): string[] {
  return items(reply, list).map((item) => String(property === undefined ? item : (item as Record<string, unknown>)[property]));
}

/** One sorted line for each series: `{a="b", "c.d"="e"}`, which is also a selector of it. */
function seriesLines(reply: unknown): string[] {
  return items(reply, "labelsSet")
    .map((set) => `{${(items(set, "labels") as { name: string; value: string }[]).map(({ name, value }) => `${quoted(name)}=${JSON.stringify(value)}`).join(", ")}}`)
    .sort();
}

/** A name that Prometheus' old alphabet does not allow is put in quotes. */
function quoted(name: string): string {
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) ? name : JSON.stringify(name);
}

function items(reply: unknown, list: string): readonly unknown[] {
  const found = typeof reply === "object" && reply !== null ? (reply as Record<string, unknown>)[list] : undefined;
  return Array.isArray(found) ? found : [];
}
