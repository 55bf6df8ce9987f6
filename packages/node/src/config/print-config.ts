/** The settings in force as YAML that `loadConfig` reads back, except for what is secret: that is hidden. */
import { stringify } from "yaml";
import { SETTINGS } from "./config.ts";
import type { Config } from "./config.ts";
import { printLimits } from "./limits.ts";
import type { LimitsInForce, TenantLimits } from "./limits.ts";
import { hideCredentials } from "./setting.ts";
import type { Setting } from "./setting.ts";

export const HIDDEN = "<hidden>";

export function printConfig(config: Config): string {
  const printed: Record<string, unknown> = {};
  for (const [name, { key, kind }] of Object.entries(SETTINGS) as [keyof typeof SETTINGS, Setting<unknown>][]) {
    if (key === "config") continue;
    const value = kind.print(config[name]);
    if (value !== undefined) printed[key] = /secret|auth|password|token/.test(key) ? HIDDEN : hide(value);
  }
  printed["limits"] = printLimits(config.limits);
  const overrides = [...config.overrides].map(([tenant, limits]) => [tenant, differences(limits, config.limits)]);
  if (overrides.length > 0) printed["overrides"] = Object.fromEntries(overrides);
  return stringify(printed, { lineWidth: 0 });
}

/** The overrides in force: each tenant's limits complete, or what differs from the common ones. As Pyroscope shows them. */
export function printRuntimeConfig({ limits, overrides }: LimitsInForce, mode: "full" | "diff"): string {
  const tenants = [...overrides].map(([tenant, own]) => [tenant, mode === "full" ? printLimits(own) : differences(own, limits)]);
  return stringify({ overrides: Object.fromEntries(tenants) }, { lineWidth: 0 });
}

function hide(value: string | number | boolean | readonly string[]): unknown {
  if (typeof value === "string") return hideCredentials(value);
  return typeof value === "object" ? value.map(hideCredentials) : value;
}

function differences(limits: TenantLimits, common: TenantLimits): Record<string, unknown> {
  const base = printLimits(common);
  return Object.fromEntries(Object.entries(printLimits(limits)).filter(([name, value]) => base[name] !== value));
}
