/** The discovery of each kind of configuration. */
import { unreachable } from "@pyromesh/base";
import type { DiscoveryConfig } from "../config/scrape-config.ts";
import type { Discovery, DiscoveryModules } from "./discovery.ts";
import { dnsDiscovery } from "./dns-discovery.ts";
import { fileDiscovery } from "./file-discovery.ts";
import { httpDiscovery } from "./http-discovery.ts";
import { kubernetesDiscovery } from "./kubernetes/kubernetes-discovery.ts";
import { staticDiscovery } from "./static-discovery.ts";

export function openDiscovery(config: DiscoveryConfig, modules: DiscoveryModules): Discovery {
  switch (config.kind) {
    case "static":
      return staticDiscovery(config);
    case "file":
      return fileDiscovery(config, modules);
    case "http":
      return httpDiscovery(config, modules);
    case "dns":
      return dnsDiscovery(config, modules);
    case "kubernetes":
      return kubernetesDiscovery(config, modules);
    default:
      return unreachable(config);
  }
}
