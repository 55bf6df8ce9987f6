import { expect } from "chai";
import { PushGenerator } from "../load/generator.ts";
import { HttpClient } from "../load/http-client.ts";
import { Ledger } from "../load/ledger.ts";
import { defaultCorpusFolder, hasCorpus } from "../load/options.ts";
import { readPrograms } from "../load/program.ts";
import { FakeServer } from "../load/testing/fake-server.ts";
import { verify } from "../load/verify.ts";
import type { Fates } from "./open-loop.ts";
import { openLoad, quantile } from "./open-loop.ts";
import { PushSockets } from "./push-sockets.ts";
import { RepeatedPushes } from "./repeated-pushes.ts";

const WORKLOAD = { seed: 7, pushCount: 10, podCount: 10, serviceCount: 2, servicePrefix: "t", endMs: 1_795_419_000_000 };
const GATE = '{"code":"unavailable","message":"this node works on 64 pushes and ends 20 a second: try again in 4 s, or at another node"}';
const ACKS = '{"code":"unavailable","message":"1 of 2 stores answered"}';

describe("bench cluster overload: an open load", () => {
  it("knows of each push what became of it: what the gate refused is not stored, what failed otherwise may be", async () => {
    const answers = [
      { status: 200, text: "" },
      { status: 503, text: GATE, retryAfter: 4 },
      { status: 503, text: ACKS },
      { status: 400, text: "no" },
    ];
    const fates: Fates = { refused: [], unsure: [] };
    const outcome = await openLoad(
      { first: 100, perSecond: 10_000, seconds: 0.0005, nodeCount: 3 },
      { body: () => Buffer.alloc(0), post: async () => ({ retryAfter: undefined, ...(answers.shift() ?? (await Promise.reject(new Error("gone")))) }), fates },
    );
    expect(outcome.sent.map(({ status, node, isUntimed }) => [status, node, isUntimed])).to.have.deep.members([[200, 1, false], [503, 2, false], [503, 0, true], [400, 1, false], [0, 2, false]]);
    expect(fates).to.deep.equal({ refused: [101, 103], unsure: [102, 104] });
    expect([...outcome.refusals.keys()][0]).to.contain("this node works on N pushes");
  });

  it("how late a push was sent is kept apart from how long its answer took", async () => {
    const holdMs = 60;
    const post = async (): Promise<{ status: number; retryAfter: undefined; text: string }> => {
      for (const untilMs = performance.now() + holdMs; performance.now() < untilMs; );
      return { status: 200, retryAfter: undefined, text: "" };
    };
    const { sent } = await openLoad({ first: 0, perSecond: 1_000, seconds: 0.003, nodeCount: 1 }, { body: () => Buffer.alloc(0), post, fates: { refused: [], unsure: [] } });
    expect(Math.max(...sent.map(({ lateMs }) => lateMs))).to.be.at.least(holdMs * 1.5);
    expect(sent).to.have.length(3);
  });

  it("a share of the values, in any order; of none there is none", () => {
    expect([quantile([3, 1, 2], 0.5), quantile([3, 1, 2], 1), quantile([], 0.5)]).to.deep.equal([2, 3, NaN]);
  });

  describe("contents that are repeated", function () {
    before(function () {
      if (!hasCorpus(defaultCorpusFolder())) this.skip();
    });

    for (const [what, lost] of [["are all found", -1], ["are missed where one is lost", 17]] as const) {
      it(`over sockets, under an id each, they ${what}`, async () => {
        const server = new FakeServer();
        const url = await server.listen();
        server.fate = (n) => ({ times: n === lost ? 0 : 1, status: 200 });
        const programs = readPrograms(defaultCorpusFolder());
        const pushes = await RepeatedPushes.make(new PushGenerator(WORKLOAD, programs));
        expect(pushes.body(3).subarray(-36).toString()).to.equal("00000000-0000-4000-8000-000000000003");
        expect(pushes.body(13).subarray(0, -36).equals(pushes.body(3).subarray(0, -36))).to.equal(true);
        const sockets = new PushSockets(url);
        const fates: Fates = { refused: [], unsure: [] };
        const { sent } = await openLoad({ first: 0, perSecond: 1_000, seconds: 0.04, nodeCount: 1 }, { body: (push) => pushes.body(push), post: (_, body) => sockets.post(body), fates });
        sockets.close();
        expect(sent.filter(({ status }) => status === 200)).to.have.length(40);
        const all = new PushGenerator({ ...WORKLOAD, pushCount: 40, distinctCount: 10 }, programs);
        const client = new HttpClient({ url, headers: {}, socketCountMax: 4 });
        const { mismatches } = await verify({ workload: all.workload, profileSeriesCount: 1 }, { ledger: Ledger.of(all, fates), client, progress: () => {} });
        if (lost < 0) expect(mismatches).to.deep.equal([]);
        else expect(mismatches[0]).to.contain("lost");
        await server.close();
      }).timeout(60_000);
    }
  });
});
