/** A body in another format than pprof, and what its reader makes of it. */
import type { CodedError } from "@pyromesh/base";
import type { IngestQuirks } from "../labels/ingest-name.ts";
import type { Label } from "../labels/labels.ts";
import type { ProfileLimits } from "../labels/limits.ts";

/** What a reader knows of the request beside the body. */
export interface FormatContext {
  /** The labels of the request, as the client sent them. */
  readonly labels: readonly Label[];
  readonly limits: ProfileLimits;
  /** The time of a profile that has none of its own. */
  readonly fallbackTimeNs: bigint;
}

/** One profile that a body held. */
export interface FormatProfile {
  /** Not compressed. */
  readonly pprof: Uint8Array;
  /** All labels of its series, in place of those of the request. */
  readonly labels: readonly Label[];
  readonly ingest?: IngestQuirks | undefined;
  /** What the profile is called in errors; needed where the others of its body are kept without it. */
  readonly name?: string;
}

export interface FormatBody {
  /** Read one by one: profiles are made while earlier ones become records, a few ahead at most. */
  readonly profiles: Iterable<FormatProfile>;
  /** What of the body the reader refused while the rest is kept: a refusal for each profile. Whole once `profiles` is read to its end. */
  readonly refused?: readonly CodedError[];
  /** True: a profile that is refused later, by its labels or its time, leaves the others. Else it refuses the body. */
  readonly keepsRest?: boolean;
}

/**
 * Pure. `form` is how the request says the body is to be read: plain data, sent to a worker with the body. Throws a refusal
 * (labels/refusal.ts) where nothing of the body may be kept, also while `profiles` is read.
 */
export type FormatReader<Form> = (body: Uint8Array, form: Form, context: FormatContext) => FormatBody;
