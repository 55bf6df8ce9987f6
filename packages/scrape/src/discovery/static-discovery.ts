/** Targets that the configuration names itself. */
import type { StaticConfig } from "../config/scrape-config.ts";
import type { Discovery } from "./discovery.ts";

export function staticDiscovery({ targets, labels }: StaticConfig): Discovery {
  const group = { targets: targets.map((address) => ({ __address__: address })), labels };
  return { start: (onGroups) => onGroups([group]), stop: () => {} };
}
