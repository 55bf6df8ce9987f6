/** What the server tells clients that adapt to it: the version of its querier API, and its features. */
import { unaryHandler } from "../bodies/connect.ts";
import type { ConnectOptions } from "../bodies/connect.ts";
import type { Handler } from "../ports/http.ts";
import * as about from "../proto/about-v1.ts";
import type { FeatureFlagMessage, GetFeatureFlagsResponse, VersionResponse } from "../proto/about-v1.ts";

/** Pyroscope 2.2 has this number. Clients take another one for another API. */
const QUERIER_API_VERSION = 1;

/** Pyroscope's names, in its order. `v2StorageLayer` tells clients that heatmaps and exemplars are supported, as they are here. */
const FEATURE_FLAGS: readonly FeatureFlagMessage[] = [
  flag("pyroscopeRuler", false, "Recording rules: metrics made of profiles."),
  flag("pyroscopeRulerFunctions", false, "Recording rules for single functions."),
  flag("utf8LabelNames", true, "Label names of any characters, for clients whose Accept header says that they take them."),
  flag("v2StorageLayer", true, "The queries that Pyroscope has since its second storage, such as SelectHeatmap and exemplars."),
];

export function versionHandler(options: ConnectOptions): Handler {
  const handle = (): Promise<{ message: VersionResponse; headers: Readonly<Record<string, string>> }> => Promise.resolve({ message: { QuerierAPI: QUERIER_API_VERSION }, headers: {} });
  return unaryHandler({ path: VERSION_PATH, request: about.VERSION_REQUEST, response: about.VERSION_RESPONSE, handle }, options);
}

export function featureFlagsHandler(options: ConnectOptions): Handler {
  const handle = (): Promise<{ message: GetFeatureFlagsResponse; headers: Readonly<Record<string, string>> }> => Promise.resolve({ message: { featureFlags: FEATURE_FLAGS }, headers: {} });
  return unaryHandler({ path: FEATURE_FLAGS_PATH, request: about.GET_FEATURE_FLAGS_REQUEST, response: about.GET_FEATURE_FLAGS_RESPONSE, handle }, options);
}

export const VERSION_PATH = "/version.v1.Version/Version";
export const FEATURE_FLAGS_PATH = "/capabilities.v1.FeatureFlagsService/GetFeatureFlags";

function flag(name: string, enabled: boolean, description: string): FeatureFlagMessage {
  return { name, enabled, description, documentationUrl: undefined };
}
