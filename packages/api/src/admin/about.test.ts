import { expect } from "chai";
import { decodeBinary } from "../proto/binary.ts";
import { GET_FEATURE_FLAGS_RESPONSE, VERSION_RESPONSE } from "../proto/about-v1.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

const VERSION = "version.v1.Version/Version";
const FLAGS = "capabilities.v1.FeatureFlagsService/GetFeatureFlags";

describe("about this server", () => {
  let api: OpenApi;
  beforeEach(async () => {
    api = await openApi({ isMultitenant: true });
  });
  afterEach(() => api.server.stop());

  const proto = async (method: string): Promise<Uint8Array> => {
    const response = await fetch(`${api.url}/${method}`, { method: "POST", headers: { "content-type": "application/proto", "x-scope-orgid": "a" } });
    expect(response.status).to.equal(200);
    return new Uint8Array(await response.arrayBuffer());
  };

  it("the version of the querier API is Pyroscope's, in JSON and in protobuf, and needs no tenant", async () => {
    const response = await api.rpc(VERSION, {});
    expect([response.status, await response.json()]).to.deep.equal([200, { QuerierAPI: "1" }]);
    expect(decodeBinary(VERSION_RESPONSE, await proto(VERSION))).to.deep.equal({ QuerierAPI: 1 });
  });

  it("feature flags need a tenant, and are in the order of their names, disabled ones too", async () => {
    expect((await api.rpc(FLAGS, {})).status).to.equal(401);
    const { featureFlags } = (await (await api.rpc(FLAGS, {}, { "x-scope-orgid": "a" })).json()) as { featureFlags: { name: string; enabled?: boolean; description: string }[] };
    expect(featureFlags.map(({ name, enabled }) => [name, enabled])).to.deep.equal([
      ["pyroscopeRuler", undefined],
      ["pyroscopeRulerFunctions", undefined],
      ["utf8LabelNames", true],
      ["v2StorageLayer", true],
    ]);
    expect(featureFlags.every(({ description }) => description !== "")).to.equal(true);
    expect(decodeBinary(GET_FEATURE_FLAGS_RESPONSE, await proto(FLAGS)).featureFlags.map(({ name }) => name)).to.deep.equal(featureFlags.map(({ name }) => name));
  });
});
