/** Targets that DNS names, asked anew at each `refresh_interval`. A name that does not exist has none; one that cannot be asked keeps its last. */
import { messageOf, unreachable } from "@pyromesh/base";
import type { DnsConfig } from "../config/scrape-config.ts";
import type { Resolver } from "../target.ts";
import type { Discovery, DiscoveryModules, LabelValues, TargetGroup } from "./discovery.ts";
import { Refresher } from "./refresher.ts";

/** Of all names together. */
const TIMEOUT_MS = 30_000;
/** Of one name; with more it is refused. */
const RECORDS_MAX = 10_000;

export function dnsDiscovery(config: DnsConfig, modules: DiscoveryModules): Discovery {
  const known = new Map<string, TargetGroup>();
  let tell: ((groups: readonly TargetGroup[]) => void) | undefined;

  const ask = async (signal: AbortSignal): Promise<void> => {
    const faults: string[] = [];
    let isChanged = false;
    for (const name of config.names) {
      try {
        const group = await groupOf(name, config, modules.resolver);
        signal.throwIfAborted(); // stopped, or too late
        if (JSON.stringify(known.get(name)) === JSON.stringify(group)) continue;
        known.set(name, group);
        isChanged = true;
      } catch (thrown) {
        faults.push(`${name}: ${messageOf(thrown)}`);
      }
    }
    if (isChanged) tell?.([...known.values()]);
    if (faults.length > 0) throw new Error(faults.join("; "));
  };

  const refresher = new Refresher({ intervalMs: config.refreshIntervalMs, timeoutMs: TIMEOUT_MS, mechanism: "dns", source: config.names.join(", ") }, modules, ask);
  return {
    start: (onGroups) => {
      tell = onGroups;
      refresher.start();
    },
    stop: () => refresher.stop(),
  };
}

async function groupOf(name: string, config: DnsConfig, resolver: Resolver): Promise<TargetGroup> {
  const targets = await lookUp(name, config, resolver).catch((thrown: unknown) => {
    if (["ENOTFOUND", "ENODATA"].includes(String((thrown as { readonly code?: unknown }).code))) return [];
    throw thrown;
  });
  if (targets.length > RECORDS_MAX) throw new Error(`it has ${targets.length} records, more than ${RECORDS_MAX}`);
  // Servers answer in changing order.
  return { targets: targets.toSorted((a, b) => (a["__address__"]! < b["__address__"]! ? -1 : 1)), labels: { __meta_dns_name: name } };
}

async function lookUp(name: string, { type, port }: DnsConfig, resolver: Resolver): Promise<LabelValues[]> {
  switch (type) {
    case "A":
      return (await resolver.addresses(name, 4)).map((address) => ({ __address__: `${address}:${port}` }));
    case "AAAA":
      return (await resolver.addresses(name, 6)).map((address) => ({ __address__: `[${address}]:${port}` }));
    case "SRV":
      return (await resolver.services(name)).map((service) => ({
        __address__: `${hostOf(service.name)}:${service.port}`,
        __meta_dns_srv_record_target: `${hostOf(service.name)}.`,
        __meta_dns_srv_record_port: String(service.port),
      }));
    case "MX":
      return (await resolver.mailServers(name)).map((host) => ({ __address__: `${hostOf(host)}:${port}`, __meta_dns_mx_record_target: `${hostOf(host)}.` }));
    default:
      return unreachable(type);
  }
}

/** Without the dot that ends an absolute name, which Prometheus' labels have. */
function hostOf(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}
