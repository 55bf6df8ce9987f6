/**
 * Files that people might upload and that are odd, each made of a seed alone: flame graphs as they are saved, files of other formats, and all of
 * these damaged. And what must hold for every one: it is refused with a sentence, or each of its types is drawn; and a whole flame graph
 * comes out as it went in. For `npm run fuzz` and tests.
 */
import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { readProfileFile } from "../files/profile-file.ts";
import { flameGraph } from "../graph/flame-graph.ts";
import { NameTreeBuilder } from "../graph/name-tree.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import type { FlameGraph } from "../model/results.ts";
import { drawOf } from "./draw.ts";
import type { Draw } from "./draw.ts";
import { damaged, NAMES, oddBody } from "./odd-body.ts";
import { oddPush } from "./odd-push.ts";

export interface OddFile {
  readonly bytes: Uint8Array;
  readonly name: string;
  /** Of a flame graph that is whole. */
  readonly expected: FlameGraph | undefined;
}

export function oddFile(seed: number): OddFile {
  const draw = drawOf(seed);
  const name = draw.pick(["", "a.json", "a.pb.gz", "a.jfr", "a.folded", "a.txt"]);
  if (draw.happens(0.3)) {
    const bytes = draw.pick([() => oddBody("speedscope", seed).bytes, () => oddPush(seed).bytes, () => Buffer.from(foldedOf(draw))])();
    return { bytes, name, expected: undefined };
  }
  const graph = graphOf(draw);
  const parts = { version: 1, flamebearer: { names: graph.names, levels: graph.levels, numTicks: graph.total, maxSelf: graph.maxSelf }, metadata: { format: "single", name: draw.pick(["cpu", "", "x"]), units: "samples", sampleRate: 100 }, timeline: null };
  const entries = Object.entries(parts);
  const bytes = Buffer.from(JSON.stringify(Object.fromEntries(draw.happens(0.3) ? entries.reverse() : entries)));
  return draw.happens(0.4) ? { bytes, name, expected: graph } : { bytes: damaged(bytes, draw), name, expected: undefined };
}

/** What became of it: `accepted`, or the code of the refusal. Throws where something does not hold. */
export function checkOddFile({ bytes, name, expected }: OddFile): string {
  const drawn: FlameGraph[] = [];
  try {
    for (const profile of readProfileFile(bytes, name, { limits: DEFAULT_PROFILE_LIMITS, nonce: new Uint8Array(16) }, UNINTERRUPTED)) drawn.push(flameGraph(profile.tree(UNINTERRUPTED), 0).graph);
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) throw thrown;
    expect(expected, `a whole flame graph was refused: ${thrown.message}`).equal(undefined);
    expect([thrown.kind, thrown.message.length > 20, thrown.message.length < 2000], thrown.message).deep.equal(["invalid_argument", true, true]);
    return thrown.code;
  }
  expect(drawn.length).greaterThan(0);
  if (expected !== undefined) expect(drawn).deep.equal([expected]);
  return "accepted";
}

function graphOf({ below, happens, pick }: Draw): FlameGraph {
  const builder = new NameTreeBuilder();
  for (let left = pick([0, 1, 5, 50]); left > 0; left--) {
    const depth = pick([0, 1, 3, 10, happens(0.1) ? 900 : 2]);
    builder.addStacktrace(Array.from({ length: depth }, () => pick(NAMES)), pick([1, below(1000), 2 ** 40]));
  }
  return flameGraph(builder.result(), 0).graph;
}

function foldedOf({ below, pick }: Draw): string {
  return Array.from({ length: pick([0, 1, 20]) }, () => `${Array.from({ length: pick([0, 1, 4]) }, () => pick(NAMES)).join(";")} ${pick(["1", "x", String(below(1e6)), ""])}`).join("\n");
}
