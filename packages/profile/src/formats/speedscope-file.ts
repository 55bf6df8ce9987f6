/**
 * Reads a speedscope file: its frames, and of each profile the weight of each stack. Profiles may stand before the frames, and what says how a
 * profile is to be read may stand behind its samples, so stacks are kept by the numbers of their frames, in one tree for all profiles.
 */
import { JsonFault, JsonReader } from "@pyromesh/base";
import type { JsonBounds } from "@pyromesh/base";
import type { ProfileLimits } from "../labels/limits.ts";
import { malformed, refusal } from "../labels/refusal.ts";
import { FRAME_COUNT_MAX, ROOT, StackTree } from "./stack-tree.ts";
import type { StackFrame, StackNode } from "./stack-tree.ts";

export interface SpeedscopeFile {
  readonly frames: readonly StackFrame[];
  readonly profiles: readonly SpeedscopeProfile[];
  readonly tree: StackTree;
}

export interface SpeedscopeProfile {
  readonly name: string;
  readonly type: string;
  readonly unit: string;
  readonly startValue: number;
  /** None is negative. */
  readonly weights: ReadonlyMap<StackNode, number>;
}

const SCHEMA = "https://www.speedscope.app/file-format-schema.json";

/** A file has a depth of six. As many values as 16 MiB of samples of one frame each. */
const BOUNDS: JsonBounds = { depthMax: 32, valueCountMax: 2 ** 22 };
/** Each becomes a series of its own: far more than the threads of a program. */
const PROFILE_COUNT_MAX = 1024;

/** Throws a refusal, or JsonFault. */
export function readSpeedscopeFile(body: Uint8Array, limits: ProfileLimits): SpeedscopeFile {
  const reader = new JsonReader(body, BOUNDS);
  const tree = new StackTree(limits);
  let schema: string | undefined;
  let frames: StackFrame[] | undefined;
  let profiles: ReadProfile[] | undefined;
  reader.beginObject();
  for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
    if (key === "$schema") schema = reader.text();
    else if (key === "shared") frames = readShared(once(frames, "shared", reader));
    else if (key === "profiles") profiles = readProfiles(once(profiles, "profiles", reader), tree);
    else reader.skip();
  }
  reader.end();
  if (schema !== SCHEMA) throw malformed(`$schema is ${schema === undefined ? "missing" : JSON.stringify(schema.slice(0, 100))}: send a file of speedscope, whose $schema is ${SCHEMA}`);
  if (frames === undefined || profiles === undefined) throw malformed(`the file has no ${frames === undefined ? "shared.frames" : "profiles"}: send the file as its exporter wrote it`);
  for (const { name, frameMax } of profiles) {
    if (frameMax >= frames.length) throw malformed(`profile ${JSON.stringify(name.slice(0, 100))} refers to frame ${frameMax} and there are ${frames.length}, the first of which is 0: send the file as its exporter wrote it`);
  }
  return { frames, profiles, tree };
}

/** The reader of a value that was not given before. Other readers would take the last of two, or add them up. */
function once(before: unknown, key: string, reader: JsonReader): JsonReader {
  if (before !== undefined) throw malformed(`${JSON.stringify(key)} is given twice: send it once`);
  return reader;
}

function readShared(reader: JsonReader): StackFrame[] {
  let frames: StackFrame[] | undefined;
  reader.beginObject();
  for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
    if (key !== "frames") {
      reader.skip();
      continue;
    }
    once(frames, "frames", reader).beginList();
    frames = [];
    while (reader.nextItem()) frames.push(readFrame(reader));
  }
  return frames ?? [];
}

function readFrame(reader: JsonReader): StackFrame {
  let name: string | undefined;
  let file: string | undefined;
  let line: number | undefined;
  reader.beginObject();
  for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
    if (key === "name") name = reader.text();
    else if (key === "file" && reader.kind === "text") file = reader.text();
    else if (key === "line" && reader.kind === "other") line = reader.number();
    else reader.skip();
  }
  if (name === undefined) throw malformed("a frame has no name: send the file as its exporter wrote it");
  return { name, file, line: line !== undefined && Number.isInteger(line) && line > 0 && line < 2 ** 31 ? line : undefined };
}

interface ReadProfile extends SpeedscopeProfile {
  /** The greatest number of a frame; -1: no frame. */
  readonly frameMax: number;
}

function readProfiles(reader: JsonReader, tree: StackTree): ReadProfile[] {
  const profiles: ReadProfile[] = [];
  reader.beginList();
  while (reader.nextItem()) {
    if (profiles.length === PROFILE_COUNT_MAX) throw refusal("profile_size_limit", `the file has more than ${PROFILE_COUNT_MAX} profiles: send fewer in one file`);
    profiles.push(readProfile(reader, tree));
  }
  return profiles;
}

function readProfile(reader: JsonReader, tree: StackTree): ReadProfile {
  let name = "";
  let type = "";
  let unit = "";
  let startValue = 0;
  let events: Events | undefined;
  let samples: Samples | undefined;
  let weights: number[] | undefined;
  reader.beginObject();
  for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
    if (key === "name") name = reader.text();
    else if (key === "type") type = reader.text();
    else if (key === "unit") unit = reader.text();
    else if (key === "startValue") startValue = finite(reader.number(), "startValue");
    else if (key === "events") events = readEvents(once(events, key, reader), tree);
    else if (key === "samples") samples = readSamples(once(samples, key, reader), tree);
    else if (key === "weights") weights = readWeights(once(weights, key, reader));
    else reader.skip();
  }
  const shown = JSON.stringify(name.slice(0, 100));
  switch (type) {
    case "evented":
      if (events === undefined) throw malformed(`profile ${shown} is evented and has no events: send the file as its exporter wrote it`);
      if (events.first < startValue) throw malformed(`profile ${shown} begins at ${startValue} and has an event at ${events.first}, before it: send the file as its exporter wrote it`);
      return { name, type, unit, startValue, weights: events.weights, frameMax: events.frameMax };
    case "sampled":
      if (samples === undefined || weights?.length !== samples.stacks.length) {
        throw malformed(`profile ${shown} has ${samples?.stacks.length ?? 0} samples and ${weights?.length ?? 0} weights: send one weight for each sample`);
      }
      return { name, type, unit, startValue, weights: addedUp(samples.stacks, weights), frameMax: samples.frameMax };
    default:
      throw malformed(`profile ${shown} has the type ${JSON.stringify(type.slice(0, 100))}: send evented or sampled`);
  }
}

// --- sampled ----------------------------------------------------------------------------------------------------------

interface Samples {
  readonly stacks: readonly StackNode[];
  readonly frameMax: number;
}

function readSamples(reader: JsonReader, tree: StackTree): Samples {
  const stacks: StackNode[] = [];
  let frameMax = -1;
  reader.beginList();
  while (reader.nextItem()) {
    let node = ROOT;
    reader.beginList();
    while (reader.nextItem()) {
      const frame = frameIn(reader);
      if (frame > frameMax) frameMax = frame;
      node = tree.child(node, frame);
    }
    stacks.push(node);
  }
  return { stacks, frameMax };
}

function readWeights(reader: JsonReader): number[] {
  const weights: number[] = [];
  reader.beginList();
  while (reader.nextItem()) {
    const weight = finite(reader.number(), "a weight");
    if (weight < 0) throw malformed(`weight ${weights.length} is ${weight}: send no negative weights`);
    weights.push(weight);
  }
  return weights;
}

function addedUp(stacks: readonly StackNode[], weights: readonly number[]): Map<StackNode, number> {
  const sums = new Map<StackNode, number>();
  for (const [i, node] of stacks.entries()) sums.set(node, (sums.get(node) ?? 0) + weights[i]!); // as many as stacks
  return sums;
}

// --- evented ----------------------------------------------------------------------------------------------------------

interface Events {
  readonly weights: ReadonlyMap<StackNode, number>;
  readonly frameMax: number;
  /** When the first one is. */
  readonly first: number;
}

function readEvents(reader: JsonReader, tree: StackTree): Events {
  const weights = new Map<StackNode, number>();
  const open: number[] = [];
  const nodes: StackNode[] = [ROOT];
  let first = Infinity;
  let last = -Infinity;
  let frameMax = -1;
  let index = 0;
  reader.beginList();
  for (; reader.nextItem(); index++) {
    const { type, frame, at } = readEvent(reader, index);
    if (at < last) throw malformed(`event ${index} is at ${at}, and the one before it at ${last}: send events in the order of their times`);
    if (open.length > 0 && at > last) weights.set(nodes.at(-1)!, (weights.get(nodes.at(-1)!) ?? 0) + (at - last));
    if (index === 0) first = at;
    last = at;
    if (type === "O") {
      if (frame > frameMax) frameMax = frame;
      nodes.push(tree.child(nodes.at(-1)!, frame));
      open.push(frame);
    } else if (open.pop() === frame) nodes.pop();
    else throw malformed(`event ${index} closes frame ${frame}, which is not the one that was opened last: send the file as its exporter wrote it`);
  }
  if (open.length > 0) throw malformed(`frame ${open.at(-1)} is opened and never closed: send the file as its exporter wrote it`);
  return { weights, frameMax, first };
}

function readEvent(reader: JsonReader, index: number): { readonly type: "O" | "C"; readonly frame: number; readonly at: number } {
  let type = "";
  let frame: number | undefined;
  let at: number | undefined;
  reader.beginObject();
  for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
    if (key === "type") type = reader.text();
    else if (key === "frame") frame = frameIn(reader);
    else if (key === "at") at = finite(reader.number(), "at");
    else reader.skip();
  }
  if (type !== "O" && type !== "C") throw malformed(`event ${index} has the type ${JSON.stringify(type.slice(0, 40))}: send O (opens) or C (closes)`);
  if (frame === undefined || at === undefined) throw malformed(`event ${index} has no ${frame === undefined ? "frame" : "at"}: send the file as its exporter wrote it`);
  return { type, frame, at };
}

// --- numbers ----------------------------------------------------------------------------------------------------------

function frameIn(reader: JsonReader): number {
  const frame = reader.number();
  if (!Number.isInteger(frame) || frame < 0 || frame >= FRAME_COUNT_MAX) throw malformed(`frame ${frame} is no index of a frame: send the file as its exporter wrote it`);
  return frame;
}

function finite(value: number, what: string): number {
  if (!Number.isFinite(value)) throw new JsonFault(`${what} is beyond the range of numbers`);
  return value;
}
