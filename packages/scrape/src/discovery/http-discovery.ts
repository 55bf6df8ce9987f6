/** Targets that a server tells, as JSON, at each `refresh_interval`. An answer that is not right keeps the groups of the one before. */
import { decodeUtf8 } from "@pyromesh/base";
import type { HttpConfig } from "../config/scrape-config.ts";
import { readBody } from "../http/read-body.ts";
import type { Discovery, DiscoveryModules, TargetGroup } from "./discovery.ts";
import { readGroups } from "./read-groups.ts";
import { Refresher } from "./refresher.ts";

/** Of one asking, the body included. Prometheus takes the refresh interval. */
const TIMEOUT_MS = 30_000;
const BODY_SIZE_BYTES_MAX = 16 * 2 ** 20;

export function httpDiscovery(config: HttpConfig, modules: DiscoveryModules): Discovery {
  let known = "";
  let tell: ((groups: readonly TargetGroup[]) => void) | undefined;

  const ask = async (signal: AbortSignal): Promise<void> => {
    const headers = { accept: "application/json", "accept-encoding": "gzip", "x-prometheus-refresh-interval-seconds": String(config.refreshIntervalMs / 1000) };
    const reply = await modules.fetch({ url: config.url, headers, settings: config.http, signal });
    if (reply.status !== 200) throw new Error(`the server answered ${reply.status}, not 200`);
    const type = reply.headers["content-type"] ?? "";
    if (!/^application\/json\s*(;|$)/i.test(type.trim())) throw new Error(`the answer has the content type ${JSON.stringify(type.slice(0, 60))} and should have application/json`);
    const text = decodeUtf8(await readBody(reply, BODY_SIZE_BYTES_MAX));
    if (text === known) return;
    const groups = readGroups(JSON.parse(text), { __meta_url: config.url });
    signal.throwIfAborted(); // stopped, or too late, while it was read
    known = text;
    tell?.(groups);
  };

  const timeoutMs = Math.min(TIMEOUT_MS, config.refreshIntervalMs);
  const refresher = new Refresher({ intervalMs: config.refreshIntervalMs, timeoutMs, mechanism: "http", source: config.url }, modules, ask);
  return {
    start: (onGroups) => {
      tell = onGroups;
      refresher.start();
    },
    stop: () => refresher.stop(),
  };
}
