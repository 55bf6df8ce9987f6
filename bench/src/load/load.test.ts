import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { Profile } from "pprof-format";
import { runLoad } from "./command.ts";
import { PushGenerator } from "./generator.ts";
import { Ledger } from "./ledger.ts";
import type { LoadOptions, Workload } from "./options.ts";
import { defaultCorpusFolder, hasCorpus, readLoadOptions } from "./options.ts";
import { readPrograms, stacksOf } from "./program.ts";
import { readProcessCost } from "./process-cost.ts";
import { FakeServer } from "./testing/fake-server.ts";
import { compareSums } from "./verify.ts";

const WORKLOAD: Workload = { seed: 7, pushCount: 40, podCount: 10, serviceCount: 2, servicePrefix: "t", endMs: 1_795_419_000_000 };
const corpusFolder = defaultCorpusFolder();
const quiet = (): void => {};

function loadOptions(url: string, more: Partial<LoadOptions>): LoadOptions {
  const { workload } = { workload: WORKLOAD, ...more };
  return { ...readLoadOptions([], 1), url, workload, inFlightCount: 4, phase: "both", isFlushedAtEnd: true, profileSeriesCount: 10, aheadBytes: 300_000, ...more };
}

describe("load", function () {
  this.timeout(60_000);
  before(function () {
    if (!hasCorpus(corpusFolder)) this.skip();
  });

  describe("generator", () => {
    it("another decoder reads from a push what was drawn: stacks, values and time", () => {
      const generator = new PushGenerator(WORKLOAD, readPrograms(corpusFolder));
      for (let index = 0; index < 10; index++) {
        const plan = generator.plan(index);
        const profile = Profile.decode(new Uint8Array(generator.encodePprof(plan)));
        const { keptCount, kept, values } = generator.draw(plan);
        const columnCount = plan.program.divisors.length;
        expect(profile.sample).to.have.length(keptCount);
        expect(BigInt(profile.timeNanos)).to.equal(plan.timeNs);
        const stacks = stacksOf(profile, true);
        profile.sample.forEach((sample, i) => {
          expect(stacks[i]).to.equal(plan.program.fullStacks[kept[i]!]);
          expect(sample.value.map(Number)).to.deep.equal([...values.subarray(i * columnCount, (i + 1) * columnCount)]);
        });
      }
    });

    it("about 0.7 of the samples stay, values are whole units of the column's divisor, and zeros stay zero", () => {
      const generator = new PushGenerator(WORKLOAD, readPrograms(corpusFolder));
      let keptCount = 0;
      let sampleCount = 0;
      for (let index = 0; index < 40; index++) {
        const plan = generator.plan(index);
        const draw = generator.draw(plan);
        const { program } = plan;
        keptCount += draw.keptCount;
        sampleCount += program.sampleCount;
        const columnCount = program.divisors.length;
        const factors: number[] = [];
        for (let i = 0; i < draw.keptCount; i++) {
          for (let column = 0; column < columnCount; column++) {
            const before = program.values[draw.kept[i]! * columnCount + column]!;
            const after = draw.values[i * columnCount + column]!;
            if (before === 0) expect(after).to.equal(0);
            else {
              expect(after).to.be.at.least(program.divisors[column]!);
              expect(after % program.divisors[column]!).to.equal(0);
              if (before > 1_000 * program.divisors[column]!) factors.push(after / before);
            }
          }
        }
        for (const factor of factors) {
          expect(factor).to.be.within(Math.exp(-0.71), Math.exp(0.71));
          expect(factor, "one factor a push").to.be.closeTo(factors[0]!, 0.002);
        }
      }
      expect(keptCount / sampleCount).to.be.within(0.68, 0.72);
    });

    it("a push depends on the seed and its index alone", () => {
      const programs = readPrograms(corpusFolder);
      const one = new PushGenerator(WORKLOAD, programs);
      const other = new PushGenerator(WORKLOAD, programs);
      const late = Buffer.from(one.encodePprof(one.plan(39)));
      for (let index = 0; index < 39; index++) other.encodePprof(other.plan(index));
      expect(Buffer.from(other.encodePprof(other.plan(39))).equals(late)).to.equal(true);
      const reseeded = new PushGenerator({ ...WORKLOAD, seed: 8 }, programs);
      expect(Buffer.from(reseeded.encodePprof(reseeded.plan(39))).equals(late)).to.equal(false);
    });

    it("timestamps span the 50 minutes before the end, services and pods all occur", () => {
      const generator = new PushGenerator(WORKLOAD, readPrograms(corpusFolder));
      const plans = Array.from({ length: WORKLOAD.pushCount }, (_, index) => generator.plan(index));
      for (const { timeNs } of plans) {
        expect(Number(timeNs / 1_000_000n)).to.be.within(WORKLOAD.endMs - 3_000_000, WORKLOAD.endMs);
      }
      expect(new Set(plans.map(({ service }) => service))).to.deep.equal(new Set(["t-0", "t-1"]));
      expect(new Set(plans.map(({ pod }) => pod)).size).to.equal(10);
      expect(new Set(plans.map(({ program }) => program.file)).size).to.equal(5);
    });
  });

  describe("against a store", () => {
    let server: FakeServer;
    let url: string;
    beforeEach(async () => {
      server = new FakeServer();
      url = await server.listen();
    });
    afterEach(() => server.close());

    it("a server that stores everything verifies, in several batches, and reports its cost", async () => {
      const report = await runLoad(loadOptions(url, { pids: [process.pid] }), quiet);
      expect(report.push!.ackedCount).to.equal(40);
      expect(report.push!.failures).to.deep.equal([]);
      expect(report.verify!.mismatches).to.deep.equal([]);
      expect(report.verify!.comparedCount).to.be.greaterThan(40);
      expect(report.verify!.sumCount).to.be.greaterThan(1_000);
      expect(report.push!.flush!.status).to.equal(200);
      expect(report.push!.peakAnonymousMb!).to.be.greaterThan(1);
      expect(report.push!.gunzipMsPerPush).to.be.greaterThan(0);
      expect(report.push!.latencyMs.p50).to.be.at.most(report.push!.latencyMs.max);
    });

    for (const [what, times] of [
      ["loses", 0],
      ["doubles", 2],
    ] as const) {
      it(`one that ${what} an acknowledged push is found out by each kind of answer`, async () => {
        server.fate = (n) => ({ times: n === 17 ? times : 1, status: 200 });
        const { mismatches, mismatchCount } = (await runLoad(loadOptions(url, {}), quiet)).verify!;
        expect(mismatchCount).to.be.greaterThan(2);
        expect(mismatches[0]).to.contain(times === 0 ? "lost" : "doubled");
      });
    }

    it("a push without an acknowledgement may be there or not; a refused one must not", async () => {
      server.fate = (n) => (n === 3 ? { times: 1, status: 503 } : n === 4 ? { times: 0, status: 503 } : { times: n === 5 ? 0 : 1, status: n === 5 ? 400 : 200 });
      const report = await runLoad(loadOptions(url, {}), quiet);
      expect([report.push!.ackedCount, report.push!.unsureCount, report.push!.refusedCount]).to.deep.equal([37, 2, 1]);
      expect(report.verify!.mismatches).to.deep.equal([]);
      server.stored.length = 0;
      server.fate = (n) => ({ times: 1, status: n === 45 ? 400 : 200 });
      const again = await runLoad(loadOptions(url, {}), quiet);
      expect(again.verify!.mismatchCount).to.be.greaterThan(0);
    });

    it("verify after a restart: the ledger file is enough, and so are seed and end alone", async () => {
      const folder = mkdtempSync(path.join(os.tmpdir(), "load-"));
      try {
        const ledgerFile = path.join(folder, "ledger.json");
        server.fate = (n) => ({ times: n === 3 ? 0 : 1, status: n === 3 ? 429 : 200 });
        await runLoad(loadOptions(url, { phase: "push", ledgerFile }), quiet);
        const other = loadOptions(url, { phase: "verify", ledgerFile, workload: { ...WORKLOAD, seed: 99 } });
        expect((await runLoad(other, quiet)).verify!.mismatches).to.deep.equal([]);
        const bare = await runLoad(loadOptions(url, { phase: "verify" }), quiet);
        expect(bare.verify!.mismatchCount, "without the file the refused push is missed").to.be.greaterThan(0);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it("without a server every push fails, and none counts as stored", async () => {
      await server.close();
      const report = await runLoad(loadOptions(url, { phase: "push", isFlushedAtEnd: false }), quiet);
      expect([report.push!.ackedCount, report.push!.refusedCount]).to.deep.equal([0, 40]);
      expect(report.push!.failures).to.have.length(5);
    });
  });

  it("sums outside their bounds are reported as lost or as doubled", () => {
    const expected = new Map([
      ["a", { least: 5, most: 5 }],
      ["b", { least: 5, most: 8 }],
      ["c", { least: 0, most: 3 }],
    ]);
    expect(compareSums(expected, new Map([["a", 5], ["b", 8]]))).to.deep.equal([]);
    const told = compareSums(expected, new Map([["a", 4], ["b", 9], ["d", 1]]));
    expect(told).to.deep.equal(["a should be 5, is 4 (lost)", "b should be 5 to 8, is 9 (doubled)", "d should not be there, is 1"]);
  });

  it("the ledger's totals are the sums of its stacks", () => {
    const generator = new PushGenerator(WORKLOAD, readPrograms(corpusFolder));
    const ledger = Ledger.of(generator, { refused: [], unsure: [] });
    const sum = (expected: ReadonlyMap<string, { least: number }>): number => [...expected.values()].reduce((total, { least }) => total + least, 0);
    for (const service of ledger.services()) {
      for (const type of ledger.typesOf(service)) expect(sum(ledger.totals(service, type))).to.equal(sum(ledger.byNames(service, type)));
    }
  });

  it("options that make no sense are refused by name", () => {
    for (const args of [["--pushes", "0"], ["--in-flight", "x"], ["--phase", "both?"], ["--header", "x"], ["--bogus"]]) {
      expect(() => readLoadOptions(args, 1), args.join(" ")).to.throw(new RegExp(args[0]!));
    }
    expect(readLoadOptions(["--verify", "--url", "http://h:1/"], 5)).to.include({ phase: "both", url: "http://h:1" });
  });

  it("the cost of a process is read from /proc; one that has ended has none", function () {
    if (process.platform !== "linux") return this.skip();
    expect(readProcessCost([process.pid])!.residentBytes).to.be.greaterThan(10 * 2 ** 20);
    expect(readProcessCost([2 ** 30])).to.equal(undefined);
  });
});
