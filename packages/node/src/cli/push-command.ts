/**
 * `pyromesh push`: sends pprof files, each as one push. A file that fails is named; the others are sent all the same.
 *
 * PushRequest: 1 series { 1 labels { 1 name, 2 value }, 2 samples { 1 raw_profile } }
 */
import { gzipSync } from "node:zlib";
import { ByteWriter, CodedError, formatSize, messageOf } from "@pyromesh/base";
import { openClient, addConnectionFlags } from "./connection-flags.ts";
import type { ConnectionFlags } from "./connection-flags.ts";
import { usage } from "./client.ts";
import { EXIT_FAILED } from "./command.ts";
import type { AddCommand, CommandModules } from "./command.ts";
import { guessName, readPprofFile, withTime } from "./pprof-file.ts";
import { parseTime } from "./time-text.ts";

/** Pushes under way at once: enough to share the server's syncs, and few enough to leave it to others too. */
const CONCURRENCY = 4;

interface PushFlags extends ConnectionFlags {
  readonly label: readonly string[];
  readonly name?: string;
  readonly service?: string;
  readonly time: string;
}

interface PushLabel {
  readonly name: string;
  readonly value: string;
}

export const addPush: AddCommand = (program, modules, done) => {
  const command = program
    .command("push")
    .description("push pprof files")
    .argument("<file...>", "pprof files, gzipped or not")
    .option("--service <name>", "service_name of the profiles")
    .option("--label <name=value>", "label to set (repeatable)", (text: string, all: readonly string[]) => [...all, text], [])
    .option("--name <name>", "__name__ of the profiles (default: guessed from each file's sample types)")
    .option("--time <time>", "when they were taken: keep what the file says, now, or a time (RFC 3339)", "keep");
  addConnectionFlags(command).action(async (files: readonly string[], flags: PushFlags) => done(await push(files, flags, modules)));
};

async function push(files: readonly string[], flags: PushFlags, modules: CommandModules): Promise<number> {
  const { terminal } = modules;
  const client = openClient(flags, modules);
  const labels = readLabels(flags);
  const ownName = labels.find(({ name }) => name === "__name__")?.value;
  const timeMs = flags.time === "keep" ? undefined : parseTime(flags.time, modules.clock.nowMs(), "--time");
  const names = new Map<string, number>();
  let pushedCount = 0;
  let pushedBytes = 0;
  let failedCount = 0;
  const showProgress = (): void => {
    if (terminal.isNoteTty && files.length > 1) terminal.note(`\r${pushedCount + failedCount} of ${files.length} `);
  };

  const pushOne = async (file: string): Promise<void> => {
    try {
      const pprof = readPprofFile(terminal.readFile(file), file);
      const name = ownName ?? guessName(pprof.sampleTypes, file);
      const ownLabels = ownName === undefined ? [...labels, { name: "__name__", value: name }] : labels;
      const raw = gzipSync(timeMs === undefined ? pprof.bytes : withTime(pprof.bytes, timeMs), { level: 1 });
      await client.proto("push.v1.PusherService/Push", encodePush(ownLabels, raw));
      pushedCount++;
      pushedBytes += pprof.bytes.length;
      names.set(name, (names.get(name) ?? 0) + 1);
    } catch (thrown) {
      failedCount++;
      const hint = /time_nanos|ingestion window|in the past/.test(messageOf(thrown)) && timeMs === undefined ? " (an old file? --time now pushes it as of now)" : "";
      terminal.note(`${terminal.isNoteTty ? "\r" : ""}${thrown instanceof CodedError && thrown.details["file"] === file ? "" : `${file}: `}${messageOf(thrown)}${hint}\n`);
    }
    showProgress();
  };
  const waiting = [...files];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) await pushOne(file);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));

  if (terminal.isNoteTty && files.length > 1) terminal.note("\r");
  const kinds = [...names].map(([name, count]) => (names.size === 1 ? name : `${count} ${name}`)).join(", ");
  if (pushedCount > 0) terminal.note(`pushed ${countOf(pushedCount, "file")} as ${kinds} (${roundSize(pushedBytes)} unpacked)\n`);
  if (failedCount > 0) terminal.note(`${countOf(failedCount, "file")} failed\n`);
  return failedCount > 0 ? EXIT_FAILED : 0;
}

function readLabels(flags: PushFlags): PushLabel[] {
  const labels = flags.label.map((text) => {
    const at = text.indexOf("=");
    if (at < 1) throw usage(`--label ${JSON.stringify(text)} is not a label: write it as name=value`);
    return { name: text.slice(0, at), value: text.slice(at + 1) };
  });
  addOwn(labels, "--service", "service_name", flags.service);
  addOwn(labels, "--name", "__name__", flags.name);
  return labels;
}

function addOwn(labels: PushLabel[], flag: string, name: string, value: string | undefined): void {
  if (value === undefined) return;
  if (labels.some((label) => label.name === name)) throw usage(`${flag} and --label ${name}=... say the same: give one`);
  labels.push({ name, value });
}

function encodePush(labels: readonly PushLabel[], raw: Uint8Array): Uint8Array {
  const series = new ByteWriter(raw.length + 256);
  for (const { name, value } of labels) {
    const label = new ByteWriter().uvarint(field(1)).text(name).uvarint(field(2)).text(value).finish();
    series.uvarint(field(1)).prefixed(label);
  }
  const sample = new ByteWriter(raw.length + 16).uvarint(field(1)).prefixed(raw).finish();
  series.uvarint(field(2)).prefixed(sample);
  return new ByteWriter(raw.length + 512).uvarint(field(1)).prefixed(series.finish()).finish();
}

/** The key of a length-delimited field. */
function field(number: number): number {
  return number * 8 + 2;
}

function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function roundSize(sizeBytes: number): string {
  return sizeBytes < 2 ** 20 ? `${Math.ceil(sizeBytes / 2 ** 10)}KB` : formatSize(Math.round(sizeBytes / 2 ** 20) * 2 ** 20);
}
