import { expect } from "chai";
import { Metrics } from "./metrics.ts";

describe("metrics: the page", () => {
  it("has the blocks in the order in which the metrics were made, a blank line between two", async () => {
    const metrics = new Metrics();
    metrics.histogram("first", "One.", [], [1]);
    metrics.gauge("second", "Two.").set({}, 2);
    metrics.readCounter("third_total", "Three.", () => [{ labels: {}, value: 3 }]);
    metrics.counter("fourth_total", "Four.").add({}, 4);
    expect((await metrics.text()).split("\n\n").map((block) => /^# HELP (\w+) /.exec(block)?.[1])).to.deep.equal(["first", "second", "third_total", "fourth_total"]);
  });

  it("escapes what a label's value and a help text may hold, and prints any number", async () => {
    const metrics = new Metrics();
    const values = metrics.gauge("x", 'A "help" of \\ and\nof two lines.', ["tenant", "kind"]);
    for (const [tenant, value] of [["plain", 1], ['"quoted"', 0.1], ["back\\slash", 1e21], ["two\nlines", 1e-7], ["", Infinity], ["less", -Infinity]] as const) values.set({ tenant, kind: "a" }, value);
    expect((await metrics.text()).trim().split("\n")).to.deep.equal([
      '# HELP x A "help" of \\\\ and\\nof two lines.',
      "# TYPE x gauge",
      'x{tenant="plain",kind="a"} 1',
      'x{tenant="\\"quoted\\"",kind="a"} 0.1',
      'x{tenant="back\\\\slash",kind="a"} 1e+21',
      'x{tenant="two\\nlines",kind="a"} 1e-7',
      'x{tenant="",kind="a"} +Inf',
      'x{tenant="less",kind="a"} -Inf',
    ]);
  });

  it("has only what is wanted, and reads nothing else", async () => {
    const metrics = new Metrics();
    metrics.gauge("first", "One.", [], () => expect.fail("was read"));
    metrics.counter("second_total", "Two.").add({}, 2);
    expect(await metrics.text((name) => name === "second_total")).to.equal("# HELP second_total Two.\n# TYPE second_total counter\nsecond_total 2\n");
  });

  it("a name is used once, whatever the kind of metric", () => {
    const metrics = new Metrics();
    metrics.histogram("taken", "Of nothing.", [], [1]);
    metrics.gauge("taken_too", "Of nothing.");
    expect(() => metrics.histogram("taken", "Again.", [], [1])).to.throw("already been registered");
    expect(() => metrics.gauge("taken", "Again.")).to.throw("already been registered");
    expect(() => metrics.readCounter("taken_too", "Again.", () => [])).to.throw("already been registered");
  });
});

describe("metrics: counters and gauges", () => {
  it("a counter adds up by labels, in whatever order they are given; the first order is printed", async () => {
    const metrics = new Metrics();
    const asked = metrics.counter("asked_total", "Asked.", ["method", "route"]);
    asked.add({ route: "/a", method: "GET" });
    asked.add({ method: "GET", route: "/a" }, 2);
    asked.add({ method: "GET", route: "/b" }, 0);
    expect((await metrics.text()).trim().split("\n").slice(2)).to.deep.equal(['asked_total{route="/a",method="GET"} 3', 'asked_total{method="GET",route="/b"} 0']);
  });

  it("without labels have a line before they are first set; with labels each set has one from its own first", async () => {
    const metrics = new Metrics();
    metrics.counter("plain_total", "Of nothing.");
    metrics.gauge("labelled", "By kind.", ["kind"]);
    expect(await metrics.text()).to.equal("# HELP plain_total Of nothing.\n# TYPE plain_total counter\nplain_total 0\n\n# HELP labelled By kind.\n# TYPE labelled gauge\n");
  });

  it("a gauge keeps the last value, and forgets a label set", async () => {
    const metrics = new Metrics();
    const held = metrics.gauge("held", "Held.", ["member"]);
    held.set({ member: "a" }, 1);
    held.set({ member: "b" }, 5);
    held.set({ member: "b" }, 2);
    held.remove({ member: "a" });
    expect((await metrics.text()).trim().split("\n").slice(2)).to.deep.equal(['held{member="b"} 2']);
  });

  it("a counter that falls, or is no number, and an unknown label are bugs of ours", () => {
    const metrics = new Metrics();
    const counter = metrics.counter("x_total", "X.", ["kind"]);
    for (const value of [-1, Number.NaN, Infinity]) expect(() => counter.add({ kind: "a" }, value)).to.throw("only rises");
    expect(() => counter.add({ kind: "a", member: "b" })).to.throw("label member");
  });
});

describe("metrics: a histogram", () => {
  it("counts up to each bound, by labels, in the Prometheus text format", async () => {
    const metrics = new Metrics();
    const seconds = metrics.histogram("asked_seconds", "How long.", ["method", "route"], [0.1, 1]);
    for (const value of [0.1, 0.5, 0.5, 7]) seconds.observe({ method: "GET", route: '/"x"' }, value);
    seconds.observe({ route: "/y", method: "GET" }, 0.25);
    expect((await metrics.text()).trim().split("\n")).to.deep.equal([
      "# HELP asked_seconds How long.",
      "# TYPE asked_seconds histogram",
      'asked_seconds_bucket{le="0.1",method="GET",route="/\\"x\\""} 1',
      'asked_seconds_bucket{le="1",method="GET",route="/\\"x\\""} 3',
      'asked_seconds_bucket{le="+Inf",method="GET",route="/\\"x\\""} 4',
      'asked_seconds_sum{method="GET",route="/\\"x\\""} 8.1',
      'asked_seconds_count{method="GET",route="/\\"x\\""} 4',
      'asked_seconds_bucket{le="0.1",route="/y",method="GET"} 0',
      'asked_seconds_bucket{le="1",route="/y",method="GET"} 1',
      'asked_seconds_bucket{le="+Inf",route="/y",method="GET"} 1',
      'asked_seconds_sum{route="/y",method="GET"} 0.25',
      'asked_seconds_count{route="/y",method="GET"} 1',
    ]);
  });

  it("without labels has its lines before the first observation; with labels each set has them from its own first", async () => {
    const metrics = new Metrics();
    metrics.histogram("plain", "Of nothing.", [], [1]);
    metrics.histogram("labelled", "By kind.", ["kind"], [1]);
    const text = await metrics.text();
    expect(text).to.contain('plain_bucket{le="+Inf"} 0').and.to.contain("plain_count 0").and.to.contain("# TYPE labelled histogram");
    expect(text).not.to.contain("labelled_count");
  });

  it("an observation that is no number is a bug of ours", () => {
    const plain = new Metrics().histogram("plain", "Of nothing.", [], [1]);
    expect(() => plain.observe({}, Number.NaN)).to.throw("a number");
  });
});

describe("metrics that are kept elsewhere", () => {
  it("a counter is read at each scrape, by labels", async () => {
    const metrics = new Metrics();
    const values = [{ labels: { tenant: "a" }, value: 1 }];
    metrics.readCounter("kept_total", "Kept.", () => values);
    expect(await metrics.text()).to.contain('# TYPE kept_total counter\nkept_total{tenant="a"} 1\n');
    values.push({ labels: { tenant: 'b"' }, value: 2 });
    expect(await metrics.text()).to.contain('kept_total{tenant="b\\""} 2\n');
  });

  it("a summary has its quantiles, sum and count", async () => {
    const metrics = new Metrics();
    metrics.summary("lag_seconds", "Lag.", () => ({ quantiles: new Map([[0.5, 0.25], [1, 2]]), sum: 3, count: 4 }));
    expect((await metrics.text()).trim().split("\n")).to.deep.equal([
      "# HELP lag_seconds Lag.",
      "# TYPE lag_seconds summary",
      'lag_seconds{quantile="0.5"} 0.25',
      'lag_seconds{quantile="1"} 2',
      "lag_seconds_sum 3",
      "lag_seconds_count 4",
    ]);
  });

  it("a gauge may be collected asynchronously", async () => {
    const metrics = new Metrics();
    metrics.gauge("free_bytes", "Free.", [], async (gauge) => {
      await Promise.resolve();
      gauge.set({}, 7);
    });
    expect(await metrics.text()).to.contain("free_bytes 7\n");
  });
});
