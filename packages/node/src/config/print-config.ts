/** Prints the settings as YAML that `loadConfig` reads back. Secrets are hidden. */
import { printScrapeConfigs } from "@pyromesh/scrape";
import { stringify } from "yaml";
import { bucketIn, SETTINGS } from "./config.ts";
import type { Config } from "./config.ts";
import { LIMITS, printLimits } from "./limits.ts";
import type { LimitsInForce, TenantLimits } from "./limits.ts";
import { hideCredentials } from "./setting.ts";
import type { Setting } from "./setting.ts";

export const HIDDEN = "<hidden>";

export function printConfig(config: Config): string {
  return stringify(entriesOf(config), YAML_FORM);
}

/** Only the settings that differ from their defaults, in the same form. Secrets are hidden here too. */
export function printConfigDiff(config: Config): string {
  const defaults = entriesOf({ ...DEFAULTS, bucket: bucketIn(config.dataDir) });
  // Overrides have no defaults, so all that are set differ.
  const changed = Object.entries(entriesOf(config)).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(defaults[key]));
  const entries = changed.map(([key, value]) => [key, key === "limits" ? differences(config.limits, DEFAULTS.limits) : value]);
  return stringify(Object.fromEntries(entries), YAML_FORM);
}

/** The settings as they are where nothing is set. */
export function printDefaultConfig(): string {
  return stringify(entriesOf(DEFAULTS), YAML_FORM);
}

const YAML_FORM = { lineWidth: 0 } as const;

const DEFAULTS: Config = { ...defaultsOf(SETTINGS), bucket: bucketIn(SETTINGS.dataDir.default), limits: defaultsOf(LIMITS), overrides: new Map(), scrapeConfigs: [] };

function defaultsOf<T extends object>(settings: { readonly [K in keyof T]: Setting<T[K]> }): T {
  // Each entry's default is of its own key's type.
  return Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, (setting as Setting<unknown>).default])) as T;
}

function entriesOf(config: Config): Record<string, unknown> {
  const printed: Record<string, unknown> = {};
  for (const [name, { key, kind }] of Object.entries(SETTINGS) as [keyof typeof SETTINGS, Setting<unknown>][]) {
    if (key === "config") continue;
    const value = kind.print(config[name]);
    if (value !== undefined) printed[key] = /secret|auth|password|token(?!s)/.test(key) ? HIDDEN : hide(value);
  }
  printed["limits"] = printLimits(config.limits);
  const overrides = [...config.overrides].map(([tenant, limits]) => [tenant, differences(limits, config.limits)]);
  if (overrides.length > 0) printed["overrides"] = Object.fromEntries(overrides);
  if (config.scrapeConfigs.length > 0) printed["scrape_configs"] = printScrapeConfigs(config.scrapeConfigs, HIDDEN);
  return printed;
}

/** The overrides in force, as Pyroscope shows them: all limits of each tenant, or with `diff` those that differ from the common ones. */
export function printRuntimeConfig({ limits, overrides }: LimitsInForce, mode: "full" | "diff"): string {
  const tenants = [...overrides].map(([tenant, own]) => [tenant, mode === "full" ? printLimits(own) : differences(own, limits)]);
  return stringify({ overrides: Object.fromEntries(tenants) }, YAML_FORM);
}

function hide(value: string | number | boolean | readonly string[]): unknown {
  if (typeof value === "string") return hideCredentials(value);
  return typeof value === "object" ? value.map(hideCredentials) : value;
}

function differences(limits: TenantLimits, common: TenantLimits): Record<string, unknown> {
  const base = printLimits(common);
  return Object.fromEntries(Object.entries(printLimits(limits)).filter(([name, value]) => base[name] !== value));
}
