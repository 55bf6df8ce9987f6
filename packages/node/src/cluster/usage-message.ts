/**
 * What a node says of its tenants' use of limits that hold for the whole cluster (`usage`, PROTOCOL.md). The request is empty. Pure.
 *
 *   answer     | tenant count | per tenant: tenant text | bytes a second, f64 | series |
 *   series     | count | shift u8 | sample count | numbers, uvarint |
 *
 * Counts are uvarints; a text is a uvarint length and its UTF-8. A sample holds those of the tenant's active series whose number is a multiple of 2^shift: all
 * of them where the shift is 0. So the samples of several nodes with their common multiples tell how many series they have together, each counted once. What a
 * later version may write behind the tenants is left unread.
 */
import { ByteReader, ByteWriter, CodedError, CorruptionError } from "@pyromesh/base";

/** Tenants in one answer: those that push most. */
export const USAGE_TENANTS_MAX = 256;
/** Series in one sample. With 256 of them a count is wrong by some 6 %. */
export const SAMPLE_COUNT_MAX = 256;
const SHIFT_MAX = 32;
const TENANT_BYTES_MAX = 150;

export interface TenantUsage {
  readonly tenant: string;
  /** Uncompressed profiles that this node took, lately. */
  readonly bytesPerSecond: number;
  readonly series: SeriesSample;
}

export interface SeriesSample {
  readonly count: number;
  readonly shift: number;
  /** See `recordSeries`. */
  readonly numbers: readonly number[];
}

export function encodeUsage(usages: readonly TenantUsage[]): Uint8Array {
  const writer = new ByteWriter(1024).uvarint(usages.length);
  for (const { tenant, bytesPerSecond, series } of usages) {
    writer.text(tenant).f64(bytesPerSecond).uvarint(series.count).u8(series.shift).uvarint(series.numbers.length);
    for (const number of series.numbers) writer.uvarint(number);
  }
  return writer.finish();
}

/** Throws PEER_MALFORMED. */
export function decodeUsage(answer: Uint8Array): readonly TenantUsage[] {
  const reader: ByteReader = new ByteReader(answer, "an answer with the use of limits");
  try {
    const tenantCount = countOf(reader, USAGE_TENANTS_MAX, "tenants");
    const usages: TenantUsage[] = [];
    while (usages.length < tenantCount) usages.push(usageOf(reader));
    return usages;
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    throw new CodedError({ code: "PEER_MALFORMED", kind: "invalid_argument", message: thrown.message, cause: thrown });
  }
}

/** How many series all nodes of these samples have together, each counted once; exact where all shifts are 0. */
export function unionCount(samples: readonly SeriesSample[]): number {
  const step = 2 ** Math.max(0, ...samples.map(({ shift }) => shift));
  const common = new Set<number>();
  for (const { numbers } of samples) for (const number of numbers) if (number % step === 0) common.add(number);
  // Never fewer than one of the nodes has by itself.
  return Math.max(common.size * step, ...samples.map(({ count }) => count));
}

function usageOf(reader: ByteReader): TenantUsage {
  const tenantBytes = reader.prefixed();
  if (tenantBytes.length > TENANT_BYTES_MAX) reader.fail(`a tenant id of at most ${TENANT_BYTES_MAX} bytes`, `${tenantBytes.length}`);
  const tenant = Buffer.from(tenantBytes).toString("latin1");
  const bytesPerSecond = reader.f64();
  if (!(bytesPerSecond >= 0 && bytesPerSecond < Infinity)) reader.fail("a rate", `${bytesPerSecond}`);
  const count = reader.uvarint();
  const shift = reader.u8();
  if (shift > SHIFT_MAX) reader.fail(`a shift of at most ${SHIFT_MAX}`, `${shift}`);
  const sampleCount = countOf(reader, SAMPLE_COUNT_MAX, "series");
  const numbers: number[] = [];
  while (numbers.length < sampleCount) numbers.push(reader.uvarint());
  return { tenant, bytesPerSecond, series: { count, shift, numbers } };
}

function countOf(reader: ByteReader, max: number, what: string): number {
  const count = reader.uvarint();
  if (count > max) reader.fail(`at most ${max} ${what}`, `${count}`);
  return count;
}
