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

  it("a counter that is kept elsewhere prints as one of prom-client does, with any labels and values", async () => {
    const blockOf = async (make: (metrics: Metrics) => void): Promise<string> => {
      const metrics = new Metrics();
      make(metrics);
      return metrics.text();
    };
    const help = 'A "help" of \\ and\nof two lines.';
    for (const [tenant, value] of [["plain", 1], ['"quoted"', 0.1], ["back\\slash", 1e21], ["two\nlines", 1e-7], ["", Infinity]] as const) {
      const gauge = await blockOf((metrics) => metrics.gauge("x", help, ["tenant", "kind"]).set({ tenant, kind: "a" }, value));
      const kept = await blockOf((metrics) => metrics.readCounter("x", help, () => [{ labels: { tenant, kind: "a" }, value }]));
      expect(kept).to.equal(gauge.replace("# TYPE x gauge", "# TYPE x counter"));
    }
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
