/** `pyromesh bucket`: `status` prints what lies in the bucket and what is missing from it, `forget` accepts that segments are lost, `replication` lowers it, `copy` moves to another bucket. */
import { CodedError, formatSize, messageOf, openLogger, parseTenantId, systemRandom } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { CatalogView, describeGap, gapsOf, lowerReplication, markKey, NO_OWN_ORDINALS, OBJECT_PREFIX, openBucket, parseObjectKey, parseWindow, printOrdinals, printWindow, readIdentity, readReplication, readSources, REPLICATION_MAX, windowPrefix } from "@pyromesh/block";
import type { Bucket, BucketIdentity, KnownOrdinals, OrdinalRange } from "@pyromesh/block";
import { WINDOW_MS } from "@pyromesh/profile";
import { forgottenText } from "../background/forgotten-text.ts";
import { bucketKind } from "../config/setting.ts";
import { copyBucket } from "./bucket-copy.ts";
import { usage } from "./client.ts";
import type { AddCommand, CommandModules } from "./command.ts";
import { addSettingFlags } from "./setting-flags.ts";
import type { LoadSettings } from "./setting-flags.ts";
import { shortSize } from "./text-table.ts";

/** The most segments that one command forgets. It puts a mark for each, and a typing error in a range must not fill the bucket. */
const FORGET_COUNT_MAX = 10_000;
/** Objects between two progress messages. */
const PROGRESS_COUNT = 1000;

export const addBucket: AddCommand = (program, modules, done) => {
  const command = program.command("bucket").description("look into the bucket, accept that segments are lost, or copy it");

  const status = command.command("status").description("its identity, the stores that wrote to it, and what is missing").allowExcessArguments(false);
  const loadForStatus = addSettingFlags(status, modules.terminal);
  status.action(async () => {
    await withBucket(loadForStatus, modules, (bucket, signal) => printStatus(bucket, modules, signal));
    done(0);
  });

  const forget = command
    .command("forget")
    .description("accept that segments are lost: queries over their window are answered without them")
    .argument("<tenant>", "the tenant whose segments they are; anonymous without --multitenancy")
    .argument("<window>", "the hour, as in the error: 20260302T14")
    .argument("<store>", "the store that made them, 32 hex digits")
    .argument("<ordinal>", "their ordinals: 3, or 3-7")
    .allowExcessArguments(false);
  const loadForForget = addSettingFlags(forget, modules.terminal);
  forget.action(async (tenant: string, window: string, store: string, ordinals: string) => {
    const lost = readLost(tenant, window, store, ordinals);
    await withBucket(loadForForget, modules, (bucket, signal) => forgetLost(bucket, lost, modules, signal));
    done(0);
  });

  const replication = command
    .command("replication")
    .description("the replication that stands in the bucket; with a number, lower it to that: fewer members are to keep each record from now on")
    .argument("[number]", "how many")
    .allowExcessArguments(false);
  const loadForReplication = addSettingFlags(replication, modules.terminal);
  replication.action(async (number: string | undefined) => {
    const wanted = number === undefined ? undefined : readReplicationNumber(number);
    await withBucket(loadForReplication, modules, (bucket, signal) => showReplication(bucket, wanted, modules, signal));
    done(0);
  });

  command
    .command("copy")
    .description("copy a bucket into an empty one, identity included, so that a node alone can grow into a cluster; may be broken off and run again")
    .argument("<from>", "file://dir or s3://bucket/prefix?endpoint=...; a node's own is the folder bucket in its data dir")
    .argument("<to>", "the same; empty, or an earlier copy")
    .allowExcessArguments(false)
    .action(async (from: string, to: string) => {
      await copy(urlOf(from), urlOf(to), modules);
      done(0);
    });
};

function readReplicationNumber(text: string): number {
  if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= REPLICATION_MAX) return Number(text);
  throw usage(`${JSON.stringify(text)} is not a replication: write a number from 1 to ${REPLICATION_MAX}`);
}

async function showReplication(bucket: Bucket, wanted: number | undefined, { clock, terminal }: CommandModules, signal: AbortSignal): Promise<void> {
  await identityOf(bucket, signal);
  const known = await readReplication(bucket, signal);
  if (wanted === undefined) {
    terminal.out(known === 0 ? "no cluster has written to it yet\n" : `${known}\n`);
    return;
  }
  if (wanted > known) throw refusal("REPLICATION_RISES_BY_ITSELF", `it is ${known}: it rises by itself, when the cluster has ${wanted} members and their --replication allows it`);
  await lowerReplication(bucket, wanted, clock.nowMs(), signal);
  terminal.out(`lowered from ${known} to ${wanted}: members take it over within a minute. Give them --replication ${wanted}, and no more addresses in --join than there are members, or it rises again\n`);
}

function urlOf(text: string): string {
  const url = bucketKind.schema.safeParse(text);
  if (url.success) return url.data;
  throw usage(url.error.issues.map(({ message }) => message).join("; "));
}

async function copy(from: string, to: string, { clock, terminal }: CommandModules): Promise<void> {
  if (from === to) throw usage("both are the same bucket");
  const modules = { dataDir: "", clock, random: systemRandom, logger: openLogger("error") };
  const [source, target] = [await openBucket(from, modules), await openBucket(to, modules)];
  try {
    const progress = progressOf(terminal, "objects copied");
    const { bucketId, copied, copiedBytes, known } = await copyBucket(source, target, (count) => progress.add(count), new AbortController().signal);
    progress.end();
    terminal.out(
      `copied ${copied} objects (${shortSize(copiedBytes)}) from ${source.name} to ${target.name}, each read back and compared; ${known} were there already. Identity ${bucketId}\n` +
        `If a node still writes to the first one, stop it, run this again, and start it with --bucket ${to}\n`,
    );
  } finally {
    await Promise.all([source.close(), target.close()]);
  }
}

interface Lost {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
  readonly storeId: string;
  readonly range: OrdinalRange;
}

function readLost(tenant: string, window: string, store: string, ordinals: string): Lost {
  const windowStartMs = parseWindow(window);
  if (windowStartMs === undefined) throw usage(`${JSON.stringify(window)} is not a window: write the hour as 20260302T14, in UTC`);
  if (!/^[0-9a-f]{32}$/.test(store)) throw usage(`${JSON.stringify(store)} is not a store id: write its 32 hex digits in lower case`);
  const match = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(ordinals);
  const range = { first: Number(match?.[1]), last: Number(match?.[2] ?? match?.[1]) };
  if (match === null || range.last < range.first) throw usage(`${JSON.stringify(ordinals)} is not an ordinal: write 3, or 3-7 for several`);
  if (range.last - range.first >= FORGET_COUNT_MAX) throw usage(`${ordinals} are more than ${FORGET_COUNT_MAX} segments: forget them in parts`);
  try {
    return { tenant: parseTenantId(tenant), windowStartMs, storeId: store, range };
  } catch (error) {
    throw usage(messageOf(error));
  }
}

async function withBucket(load: LoadSettings, { clock }: CommandModules, use: (bucket: Bucket, signal: AbortSignal) => Promise<void>): Promise<void> {
  const config = load();
  const bucket = await openBucket(config.bucket === "" ? undefined : config.bucket, { dataDir: config.dataDir, clock, random: systemRandom, logger: openLogger("error") });
  try {
    await use(bucket, new AbortController().signal);
  } finally {
    await bucket.close();
  }
}

/** Refuses a bucket without an identity, so that nothing is written to a folder whose name was mistyped. */
async function identityOf(bucket: Bucket, signal: AbortSignal): Promise<BucketIdentity> {
  const identity = await readIdentity(bucket, signal);
  if (identity !== undefined) return identity;
  throw new CodedError({ code: "BUCKET_IDENTITY_GONE", kind: "failed_precondition", message: `${bucket.name} has no identity (pyromesh-bucket.json): no node has used it yet, or it is not the one you meant; check --bucket and --data-dir` });
}

async function printStatus(bucket: Bucket, { clock, terminal }: CommandModules, signal: AbortSignal): Promise<void> {
  const identity = await identityOf(bucket, signal);
  const view = new CatalogView(Number.MAX_SAFE_INTEGER);
  const exemptStoreIds = new Set(identity.firstFormatStores);
  const progress = progressOf(terminal, "objects listed");
  // A gap in the first LIST may be an upload that was under way: only a gap that the second LIST still has is one.
  for (let round = 0; round < 2; round++) {
    const list = view.beginList();
    for await (const page of bucket.list(OBJECT_PREFIX, {}, signal)) {
      run(view.takePage(list, page));
      progress.add(page.length);
    }
    for (const block of view.unreadBlocks()) view.setSources(block.key, await readSources(bucket, block, signal));
    run(view.endList(list, { ...NO_OWN_ORDINALS, exemptStoreIds }));
    if (view.gaps.length === 0) break;
    await clock.sleep(0);
  }
  progress.end();

  const stores = new Map<string, { count: number; bytes: number; newestMs: number }>();
  for (const { meta, sizeBytes } of view.entries()) {
    if (meta.kind !== "segment") continue;
    const store = stores.get(meta.storeId) ?? { count: 0, bytes: 0, newestMs: 0 };
    stores.set(meta.storeId, { count: store.count + 1, bytes: store.bytes + sizeBytes, newestMs: Math.max(store.newestMs, meta.maxTimeMs) });
  }
  const lines = [
    `bucket    ${bucket.name}`,
    `identity  ${identity.bucketId}, made ${new Date(identity.createdAtMs).toISOString()}${identity.clusterName === "" ? "" : `, cluster ${identity.clusterName}`}`,
    `objects   ${view.entryCount}`,
    "",
    ...(stores.size === 0 ? ["no store has written to it yet"] : ["store                             segments        size  newest profile"]),
    ...[...stores].sort().map(([id, { count, bytes, newestMs }]) => `${id}  ${String(count).padStart(8)}  ${formatSize(bytes).padStart(10)}  ${new Date(newestMs).toISOString()}${exemptStoreIds.has(id) ? "  (gaps of this store do not count: it wrote before segments were numbered without gaps)" : ""}`),
    "",
  ];
  const gaps = [...view.gaps].sort((a, b) => a.windowStartMs - b.windowStartMs);
  if (gaps.length === 0) lines.push("nothing is missing, as far as the bucket alone shows; each node also knows how many segments it made itself");
  for (const gap of gaps) {
    lines.push(`missing: tenant ${gap.tenant}, ${describeGap(gap)}`);
    for (const range of [...gap.gaps.holes, ...gap.gaps.suspected]) lines.push(`  pyromesh bucket forget ${gap.tenant} ${printWindow(gap.windowStartMs)} ${gap.storeId} ${printOrdinals([range])}`);
  }
  terminal.out(`${lines.join("\n")}\n`);
}

async function forgetLost(bucket: Bucket, { tenant, windowStartMs, storeId, range }: Lost, { clock, terminal }: CommandModules, signal: AbortSignal): Promise<void> {
  await identityOf(bucket, signal);
  const known = await knownOf(bucket, { tenant, windowStartMs, storeId }, signal);
  const there = known.segments.filter((ordinal) => ordinal >= range.first && ordinal <= range.last);
  const place = `window ${printWindow(windowStartMs)} of tenant ${tenant} and store ${storeId}`;
  if (there.length > 0) throw refusal("SEGMENT_IS_THERE", `segment ${there[0]!} of ${place} is in the bucket: it is not lost`);
  const inBlock = known.compacted.find(({ first, last }) => first <= range.last && last >= range.first);
  if (inBlock !== undefined) throw refusal("SEGMENT_IS_THERE", `segment ${Math.max(inBlock.first, range.first)} of ${place} is in a block of the bucket: it is not lost`);
  const forgotten = new Set(known.marks.filter(({ mark }) => mark === "forgotten").map(({ ordinal }) => ordinal));
  const ordinals = Array.from({ length: range.last - range.first + 1 }, (_, index) => range.first + index).filter((ordinal) => !forgotten.has(ordinal));
  const after = gapsOf({ ...known, marks: [...known.marks, ...ordinals.map((ordinal) => ({ mark: "forgotten" as const, ordinal }))] });
  const before = gapsOf(known);
  const made = after.filter(({ first, last }) => !before.some((gap) => gap.first <= first && last <= gap.last));
  if (made.length > 0) {
    throw refusal("SEGMENT_UNKNOWN", `nothing says that ${place} has a segment ${printOrdinals([range])}, and with it forgotten ${printOrdinals(made)} would be missing: check the four arguments, or forget from the first missing one on`);
  }
  const progress = progressOf(terminal, `of ${ordinals.length} marked`);
  for (const ordinal of ordinals) {
    const key = markKey({ tenant, windowStartMs, storeId, ordinal, minTimeMs: windowStartMs, maxTimeMs: windowStartMs + WINDOW_MS - 1, mark: "forgotten" });
    await bucket.put(key, forgottenText("an operator said so: pyromesh bucket forget", clock.nowMs()), {}, signal);
    progress.add(1);
  }
  progress.end();
  terminal.out(
    ordinals.length === 0
      ? `already forgotten: ${printOrdinals([range])} of ${place}\n`
      : `forgotten: ${printOrdinals([range])} of ${place}; nodes that run learn of it at their next listing, within a minute\n`,
  );
}

async function knownOf(bucket: Bucket, { tenant, windowStartMs, storeId }: Omit<Lost, "range">, signal: AbortSignal): Promise<Required<KnownOrdinals>> {
  const segments: number[] = [];
  const marks: KnownOrdinals["marks"][number][] = [];
  const compacted: OrdinalRange[] = [];
  for await (const page of bucket.list(windowPrefix(tenant, windowStartMs), {}, signal)) {
    for (const { key, sizeBytes } of page) {
      const meta = parseObjectKey(key);
      if (meta?.kind === "block") compacted.push(...(await readSources(bucket, { key, meta, sizeBytes }, signal)).rangesOf(storeId));
      if (meta?.kind === "segment" && meta.storeId === storeId) segments.push(meta.ordinal);
      if (meta?.kind === "mark" && meta.storeId === storeId) marks.push({ mark: meta.mark, ordinal: meta.ordinal });
    }
  }
  return { segments, marks, compacted, next: 0 };
}

function refusal(code: string, message: string): CodedError {
  return new CodedError({ code, kind: "failed_precondition", message });
}

/** One line that is redrawn on a terminal; elsewhere a line for each thousand. */
function progressOf(terminal: CommandModules["terminal"], what: string): { add(count: number): void; end(): void } {
  let done = 0;
  let told = 0;
  return {
    add(count) {
      done += count;
      if (done - told < PROGRESS_COUNT) return;
      told = done;
      terminal.note(terminal.isNoteTty ? `\r${done} ${what} ` : `${done} ${what}\n`);
    },
    end() {
      if (terminal.isNoteTty && told > 0) terminal.note("\r\u001b[K");
    },
  };
}

function run<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
