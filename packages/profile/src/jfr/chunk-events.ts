/**
 * The events of a chunk: those that hold samples are added up by kind of profile, and the others passed over by their size.
 *
 *   event: size, id of its type, then its fields
 */
import { ALLOC_SAMPLE, BLOCK, CPU, IN_NEW_TLAB, LIVE, MALLOC, MUTEX, OUTSIDE_TLAB, WALL } from "./profile-kinds.ts";
import type { ProfileKind } from "./profile-kinds.ts";
import type { ChunkHeader } from "./chunk-header.ts";
import type { ChunkStacks } from "./chunk-stacks.ts";
import type { ChunkTexts } from "./chunk-texts.ts";
import { JfrCursor, unreadable } from "./jfr-cursor.ts";
import type { WantedField } from "./struct-reader.ts";
import { StructReader } from "./struct-reader.ts";
import type { ThreadStates } from "./thread-states.ts";
import type { ValueLayouts } from "./value-layout.ts";

/** What takes the samples, and outlives the chunk. */
export interface EventSink {
  /** What the agent says that it samples: `wall`, `itimer`, `cpu`. Set by an event, and so known only to those behind it. */
  sampledEvent: string;
  add(kind: ProfileKind, stack: number, values: Float64Array, first: number, second: number): void;
}

/** What events of the chunk name. */
export interface EventSource {
  readonly stacks: ChunkStacks;
  readonly states: ThreadStates;
  readonly texts: ChunkTexts;
}

/** Where an event's fields are kept. A wide one takes two slots. */
const SLOT_STACK = 0;
const SLOT_STATE = 1;
const SLOT_VALUE = 2;
export const SLOT_CONTEXT = 4;
export const SLOT_SPAN = 6;
export const SLOT_SPAN_NAME = 8;
const SLOT_START = 10;
const SLOT_COUNT = 11;

interface SampleEvent {
  /** Undefined: which kinds an event counts for depends on the state of its thread. */
  readonly kind: ProfileKind | undefined;
  /** The field that is added up. Absent: events are only counted. */
  readonly value?: string;
  /** The field is in ticks of the chunk's clock, and becomes nanoseconds. */
  readonly isTicks?: boolean;
}

const EXECUTION_SAMPLE = "jdk.ExecutionSample";
const WALL_CLOCK_SAMPLE = "profiler.WallClockSample";
const ACTIVE_SETTING = "jdk.ActiveSetting";

/** As Pyroscope reads them, but for ticks, which it takes for nanoseconds. */
const SAMPLE_EVENTS: ReadonlyMap<string, SampleEvent> = new Map([
  [EXECUTION_SAMPLE, { kind: undefined }],
  [WALL_CLOCK_SAMPLE, { kind: undefined, value: "samples" }],
  ["jdk.ObjectAllocationInNewTLAB", { kind: IN_NEW_TLAB, value: "tlabSize" }],
  ["jdk.ObjectAllocationOutsideTLAB", { kind: OUTSIDE_TLAB, value: "allocationSize" }],
  ["jdk.ObjectAllocationSample", { kind: ALLOC_SAMPLE, value: "weight" }],
  ["jdk.JavaMonitorEnter", { kind: MUTEX, value: "duration", isTicks: true }],
  ["jdk.ThreadPark", { kind: BLOCK, value: "duration", isTicks: true }],
  ["profiler.LiveObject", { kind: LIVE }],
  ["profiler.Malloc", { kind: MALLOC, value: "size" }],
]);

interface EventReader {
  readonly name: string;
  readonly kind: ProfileKind | undefined;
  /** What the field that is added up is multiplied by. */
  readonly scale: number;
  /** An event that began before this, in ticks, is one of the chunk in which it ended. */
  readonly earlierThan: number;
  readonly struct: StructReader;
}

/** Throws a refusal. */
export function readEvents(recording: Uint8Array, header: ChunkHeader, layouts: ValueLayouts, from: EventSource, sink: EventSink): void {
  const readers = eventReaders(layouts, header);
  const cursor = new JfrCursor(recording, header.eventsAt, header.end);
  const values = new Float64Array(SLOT_COUNT);
  while (cursor.at < header.end) {
    const { at } = cursor;
    cursor.end = header.end;
    const sizeBytes = cursor.long();
    const end = at + sizeBytes;
    const typeId = cursor.long();
    if (end > header.end || end < cursor.at) throw unreadable(at, `an event says that it has ${sizeBytes} bytes, and ${header.end - at} are left of its chunk`);
    const reader = readers.get(typeId);
    if (reader !== undefined) {
      cursor.end = end;
      values.fill(0);
      reader.struct.readFront(cursor, values);
      if (reader.name === ACTIVE_SETTING) readSetting(from.texts, values, sink);
      else addSample(reader, at, values, from, sink);
    }
    cursor.at = end;
  }
}

function eventReaders(layouts: ValueLayouts, { nsPerTick, startTicks }: ChunkHeader): ReadonlyMap<number, EventReader> {
  const readers = new Map<number, EventReader>();
  for (const [name, { kind, value, isTicks = false }] of SAMPLE_EVENTS) {
    const type = layouts.types.byName.get(name);
    if (type === undefined) continue;
    const valueField: Readonly<Record<string, WantedField>> = value === undefined ? {} : { [value]: { slot: SLOT_VALUE, read: "number" } };
    const struct = new StructReader(layouts, type, { ...SAMPLE_FIELDS, ...valueField, ...(isTicks ? START_FIELD : {}) });
    // Without a stacktrace an event says nothing here.
    if (struct.has("stackTrace")) readers.set(type.id, { name, kind, scale: isTicks ? nsPerTick : 1, earlierThan: isTicks && struct.has("startTime") ? startTicks : 0, struct });
  }
  const setting = layouts.types.byName.get(ACTIVE_SETTING);
  if (setting !== undefined) readers.set(setting.id, { name: ACTIVE_SETTING, kind: undefined, scale: 1, earlierThan: 0, struct: new StructReader(layouts, setting, SETTING_FIELDS) });
  return readers;
}

const SAMPLE_FIELDS: Readonly<Record<string, WantedField>> = {
  stackTrace: { slot: SLOT_STACK, read: "number" },
  state: { slot: SLOT_STATE, read: "number" },
  contextId: { slot: SLOT_CONTEXT, read: "wide" },
  spanId: { slot: SLOT_SPAN, read: "wide" },
  spanName: { slot: SLOT_SPAN_NAME, read: "wide" },
};

const START_FIELD: Readonly<Record<string, WantedField>> = { startTime: { slot: SLOT_START, read: "number" } };

const SLOT_SETTING_NAME = 0;
const SLOT_SETTING_VALUE = 1;
const SETTING_FIELDS: Readonly<Record<string, WantedField>> = {
  name: { slot: SLOT_SETTING_NAME, read: "text" },
  value: { slot: SLOT_SETTING_VALUE, read: "text" },
};

function readSetting(texts: ChunkTexts, values: Float64Array, sink: EventSink): void {
  const [name, value] = [values[SLOT_SETTING_NAME]!, values[SLOT_SETTING_VALUE]!];
  if (name > 0 && value > 0 && texts.at(name) === "event") sink.sampledEvent = texts.at(value);
}

function addSample({ name, kind, scale, earlierThan, struct }: EventReader, at: number, values: Float64Array, from: EventSource, sink: EventSink): void {
  const id = values[SLOT_STACK]!;
  const stack = values[SLOT_START]! < earlierThan ? from.stacks.stackOfEarlier(id) : from.stacks.stack(id, at);
  if (stack < 0) return;
  const value = scale === 1 ? values[SLOT_VALUE]! : Math.round(values[SLOT_VALUE]! * scale);
  if (kind !== undefined) return sink.add(kind, stack, values, 1, value);
  const state = struct.has("state") ? from.states.nameOf(values[SLOT_STATE]!, at) : "";
  if (name === EXECUTION_SAMPLE) {
    if (state !== "STATE_SLEEPING") sink.add(CPU, stack, values, 1, 0);
    if (sink.sampledEvent === WALL_EVENT) sink.add(WALL, stack, values, 1, 0);
    return;
  }
  const count = struct.has("samples") ? value : 1;
  if (state === "STATE_RUNNABLE" && sink.sampledEvent === WALL_EVENT) sink.add(CPU, stack, values, count, 0);
  sink.add(WALL, stack, values, count, 0);
}

const WALL_EVENT = "wall";
