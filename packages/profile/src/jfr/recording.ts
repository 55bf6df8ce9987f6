/**
 * A JFR recording, chunk by chunk, added up to the samples of its profiles. Pure; time and memory grow with the recording's length, which the
 * limit on a profile's size bounds.
 *
 *   chunk --header--> where things lie --metadata--> types --checkpoints--> places of constants --events--> samples by kind
 */
import type { ProfileLimits } from "../labels/limits.ts";
import { orUnbounded } from "../labels/limits.ts";
import { readEvents, SLOT_CONTEXT, SLOT_SPAN, SLOT_SPAN_NAME } from "./chunk-events.ts";
import { readChunkHeader } from "./chunk-header.ts";
import { ChunkStacks } from "./chunk-stacks.ts";
import { ChunkTexts } from "./chunk-texts.ts";
import { readConstantPools } from "./constant-pools.ts";
import { Correlations } from "./correlations.ts";
import { FrameTable } from "./frame-table.ts";
import type { LabelsSnapshot } from "./labels-snapshot.ts";
import { readMetadata } from "./metadata.ts";
import type { ProfileKind } from "./profile-kinds.ts";
import { SampleColumns } from "./sample-columns.ts";
import { StackList } from "./stack-list.ts";
import { TextBudget } from "./text-budget.ts";
import { ThreadStates } from "./thread-states.ts";
import { ValueLayouts } from "./value-layout.ts";

export interface Recording {
  readonly samples: ReadonlyMap<ProfileKind, SampleColumns>;
  readonly frames: FrameTable;
  readonly stacks: StackList;
  readonly correlations: Correlations;
  /** What the agent says that it samples, or empty. */
  readonly sampledEvent: string;
  /** When the first chunk began, and how long all took. */
  readonly startNs: bigint;
  readonly durationNs: bigint;
}

/** Throws a refusal. A recording of no bytes has no samples. */
export function readRecording(bytes: Uint8Array, snapshot: LabelsSnapshot | undefined, limits: ProfileLimits): Recording {
  const frames = new FrameTable();
  const stacks = new StackList();
  const budget = new TextBudget();
  const correlations = new Correlations(snapshot);
  const samples = new Map<ProfileKind, SampleColumns>();
  const rowCountMax = orUnbounded(limits.sampleCountMax);
  const slots = { context: SLOT_CONTEXT, span: SLOT_SPAN, spanName: SLOT_SPAN_NAME };
  const sink = {
    sampledEvent: "",
    add(kind: ProfileKind, stack: number, values: Float64Array, first: number, second: number): void {
      let columns = samples.get(kind);
      if (columns === undefined) samples.set(kind, (columns = new SampleColumns(rowCountMax)));
      columns.add(stack, correlations.numberOf(values, slots), first, second);
    },
  };
  let startNs = 0n;
  let durationNs = 0n;
  let chunkStacks: ChunkStacks | undefined;
  for (let at = 0; at < bytes.length; ) {
    const header = readChunkHeader(bytes, at);
    const layouts = new ValueLayouts(readMetadata(bytes, header.metadataAt, header.end));
    const pools = readConstantPools(bytes, layouts, { lastCheckpointAt: header.lastCheckpointAt, from: header.eventsAt, end: header.end });
    const texts = new ChunkTexts(bytes, pools, budget);
    chunkStacks = new ChunkStacks(bytes, layouts, pools, { frames, stacks, texts, budget }, chunkStacks);
    const states = new ThreadStates(bytes, layouts, pools, texts);
    readEvents(bytes, header, layouts, { stacks: chunkStacks, states, texts }, sink);
    if (at === 0) startNs = header.startNs;
    durationNs += header.durationNs;
    at = header.end;
  }
  return { samples, frames, stacks, correlations, sampledEvent: sink.sampledEvent, startNs, durationNs };
}
