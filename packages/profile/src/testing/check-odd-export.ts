/**
 * What must hold for every OTLP export, however odd: it is refused with a sentence, or each of its profiles is refused with one or can be stored; read
 * again it gives the same; and where nothing was refused, the values are those that were measured, whatever version wrote them.
 */
import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { Profile } from "pprof-format";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { readExport } from "../otlp/otlp.ts";
import type { OtlpProfile } from "../otlp/otlp.ts";
import { encodePush } from "../record/encode-push.ts";
import type { OddExport } from "./odd-export.ts";

const NONCE = new Uint8Array(16);

/** What became of it. */
export function checkOddExport({ bytes, sums }: OddExport): string {
  let profiles: OtlpProfile[];
  let refusals: readonly CodedError[];
  try {
    const read = readExport(bytes, { encoding: "protobuf" }, DEFAULT_PROFILE_LIMITS);
    profiles = [...read.profiles];
    refusals = read.refused;
  } catch (thrown) {
    checkRefusal(thrown);
    if (sums !== undefined) expect((thrown as CodedError).message, "a whole export is refused only where it is ambiguous").contain("does not tell which version");
    return sums === undefined ? "refused" : "ambiguous";
  }
  for (const refusal of refusals) checkRefusal(refusal);
  const again = [...readExport(bytes, { encoding: "protobuf" }, DEFAULT_PROFILE_LIMITS).profiles];
  expect(again.map(({ pprof }) => Buffer.from(pprof).toString("latin1")), "read again it is the same").deep.equal(profiles.map(({ pprof }) => Buffer.from(pprof).toString("latin1")));
  for (const { pprof, labels } of profiles) {
    try {
      encodePush({ tenant: "t", labels, pprof, fallbackTimeNs: 1n, nonce: NONCE, nowMs: 1_700_000_000_000, limits: DEFAULT_PROFILE_LIMITS, window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 } });
    } catch (thrown) {
      checkRefusal(thrown);
      expect(sums, "a whole export can be stored").equal(undefined);
    }
  }
  if (sums === undefined) return refusals.length > 0 ? "partly refused" : "accepted, damaged";
  expect(refusals).deep.equal([]);
  // Profiles in their order; one of several services comes as several.
  const byName = new Map<string, bigint>();
  for (const { name, pprof } of profiles) {
    let sum = byName.get(name) ?? 0n;
    for (const { value } of Profile.decode(pprof).sample) sum += BigInt(value[0]!);
    byName.set(name, sum);
  }
  expect([...byName.values()].map(String), "the values that were measured").deep.equal(sums.map(String));
  return "accepted";
}

function checkRefusal(thrown: unknown): void {
  if (!(thrown instanceof CodedError)) throw thrown;
  expect([thrown.kind, thrown.message.length > 20, thrown.message.length < 2000], thrown.message).deep.equal(["invalid_argument", true, true]);
}
