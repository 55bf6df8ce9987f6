/** A table of endpoints, requests and statuses: those of Pyroscope 2's own tests, and the recorded refusals. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { openApi } from "./testing/open-api.ts";
import type { OpenApi } from "./testing/open-api.ts";
import { corpusFolder } from "./testing/recorded.ts";

const TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const RANGE = { start: 1_700_000_000_000, end: 1_700_000_060_000 };
const BACKWARDS = { start: RANGE.end, end: RANGE.start };
const MERGE = { profileTypeID: TYPE, labelSelector: "{}", ...RANGE };
const HEAP = "memory:inuse_space:bytes:space:bytes";

type Case = readonly [name: string, body: unknown];

const NOT_A_MESSAGE: readonly Case[] = [
  ["invalid JSON", "{"],
  ["empty body", ""],
];
const BAD_RANGE: readonly Case[] = [
  ["start after end", { ...MERGE, name: "pod", step: 15, ...BACKWARDS }],
  ["no time range", { profileTypeID: TYPE, labelSelector: "{}", name: "pod", step: 15 }],
];
const BAD_SELECTION: readonly Case[] = [
  ["missing type", { labelSelector: "{}", ...RANGE, step: 15 }],
  ["empty type", { ...MERGE, profileTypeID: "", step: 15 }],
  ["invalid type", { ...MERGE, profileTypeID: "cpu", step: 15 }],
  ["missing selector", { profileTypeID: TYPE, ...RANGE, step: 15 }],
  ["invalid selector", { ...MERGE, labelSelector: "{a=", step: 15 }],
];

/** RPC -> requests that get 200 and requests that get 400. Every RPC takes only POST and two content types. */
const RPCS: Readonly<Record<string, { readonly ok: readonly Case[]; readonly bad: readonly Case[] }>> = {
  ProfileTypes: {
    ok: [
      ["valid", RANGE],
      ["zero range", { start: 0, end: 0 }],
      ["long range", { start: 1, end: RANGE.end }],
      ["short range", { start: RANGE.start, end: RANGE.start + 1 }],
      ["negative start", { start: -1, end: RANGE.end }],
      ["negative range", { start: -2, end: -1 }],
      ["numbers as strings", { start: "1000", end: "4000" }],
    ],
    bad: [...NOT_A_MESSAGE, ["start after end", BACKWARDS], ["a word for start", { start: "soon", end: 1 }], ["a word for end", { start: 1, end: "late" }]],
  },
  LabelValues: {
    ok: [
      ["valid", { name: "pod", ...RANGE }],
      ["matchers", { name: "pod", matchers: ['{a="b"}'], ...RANGE }],
      ["a name nobody has", { name: "nope", ...RANGE }],
    ],
    bad: [...NOT_A_MESSAGE, ...BAD_RANGE, ["bad matchers", { name: "pod", matchers: ["{a="], ...RANGE }], ["empty name", { name: "", ...RANGE }], ["missing name", RANGE]],
  },
  LabelNames: {
    ok: [
      ["valid", RANGE],
      ["matchers", { matchers: ['{a="b"}'], ...RANGE }],
    ],
    bad: [...NOT_A_MESSAGE, ...BAD_RANGE, ["bad matchers", { matchers: ["{a="], ...RANGE }]],
  },
  Series: {
    ok: [
      ["valid", { matchers: ['{a="b"}'], ...RANGE }],
      ["label names", { matchers: ['{a="b"}'], labelNames: ["pod"], ...RANGE }],
      ["no matchers", RANGE],
    ],
    bad: [...NOT_A_MESSAGE, ...BAD_RANGE, ["bad matchers", { matchers: ["{a="], ...RANGE }]],
  },
  SelectMergeStacktraces: {
    ok: [
      ["valid", MERGE],
      ["max nodes", { ...MERGE, maxNodes: 10 }],
      ["tree", { ...MERGE, format: "PROFILE_FORMAT_TREE" }],
      ["selector", { ...MERGE, labelSelector: '{service_name="x"}' }],
    ],
    bad: [...BAD_SELECTION, ...NOT_A_MESSAGE, ...BAD_RANGE],
  },
  SelectMergeProfile: {
    ok: [
      ["valid", MERGE],
      ["max nodes", { ...MERGE, maxNodes: 10 }],
      ["selector", { ...MERGE, labelSelector: '{service_name="x"}' }],
    ],
    bad: [...BAD_SELECTION, ...NOT_A_MESSAGE, ...BAD_RANGE],
  },
  SelectSeries: {
    ok: [
      ["valid", { ...MERGE, step: 15 }],
      ["group by", { ...MERGE, step: 15, groupBy: ["pod"] }],
      ["limit", { ...MERGE, step: 15, limit: 3 }],
    ],
    bad: [...BAD_SELECTION, ...NOT_A_MESSAGE, ...BAD_RANGE, ["no step", MERGE]],
  },
  SelectMergeSpanProfile: {
    ok: [
      ["valid", { ...MERGE, spanSelector: ["0000000000000001"] }],
      ["no spans", MERGE],
      ["max nodes", { ...MERGE, spanSelector: ["0000000000000001"], maxNodes: 10 }],
    ],
    bad: [...BAD_SELECTION, ...NOT_A_MESSAGE, ...BAD_RANGE],
  },
  Diff: {
    ok: [
      ["valid", { left: MERGE, right: MERGE }],
      ["max nodes", { left: { ...MERGE, maxNodes: 5 }, right: MERGE }],
      ["selectors", { left: { ...MERGE, labelSelector: '{a="b"}' }, right: MERGE }],
    ],
    bad: [
      ...NOT_A_MESSAGE,
      ["no left", { right: MERGE }],
      ["no right", { left: MERGE }],
      ["missing type", { left: { ...MERGE, profileTypeID: undefined }, right: MERGE }],
      ["invalid type", { left: MERGE, right: { ...MERGE, profileTypeID: "cpu" } }],
      ["missing left selector", { left: { ...MERGE, labelSelector: undefined }, right: MERGE }],
      ["missing right selector", { left: MERGE, right: { ...MERGE, labelSelector: undefined } }],
      ["cpu against heap", { left: MERGE, right: { ...MERGE, profileTypeID: HEAP } }],
      ["heap against cpu", { left: { ...MERGE, profileTypeID: HEAP }, right: MERGE }],
      ["left start after end", { left: { ...MERGE, ...BACKWARDS }, right: MERGE }],
      ["right start after end", { left: MERGE, right: { ...MERGE, ...BACKWARDS } }],
    ],
  },
  SelectHeatmap: {
    ok: [["valid", { ...MERGE, step: 15 }]],
    bad: [...BAD_SELECTION, ...NOT_A_MESSAGE, ...BAD_RANGE, ["no step", MERGE]],
  },
  AnalyzeQuery: {
    ok: [["valid", { ...RANGE, query: '{a="b"}' }]],
    bad: [...NOT_A_MESSAGE, ...BAD_RANGE, ["bad query", { ...RANGE, query: "{a=" }]],
  },
  "pyromesh.query.v1.QueryService/SelectTopTable": {
    ok: [
      ["valid", MERGE],
      ["limit, order and a name", { ...MERGE, limit: 3, sort: "TOP_TABLE_SORT_TOTAL", nameContains: "json" }],
      ["call site", { ...MERGE, stackTraceSelector: { callSite: [{ name: "main" }] } }],
      ["a limit beyond all", { ...MERGE, limit: "9007199254740993" }],
    ],
    bad: [
      ...BAD_SELECTION,
      ...NOT_A_MESSAGE,
      ...BAD_RANGE,
      ["a limit below 0", { ...MERGE, limit: -1 }],
      ["an order that is none", { ...MERGE, sort: 3 }],
      ["an order's name that is none", { ...MERGE, sort: "TOP_TABLE_SORT_NAME" }],
      ["go_pgo", { ...MERGE, stackTraceSelector: { goPgo: { keepLocations: 1 } } }],
    ],
  },
};

const QUERY = encodeURIComponent(`${TYPE}{service_name="x"}`);
const TIMES = "from=now-1h&until=now";
const RENDER_OK = [
  "",
  "&format=dot",
  "&format=dot&maxNodes=10",
  "&format=dot&max-nodes=10",
  "&format=pprof",
  "&groupBy=pod",
  "&groupBy=pod&groupBy=zone",
  "&aggregation=sum",
  "&aggregation=avg",
  "&aggregation=median",
  "&maxNodes=10",
  "&max-nodes=10",
  "&maxNodes=0",
  "&maxNodes=many",
  "&groupBy=pod&aggregation=avg&maxNodes=10&format=json",
].map((more) => `query=${QUERY}&${TIMES}${more}`);
const RENDER_BAD = [
  `query=${QUERY}&from=0&until=now`,
  `query=${QUERY}&from=now-1h&until=0`,
  `query=${QUERY}&from=0&until=0`,
  `query=${QUERY}&from=0&until=0&format=dot`,
  TIMES,
  `query=&${TIMES}`,
  `query=${encodeURIComponent("cpu{a=")}&${TIMES}`,
  `query=${encodeURIComponent('{a="b"}')}&${TIMES}`,
  `query=${encodeURIComponent('cpu{a="b"}')}&${TIMES}`,
  `query=${QUERY}&from=now&until=now-1h`,
  `query=${QUERY}&${TIMES}&maxNodes=1048577`,
];
const side = (name: string, query: string = QUERY, times = [`${name}From=now-1h`, `${name}Until=now`]): string => [`${name}Query=${query}`, ...times].join("&");
const OTHER_TYPE = encodeURIComponent(`${HEAP}{}`);
const DIFF_OK = [`${side("left")}&${side("right")}`, `${side("left")}&${side("right")}&maxNodes=10`, `${side("left")}&${side("right")}&max-nodes=10`];
const DIFF_BAD = [
  side("right"),
  side("left"),
  `${side("left", "")}&${side("right")}`,
  `${side("left")}&${side("right", "")}`,
  `${side("left", "cpu%7B")}&${side("right")}`,
  `${side("left")}&${side("right", "cpu%7B")}`,
  `${side("left", "cpu%7B%7D")}&${side("right")}`,
  `${side("left")}&${side("right", "cpu%7B%7D")}`,
  `${side("left")}&${side("right", OTHER_TYPE)}`,
  `${side("left", OTHER_TYPE)}&${side("right")}`,
  ...["left", "right"].flatMap((name) => {
    const other = name === "left" ? "right" : "left";
    return [
      `${side(name, QUERY, [`${name}From=0`, `${name}Until=now`])}&${side(other)}`,
      `${side(name, QUERY, [`${name}From=now-1h`, `${name}Until=0`])}&${side(other)}`,
      `${side(name, QUERY, [`${name}From=0`, `${name}Until=0`])}&${side(other)}`,
      `${side(name, QUERY, [`${name}From=now`, `${name}Until=now-1h`])}&${side(other)}`,
    ];
  }),
];

const LABEL_VALUES_OK = ["label=pod", `label=pod&${TIMES}`];
const LABEL_VALUES_BAD = [TIMES, "label=pod&from=now&until=now-1h", "label=pod&from=0&until=now"];

describe("status codes", () => {
  let api: OpenApi;
  before(async () => {
    api = await openApi();
  });
  after(() => api.server.stop());

  for (const [method, { ok, bad }] of Object.entries(RPCS)) {
    for (const [expected, cases] of [[200, ok], [400, bad]] as const) {
      for (const [name, body] of cases) {
        it(`${method}: ${name} is ${expected}`, async () => {
          const response = await api.rpc(method, body);
          const answer = (await response.json()) as { code?: string; message?: string };
          expect(response.status, answer.message).to.equal(expected);
          if (expected === 400) expect(answer.code).to.equal("invalid_argument");
        });
      }
    }
    for (const verb of ["GET", "PUT", "DELETE", "PATCH"]) {
      it(`${method}: ${verb} is 405`, async () => {
        const path = method.includes("/") ? method : `querier.v1.QuerierService/${method}`;
        const response = await fetch(`${api.url}/${path}`, { method: verb });
        // A GET without a message is no call of Connect, and gets what Pyroscope answers.
        expect([response.status, response.headers.get("allow")]).to.deep.equal([405, verb === "GET" ? "POST" : "POST, GET"]);
      });
    }
    it(`${method}: text/plain is 415`, async () => {
      const response = await api.rpc(method, "{}", { "content-type": "text/plain" });
      expect(response.status).to.equal(415);
      expect(response.headers.get("accept-post")).to.contain("application/proto");
    });
  }

  for (const [where, ok, bad] of [["render", RENDER_OK, RENDER_BAD], ["render-diff", DIFF_OK, DIFF_BAD], ["label-values", LABEL_VALUES_OK, LABEL_VALUES_BAD]] as const) {
    for (const [expected, cases] of [[200, ok], [400, bad]] as const) {
      for (const parameters of cases) {
        it(`${where}: ${decodeURIComponent(parameters).slice(0, 150)} is ${expected}`, async () => {
          const response = await api.get(`/pyroscope/${where}?${parameters}`);
          const body = await response.text();
          expect(response.status, body).to.equal(expected);
        });
      }
    }
    for (const verb of ["POST", "PUT", "DELETE", "PATCH"]) {
      it(`${where}: ${verb} is 405`, async () => expect((await fetch(`${api.url}/pyroscope/${where}`, { method: verb })).status).to.equal(405));
    }
  }

  describe("recorded refusals", () => {
    const corpus = corpusFolder();
    const folder = corpus === undefined ? undefined : path.join(corpus, "recorded");
    if (folder === undefined || !existsSync(folder)) {
      it("are replayed where there is a corpus", function () {
        this.skip();
      });
      return;
    }
    for (const file of readdirSync(folder).filter((name) => /^(47|48|49|5[2-9]|6[0-4])-/.test(name))) {
      it(file, async () => {
        const { request, response: expected } = JSON.parse(readFileSync(path.join(folder, file), "utf8")) as {
          request: { method: string; path: string; headers: Record<string, string>; json?: unknown; bodyBase64?: string };
          response: { status: number; headers: Record<string, string>; body?: { code?: string } | string };
        };
        const body = request.bodyBase64 !== undefined ? new Uint8Array(Buffer.from(request.bodyBase64, "base64")) : JSON.stringify(request.json);
        const init = request.method === "GET" ? {} : { body };
        const response = await fetch(`${api.url}${request.path}`, { method: request.method, headers: request.headers, ...init });
        const text = await response.text();
        expect(response.status, text).to.equal(expected.status);
        if (typeof expected.body === "object" && expected.body.code !== undefined) expect((JSON.parse(text) as { code: string }).code).to.equal(expected.body.code);
        if (typeof expected.body === "string") expect(text).to.equal(expected.body);
        if (expected.headers["allow"] !== undefined) expect(response.headers.get("allow")).to.equal(expected.headers["allow"]);
        if (expected.headers["accept-post"] !== undefined) expect(response.headers.get("accept-post")).to.contain("application/json");
      });
    }
  });
});
