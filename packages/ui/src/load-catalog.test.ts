import { expect } from "chai";
import { QuerierClient } from "./client.ts";
import { loadCatalog } from "./load-catalog.ts";

const SPAN = { startMs: 1_795_418_940_000, endMs: 1_795_419_300_000 };
const CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

describe("load catalog", () => {
  it("a page without a choice begins with the service that has the newest data", async () => {
    const { client } = clientOf({
      Series: { labelsSet: [labelled("api"), labelled("web")] },
      SelectSeries: { series: [points("api", "1795419000000"), points("web", "1795419015000")] },
    });
    const loaded = await loadCatalog(client, SPAN, false, signal());
    expect(loaded.suggested).to.deep.equal({ service: "web", profileType: CPU });
    expect(loaded.stats).to.equal(undefined);
  });

  it("with a choice made, activity is not asked for", async () => {
    const { client, asked } = clientOf({ Series: { labelsSet: [labelled("api"), labelled("web")] } });
    await loadCatalog(client, SPAN, true, signal());
    expect(asked).to.deep.equal(["Series"]);
  });

  it("a node that refuses the activity still gives a page: it begins with the first service", async () => {
    const { client } = clientOf({ Series: { labelsSet: [labelled("web"), labelled("api")] } });
    expect((await loadCatalog(client, SPAN, false, signal())).suggested?.service).to.equal("api");
  });

  it("an empty span asks whether the store is empty", async () => {
    const { client, asked } = clientOf({ Series: {}, GetProfileStats: { dataIngested: true, oldestProfileTime: "1", newestProfileTime: "2" } });
    expect((await loadCatalog(client, SPAN, false, signal())).stats).to.deep.equal({ hasData: true, oldestMs: 1, newestMs: 2 });
    expect(asked).to.deep.equal(["Series", "GetProfileStats"]);
  });

  it("a node that refuses statistics is asked for any series at any time", async () => {
    const { client, asked } = clientOf({ Series: {} });
    expect((await loadCatalog(client, SPAN, false, signal())).stats?.hasData).to.equal(false);
    expect(asked).to.deep.equal(["Series", "GetProfileStats", "Series"]);
  });
});

function clientOf(answers: Readonly<Record<string, object>>): { client: QuerierClient; asked: string[] } {
  const asked: string[] = [];
  const fakeFetch = ((url: string) => {
    const method = url.slice(url.lastIndexOf("/") + 1);
    asked.push(method);
    const answer = answers[method];
    return Promise.resolve(answer === undefined ? new Response('{"code":"unimplemented","message":"not here"}', { status: 501 }) : new Response(JSON.stringify(answer)));
  }) as typeof fetch; // the client calls it in this one way
  return { client: new QuerierClient({ baseUrl: "http://127.0.0.1:4040/", tenant: "", allowsPartial: false }, { fetch: fakeFetch }), asked };
}

function labelled(service: string): object {
  return { labels: [{ name: "__profile_type__", value: CPU }, { name: "service_name", value: service }] };
}

function points(service: string, timestamp: string): object {
  return { labels: [{ name: "service_name", value: service }], points: [{ value: 1, timestamp }] };
}

function signal(): AbortSignal {
  return new AbortController().signal;
}
