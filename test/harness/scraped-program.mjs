/** A program with a heap profile that counts from its start, and notes who asked for it. Members of a cluster are told apart by the user name that they send. */
import { once } from "node:events";
import { createServer } from "node:http";
import { Function as PprofFunction, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";

/** What it allocates in a millisecond. */
const BYTES_PER_MS = 1_000;

export class ScrapedProgram {
  /** In the order of the answers: who asked, and what the program had allocated then. */
  answers = [];
  #server;
  #startedMs = performance.now();
  #waiting = new Set();

  static async start() {
    const program = new ScrapedProgram();
    program.#server = createServer((request, reply) => program.#answer(request, reply)).listen(0, "127.0.0.1");
    await once(program.#server, "listening");
    return program;
  }

  get address() {
    return `127.0.0.1:${this.#server.address().port}`;
  }

  /** Resolves once `holds` is true of the answers: it is asked at once, and after each answer. */
  until(holds) {
    if (holds(this.answers)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ holds, resolve }));
  }

  /** The answers, cut where another one began to ask. */
  get runs() {
    return runsOf(this.answers);
  }

  /** The names of who asked, one for each row. */
  get askers() {
    return runsOf(this.answers).map(([first]) => first.asker);
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #answer(request, reply) {
    const [asker] = Buffer.from(request.headers.authorization?.replace("Basic ", "") ?? "", "base64").toString().split(":");
    const bytes = Math.floor((performance.now() - this.#startedMs) * BYTES_PER_MS);
    reply.end(heapProfile(bytes));
    this.answers.push({ asker, bytes });
    for (const waiting of this.#waiting) {
      if (waiting.holds(this.answers) && this.#waiting.delete(waiting)) waiting.resolve();
    }
  }
}

function runsOf(answers) {
  const runs = [];
  for (const answer of answers) {
    if (runs.at(-1)?.[0].asker === answer.asker) runs.at(-1).push(answer);
    else runs.push([answer]);
  }
  return runs;
}

/** As Go writes it, with one stacktrace and without a time. */
function heapProfile(bytes) {
  const strings = new StringTable();
  const id = (text) => strings.dedup(text);
  const type = (name, unit) => new ValueType({ type: id(name), unit: id(unit) });
  return Buffer.from(
    new Profile({
      sampleType: [type("alloc_objects", "count"), type("alloc_space", "bytes"), type("inuse_objects", "count"), type("inuse_space", "bytes")],
      periodType: type("space", "bytes"),
      period: 524_288,
      function: [new PprofFunction({ id: 1, name: id("main.allocate"), systemName: id("main.allocate"), filename: id("main.go") })],
      location: [new Location({ id: 1, line: [new Line({ functionId: 1, line: 1 })] })],
      sample: [new Sample({ locationId: [1], value: [Math.floor(bytes / 100), bytes, 1, 100] })],
      stringTable: strings,
    }).encode(),
  );
}
