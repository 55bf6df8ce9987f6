/** OTLP profiles (otlp/otlp.ts): one profile for each service of each profile, and a profile that is refused leaves the others. */
import { readExport } from "../otlp/otlp.ts";
import type { OtlpForm } from "../otlp/otlp.ts";
import type { FormatBody, FormatContext } from "./format.ts";

export function readOtlp(body: Uint8Array, form: OtlpForm, { limits }: FormatContext): FormatBody {
  const { profiles, refused } = readExport(body, form, limits);
  return { profiles, refused, keepsRest: true };
}
