/**
 * Random histories of the model's world: few, large steps for two seeds of three, many small ones for the third. Each seed has a taste of its own: which
 * faults, how many.
 */
import { type Random, seededRandom } from "@pyromesh/base";
import type { Action, Violation, WorldOptions } from "./model-state.ts";
import { ModelWorld } from "./model-world.ts";

export const WORLDS: readonly WorldOptions[] = [
  { n: 3, slots: 4, rf: 1 },
  { n: 3, slots: 4, rf: 2 },
  { n: 3, slots: 4, rf: 3 },
  { n: 4, slots: 5, rf: 2 },
  { n: 4, slots: 5, rf: 3 },
  { n: 5, slots: 5, rf: 1 },
  { n: 5, slots: 6, rf: 2 },
  { n: 5, slots: 6, rf: 3 },
  { n: 5, slots: 5, rf: 5 },
  { n: 3, slots: 3, rf: 3, isGrowing: true },
  { n: 3, slots: 5, rf: 3 },
];

export interface RandomRun {
  readonly world: ModelWorld;
  readonly options: WorldOptions;
  readonly history: readonly Action[];
  readonly violation: Violation | undefined;
}

/** Draws a history while it runs, so that its actions are mostly possible. The same seed draws the same. */
export function runRandomHistory(seed: number, off: readonly string[] = []): RandomRun {
  const random = seededRandom(seed);
  const draw = new Draw(random);
  const base = WORLDS[seed % WORLDS.length]!;
  // News travel alone in half of the histories, and the disk is late in two of five. Random sources of their own: a shortened history draws alike.
  const options: WorldOptions = { ...base, storeSeed: 1 + (seed % 997), newsSeed: seed % 2 === 0 ? seed : 0, diskSeed: seed % 5 < 2 ? seed : 0 };
  const world = new ModelWorld(options, off);
  const history: Action[] = [];
  const isFine = seed % 3 === 0;
  const bag = isFine ? fineBag(draw, world, options) : coarseBag(draw, world, options);
  const steps = isFine ? 80 : 20;
  for (let step = 0; step < steps && world.violation === undefined; step++) {
    for (const action of bag.draw()()) {
      if (world.violation !== undefined) break;
      if (world.apply(action) || action[0] === "PUSH" || action[0] === "push") history.push(action);
    }
  }
  if (world.violation === undefined) world.finish();
  return { world, options, history, violation: world.violation };
}

class Draw {
  readonly #random: Random;
  record: number;
  op = 1;

  constructor(random: Random) {
    this.#random = random;
    this.record = this.int(3);
  }

  int(end: number): number {
    return Math.floor(this.#random.float() * end);
  }

  chance(probability: number): boolean {
    return this.#random.float() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)]!;
  }

  pickOr<T>(items: readonly T[], fallback: T): T {
    return items.length === 0 ? fallback : this.pick(items);
  }

  /** A push: of a new record, or of one again, by another node. */
  push(kind: "PUSH" | "push", node: number, slots: number): Action {
    const isAgain = this.record > 0 && this.chance(0.25);
    return [kind, node, isAgain ? this.int(this.record) : this.record++, this.op++, isAgain && this.chance(0.5) ? this.int(slots) : 0];
  }
}

type Make = () => readonly Action[];

class Bag {
  readonly #draw: Draw;
  readonly #items: { readonly weight: number; readonly make: Make }[] = [];
  #total = 0;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  add(weight: number, make: () => Action): void {
    this.addMany(weight, () => [make()]);
  }

  addMany(weight: number, make: Make): void {
    this.#items.push({ weight, make });
    this.#total += weight;
  }

  draw(): Make {
    let rest = this.#draw.int(1 << 30) / (1 << 30) * this.#total;
    for (const { weight, make } of this.#items) {
      rest -= weight;
      if (rest < 0) return make;
    }
    return this.#items[0]!.make;
  }
}

const BEAT: Action = ["beat"];

function openOps(world: ModelWorld): number[] {
  return [...world.pushes].filter(([, push]) => !push.isDone).map(([op]) => op);
}

function openQueries(world: ModelWorld): number[] {
  return [...world.queries].filter(([, query]) => query.end === undefined).map(([op]) => op);
}

function leavers(world: ModelWorld): number[] {
  return world.nodes.filter((d) => d.exists && d.isUp && ["leaving", "left"].includes(d.table.own.status)).map((d) => d.i);
}

function coarseBag(draw: Draw, world: ModelWorld, options: WorldOptions): Bag {
  const bag = new Bag(draw);
  const { slots } = options;
  const isGrowing = options.isGrowing === true;
  const n = isGrowing || draw.chance(0.3) ? slots : options.n;
  const kinds = ["wipe", "crash", "pause", "split", "isolate", "cut", "send", "ask", "probe", "join", "leave", "kill", "list", "restarts", "freeze", "clears"];
  const on = new Set(Array.from({ length: 4 }, () => draw.pick(kinds)));
  if (isGrowing) on.add("join");
  if (draw.chance(0.6)) on.add("wipe");
  if (draw.chance(0.5)) on.add("split");
  const paused = (): number => draw.pickOr(world.nodes.filter((d) => d.isPaused).map((d) => d.i), 0);
  bag.add(5, () => draw.push("PUSH", draw.int(n), slots));
  bag.add(5, () => ["time", draw.pick([1, 3, 8, 8])]);
  bag.add(3, () => ["FLUSH"]);
  bag.add(1.5, () => ["flush", draw.int(n)]);
  bag.add(3, () => ["QUERY", draw.int(n), draw.op++]);
  bag.add(1, () => ["drop", draw.int(n)]);
  bag.add(1, () => ["heal"]);
  if (on.has("split")) bag.add(4, () => ["split", 1 + draw.int((1 << n) - 2)]);
  if (on.has("isolate")) {
    bag.add(3, () => ["isolate", draw.int(n)]);
    bag.add(2, () => ["mend", draw.int(n), draw.int(n)]);
  }
  if (on.has("cut")) {
    bag.add(3, () => ["cut", draw.int(n), draw.int(n)]);
    bag.add(1, () => ["cut1", draw.int(n), draw.int(n)]);
    bag.add(2, () => ["mend", draw.int(n), draw.int(n)]);
  }
  if (on.has("wipe")) bag.add(2.5, () => ["wipe", draw.int(n)]);
  if (on.has("crash")) {
    bag.add(2, () => ["crash", draw.int(n)]);
    bag.add(3, () => ["restart", draw.int(n)]);
  }
  if (on.has("restarts")) {
    bag.addMany(2, () => {
      const i = draw.int(n);
      return [["crash", i], ["restart", i]];
    });
  }
  if (on.has("pause")) {
    bag.add(2, () => ["pause", draw.int(n)]);
    bag.add(3, () => ["resume", paused()]);
  }
  if (on.has("freeze")) {
    bag.add(2, () => ["freeze", draw.int(n)]);
    bag.add(3, () => ["resume", paused()]);
  }
  if (on.has("clears")) bag.addMany(2, () => [["isolate", draw.int(n)], ["time", 8], ["FLUSH"], ["time", 8]]);
  if (on.has("send")) {
    bag.add(4, () => ["SEND", draw.int(n), draw.record++, draw.op++, 1 + draw.int(7)]);
    bag.add(4, () => ["SETTLE", draw.pickOr(openOps(world).slice(-2), 0)]);
    bag.add(1, () => ["append", draw.pickOr(openOps(world).slice(-2), 0), draw.int(3)]);
  }
  if (on.has("ask")) {
    bag.add(3, () => ["qStart", draw.int(n), draw.op++]);
    bag.add(4, () => ["ASK", draw.pickOr(openQueries(world).slice(-2), 0), 1 + draw.int((1 << n) - 1)]);
    bag.add(3, () => ["qEnd", draw.pickOr(openQueries(world).slice(-2), 0)]);
  }
  if (on.has("probe")) {
    bag.add(4, () => ["PROBE", draw.int(n), (1 << n) - 1]);
    bag.add(3, () => ["HEAR", draw.int(n)]);
    bag.add(2, () => ["pause", draw.int(n)]);
    bag.add(2, () => ["resume", draw.int(n)]);
    bag.add(2, () => ["tick"]);
  }
  if (on.has("join")) bag.add(2.5, () => ["join", draw.int(slots)]);
  if (on.has("leave")) {
    bag.add(1.2, () => (world.left.size + world.killed.size + leavers(world).length > 1 ? ["time", 1] : ["leave", draw.int(n)]));
    bag.add(3, () => ["left", draw.pickOr(leavers(world), 0)]);
  }
  if (on.has("kill")) bag.add(0.7, () => (world.killed.size > 0 || world.left.size > 0 || isGrowing ? BEAT : ["kill", draw.int(options.n)]));
  if (on.has("list")) addListing(bag, draw, () => draw.int(n), () => draw.int(n));
  return bag;
}

function addListing(bag: Bag, draw: Draw, node: () => number, lister: () => number): void {
  bag.add(2, () => ["seal", node()]);
  bag.add(3, () => ["put", node()]);
  bag.add(2, () => ["list1", lister(), draw.pick([1, 2])]);
  bag.add(2, () => ["list2", lister()]);
  bag.add(1, () => ["takeover", node()]);
  bag.add(1, () => ["release", node()]);
  bag.add(1, () => ["drop", node()]);
}

function fineBag(draw: Draw, world: ModelWorld, options: WorldOptions): Bag {
  const bag = new Bag(draw);
  const { slots } = options;
  const isGrowing = options.isGrowing === true;
  const node = (): number => draw.int(slots);
  const up = (): number => draw.pickOr(world.nodes.filter((d) => world.isOn(d)).map((d) => d.i), node());
  const down = (): number => draw.pickOr(world.nodes.filter((d) => d.exists && !d.isUp).map((d) => d.i), node());
  const paused = (): number => draw.pickOr(world.nodes.filter((d) => d.isPaused).map((d) => d.i), node());
  bag.add(8, () => draw.push("PUSH", up(), slots));
  bag.add(6, () => ["time", draw.pick([1, 2, 4, 6, 8])]);
  bag.add(4, () => ["FLUSH"]);
  bag.add(3, () => ["flush", up()]);
  bag.add(6, () => ["QUERY", up(), draw.op++]);
  bag.add(2, () => ["drop", up()]);
  if (draw.chance(0.7)) {
    bag.add(3, () => ["isolate", node()]);
    bag.add(2, () => ["cut", node(), node()]);
    bag.add(0.7, () => ["cut1", node(), node()]);
    bag.add(3, () => ["mend", node(), node()]);
    bag.add(2, () => ["heal"]);
  }
  if (draw.chance(0.4)) {
    bag.add(2, () => ["pause", node()]);
    bag.add(3, () => ["resume", paused()]);
  }
  if (draw.chance(0.4)) {
    bag.add(2, () => ["crash", node()]);
    bag.add(3, () => ["restart", down()]);
  }
  if (draw.chance(0.5)) bag.add(1.5, () => ["wipe", draw.int(options.n)]);
  if (draw.chance(0.25)) bag.add(0.5, () => (world.killed.size > 0 || world.left.size > 0 || isGrowing ? BEAT : ["kill", draw.int(options.n)]));
  if (draw.chance(0.15)) {
    bag.add(0.8, () => (world.left.size + world.killed.size + leavers(world).length >= slots - 2 ? BEAT : ["leave", node()]));
    bag.add(2, () => ["left", draw.pickOr(leavers(world), node())]);
  }
  if (isGrowing || (slots > options.n && draw.chance(0.4))) bag.add(isGrowing ? 3 : 1.5, () => ["join", node()]);
  if (draw.chance(0.2)) {
    bag.add(1, () => ["bucketDown"]);
    bag.add(2, () => ["bucketUp"]);
  }
  if (draw.chance(0.3)) {
    bag.add(2, () => ["seal", up()]);
    bag.add(2, () => ["putUnsure", up()]);
    bag.add(1, () => ["crash", node()]);
    bag.add(1, () => ["restart", node()]);
  }
  if (draw.chance(0.3)) addListing(bag, draw, up, up);
  if (draw.chance(0.6)) {
    const op = (): number => draw.pickOr(openOps(world).slice(-3), 0);
    bag.add(3, () => draw.push("push", up(), slots));
    bag.add(6, () => ["append", op(), draw.int(3)]);
    bag.add(6, () => ["ack", op(), draw.int(3)]);
    bag.add(6, () => ["receive", op(), draw.int(3)]);
    bag.add(4, () => ["reply", op()]);
    bag.add(4, () => ["deliver", op()]);
  }
  if (draw.chance(0.3)) {
    const query = (): number => draw.pickOr(openQueries(world).slice(-2), 0);
    bag.add(3, () => ["qStart", up(), draw.op++]);
    bag.add(8, () => ["qAsk", query(), node()]);
    bag.add(3, () => ["qEnd", query()]);
  }
  if (draw.chance(0.4)) {
    bag.add(3, () => ["tick"]);
    bag.add(3, () => ["probe1", up(), up()]);
    bag.add(3, () => ["probe2", up(), up()]);
    bag.add(3, () => ["probe3", up(), up()]);
    bag.add(3, () => ["gossip", up(), up()]);
    bag.add(2, () => ["declare", up(), node()]);
    bag.add(2, () => ["facts", up()]);
  }
  return bag;
}
