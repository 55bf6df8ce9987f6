/** Random histories of pushes, flushes, faults and queries over three or five stores, step by step and in the middle of queries: an answer is exact, or refused. */
import { seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import { HeadsWorld, RECORDS_MAX } from "../../testing/heads-world.ts";

const THREE = ["a", "b", "c"];
const FIVE = [...THREE, "d", "e"];
const REPLICATION = 3;
const STEP_COUNT = 40;
const ACKS = 2;

class History {
  readonly world: HeadsWorld;
  readonly steps: string[] = [];
  readonly #names: readonly string[];
  readonly #random: ReturnType<typeof seededRandom>;
  readonly #down = new Set<string>();
  #hasLost = false;
  #nextNumber = 0;
  #isCalm = false;
  /** Records that some store may hold, and those that were acknowledged. */
  readonly pushed = new Set<number>();
  readonly acked = new Set<number>();
  answered = 0;
  refused = 0;

  constructor(seed: number) {
    this.#names = seed % 2 === 0 ? THREE : FIVE;
    this.world = new HeadsWorld(this.#names, { seed, replication: REPLICATION });
    this.#random = seededRandom(seed);
  }

  async run(): Promise<void> {
    const { world } = this;
    await world.start();
    world.cluster.onRequest = async (_, to, method) => {
      if (method === "release-pin" || this.#draw(4) > 0) return;
      await this.#flushStep(to);
      if (this.#draw(3) === 0) await this.#push();
      if (this.#draw(20) === 0) {
        this.#note(`${to} forgets its views`);
        world.of(to).holder.views.stop();
      }
    };
    for (let step = 0; step < STEP_COUNT; step++) {
      await world.pass(1 + this.#draw(5));
      await this.#step();
    }
    this.#isCalm = true;
    world.cluster.onRequest = () => {};
    world.cluster.heal();
    for (const name of this.#names) world.cluster.updateMember(name, { isSuspect: false });
    // A store with a loss that nobody acknowledged counts as one that failed, and a member that is not known yet may be another.
    for (const name of this.#names) await this.#query(name, { mustAnswer: !this.#hasLost });
  }

  async #step(): Promise<void> {
    const { cluster } = this.world;
    const name = this.#one(this.#names);
    const other = this.#one(this.#names.filter((one) => one !== name));
    switch (this.#draw(15)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#push();
      case 4:
      case 5:
      case 6:
        return this.#flushStep(name);
      case 7: {
        this.#note(`restart ${name}`);
        await this.world.of(name).restart();
        if (this.#down.has(name)) cluster.stop(name);
        return;
      }
      case 8:
        if (this.#down.size > 0) {
          this.#note("heal");
          cluster.heal();
          this.#down.clear();
        } else {
          this.#note(`stop ${name}`);
          cluster.stop(name);
          this.#down.add(name);
        }
        return;
      case 9:
        if (this.#draw(2) === 0) cluster.cutOneWay(name, other);
        else cluster.delay(name, other, this.#draw(300));
        this.#note(`disturb ${name} ${other}`);
        return;
      case 10: {
        const isSuspect = this.#draw(2) === 0;
        cluster.of(name).updateMember(other, { isSuspect });
        this.#note(`${name} suspects ${other}: ${isSuspect}`);
        return;
      }
      case 11:
        return this.#hide(name, other);
      case 12: {
        const [from, to] = [this.#draw(RECORDS_MAX), this.#draw(RECORDS_MAX)].sort((a, b) => a - b) as [number, number];
        // Every fifth record lies in the window before.
        if (from % 5 === 4 || to % 5 === 4) return;
        this.#note(`${other} hears of a segment that ${name} never sealed, of ${from} to ${to}`);
        await this.world.of(name).tellOfNone(other, from, to);
        return;
      }
      case 13:
        return this.#lose(name);
      default:
        return this.#query(name);
    }
  }

  async #push(): Promise<void> {
    const isRetry = this.#nextNumber > 0 && (this.#draw(4) === 0 || this.#nextNumber >= RECORDS_MAX);
    const number = isRetry ? this.#draw(this.#nextNumber) : this.#nextNumber++;
    const list = this.#shuffled(this.#names).slice(0, REPLICATION);
    const at = list.filter((name) => !this.#down.has(name) && this.#draw(4) > 0);
    this.#note(`push ${number} ${list.join("")} at ${at.join("")}`);
    this.pushed.add(number);
    await this.world.push(number, list, at);
    if (at.length >= ACKS) this.acked.add(number);
  }

  /** The file of a sealed segment is gone. Once: what two stores acknowledged, one of them still has. */
  async #lose(name: string): Promise<void> {
    if (this.#hasLost || !(await this.world.of(name).lose())) return;
    this.#hasLost = true;
    this.#note(`${name} loses the file of a segment`);
  }

  /** A member does not know of another, until it learns of it from one that it asks. */
  #hide(name: string, other: string): void {
    const cluster = this.world.cluster.of(name);
    const { members } = cluster.view;
    // A member joins by the word of a majority, which knows it from then on: so nobody is unknown to more than a minority.
    if (members.length < this.#names.length || this.#names.some((one) => one !== name && this.world.cluster.of(one).view.members.length < this.#names.length)) return;
    this.#note(`${name} does not know ${other}`);
    cluster.update({ members: members.filter((member) => member.name !== other), digest: "ff".repeat(16) });
    cluster.learnFrom = (from) => {
      if (!this.#isCalm && this.#draw(8) === 0) return Promise.reject(new Error("lost"));
      this.#note(`${name} learns from ${from}`);
      const known = new Set(cluster.view.members.map((member) => member.name));
      const news = this.#names.filter((one) => !known.has(one)).map((one) => this.world.cluster.of(one).view.self);
      cluster.update({ members: [...cluster.view.members, ...news], digest: "0".repeat(32) });
      return Promise.resolve();
    };
  }

  async #flushStep(name: string): Promise<void> {
    const member = this.world.of(name);
    const kind = this.#one(["seal", "upload", "list", "release", "tell"] as const);
    this.#note(`${kind} ${name}`);
    if (kind === "tell") member.tell(this.#one(this.#names));
    else await member[kind]();
  }

  async #query(name: string, { mustAnswer = false } = {}): Promise<void> {
    const must = [...this.acked];
    this.#note(`query ${name}`);
    const outcome = await this.world.ask(name);
    if (typeof outcome === "string") {
      this.refused++;
      if (mustAnswer) throw this.#failure(`${name} refused with ${outcome}`);
      return;
    }
    this.answered++;
    this.#note(`answered ${outcome.join(" ")}`);
    if (new Set(outcome).size !== outcome.length) throw this.#failure(`${name} counted twice: ${outcome.join(" ")}`);
    for (const number of must) if (!outcome.includes(number)) throw this.#failure(`${name} lacks ${number}: ${outcome.join(" ")}`);
    for (const number of outcome) if (!this.pushed.has(number)) throw this.#failure(`${name} made up ${number}`);
  }

  #failure(what: string): Error {
    return new Error(`${what}, after: ${this.steps.join("; ")}`);
  }

  #note(step: string): void {
    this.steps.push(step);
  }

  #draw(bound: number): number {
    return Math.floor(this.#random.float() * bound);
  }

  #one<T>(of: readonly T[]): T {
    return of[this.#draw(of.length)]!;
  }

  #shuffled<T>(of: readonly T[]): T[] {
    const left = [...of];
    return of.map(() => left.splice(this.#draw(left.length), 1)[0]!);
  }
}

describe("a query over several heads: random histories", () => {
  it("every answer has each acknowledged record once, and none twice", async function () {
    this.timeout(600_000);
    const [first, count] = [Number(process.env["HEADS_SEED"] ?? 1), Number(process.env["HEADS_SEEDS"] ?? 30)];
    let [answered, refused] = [0, 0];
    for (let seed = first; seed < first + count; seed++) {
      const history = new History(seed);
      await history.run().catch((error: unknown) => Promise.reject(new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })));
      answered += history.answered;
      refused += history.refused;
    }
    expect(answered, `${refused} were refused`).greaterThan(3 * count - 1);
    if (process.env["HEADS_SEEDS"] !== undefined) process.stdout.write(`${answered} answered, ${refused} refused\n`);
  });
});
