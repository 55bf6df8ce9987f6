/**
 * Counts what was refused, by reason and tenant: `pyromesh_discarded_samples_total` and `pyromesh_discarded_bytes_total`. The reasons are
 * Pyroscope's, so that its dashboards and alerts work with another prefix.
 *
 * As in Pyroscope, the first counts profiles, not samples: most are refused before their samples are known.
 */
import { CodedError } from "@pyromesh/base";
import type { Counter, Metrics, TenantId } from "@pyromesh/base";
import { TenantLabels } from "../ports/tenant-labels.ts";

export class Discards {
  readonly #profiles: Counter;
  readonly #bytes: Counter;
  readonly #tenants = new TenantLabels();

  constructor(modules: { readonly metrics: Metrics }) {
    const labelNames = ["reason", "tenant"];
    this.#profiles = modules.metrics.counter("pyromesh_discarded_samples_total", "Profiles that were refused.", labelNames);
    this.#bytes = modules.metrics.counter("pyromesh_discarded_bytes_total", "Uncompressed bytes of profiles that were refused.", labelNames);
  }

  /** `sizeBytes`: the size of the profiles together. */
  add(tenant: TenantId, error: unknown, sizeBytes: number, profileCount = 1): void {
    const labels = { reason: discardReason(error), tenant: this.#tenants.of(tenant) };
    this.#profiles.add(labels, profileCount);
    this.#bytes.add(labels, sizeBytes);
  }
}

/** The reason that the error names in `details.reason`; without one, the reason of its code. */
export function discardReason(error: unknown): string {
  if (!(error instanceof CodedError)) return "unknown";
  const reason = error.details["reason"];
  if (typeof reason === "string" && /^[a-z_]{1,64}$/.test(reason)) return reason;
  return REASON_OF_CODE[error.code] ?? REASON_OF_KIND[error.kind] ?? "unknown";
}

const REASON_OF_CODE: Readonly<Record<string, string>> = {
  RATE_LIMITED: "rate_limited",
  RATE_BURST_EXCEEDED: "rate_limited",
  PUSH_BODY_SIZE_LIMIT: "body_size_limit_exceeded",
  BODY_TOO_LARGE: "body_size_limit_exceeded",
};

const REASON_OF_KIND: Readonly<Record<string, string>> = {
  invalid_argument: "malformed_profile",
  resource_exhausted: "rate_limited",
  unavailable: "unavailable",
  deadline_exceeded: "unavailable",
  canceled: "canceled",
};
