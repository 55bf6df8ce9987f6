/**
 * What an ad hoc profile is called: by its clients an id, in the bucket a key.
 *
 *   id    01HMXV8BF4EH71NBYZNPPVGJ2X-cpu.pprof            <ULID>-<name>, as in Pyroscope
 *   key   adhoc/<tenant>/01HMXV8BF4EH71NBYZNPPVGJ2X-cpu.pprof
 *
 * A ULID is a time in milliseconds and 80 random bits, in 26 letters that sort by time. So a LIST is in the order of uploads and says when each was.
 *
 * What must stay true: a key is made of a tenant's id and of an id that was checked here, and neither holds a slash. So no key of one tenant lies
 * below another's prefix, whatever a client sends. Nothing here lies under `v1/`, which segments have.
 */
import { assert, CodedError, invalidArgument, parseTenantId } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";

export interface AdHocId {
  readonly id: string;
  readonly name: string;
  /** By the clock of the node that took it. */
  readonly uploadedAtMs: number;
}

/** The prefix of all ad hoc profiles. */
export const ADHOC_PREFIX = "adhoc/";

/** The name of a file, and of an object: file systems end names at 255 bytes, of which the ULID takes 27. */
export const NAME_LENGTH_MAX = 150;

/** `random`: 10 bytes. */
export function makeId(name: string, uploadedAtMs: number, random: Uint8Array): AdHocId {
  assert(NAME.test(name), "a name is made safe before it becomes an id");
  return { id: `${makeUlid(uploadedAtMs, random)}-${name}`, name, uploadedAtMs };
}

/** The name as it is kept: as in Pyroscope, other characters become "_". Throws ADHOC_NAME_TOO_LONG. */
export function safeName(name: string): string {
  // A character has two code units at most. Megabytes of them are not searched, which would hold the thread.
  const safe = name.length <= 2 * NAME_LENGTH_MAX ? name.replace(/[^a-zA-Z0-9_.-]/gu, "_") : undefined;
  if (safe !== undefined && safe.length <= NAME_LENGTH_MAX) return safe;
  throw invalidArgument("ADHOC_NAME_TOO_LONG", `the name has more than ${NAME_LENGTH_MAX} characters: send a shorter one`);
}

/** An id that a client sent. Throws ADHOC_ID_INVALID where it has characters that no id has, and ADHOC_NOT_FOUND where it is none that was ever given. */
export function checkId(id: string): AdHocId {
  if (!/^[a-zA-Z0-9_.-]+$/.test(id)) throw invalidArgument("ADHOC_ID_INVALID", `id ${JSON.stringify(id.slice(0, 200))} is invalid: it can only contain [a-zA-Z0-9_.-]`);
  const parsed = parseId(id);
  if (parsed === undefined) throw adHocNotFound(id);
  return parsed;
}

export function adHocNotFound(id: string): CodedError {
  return new CodedError({ code: "ADHOC_NOT_FOUND", kind: "not_found", message: `profile ${id.slice(0, 200)} not found: it was never uploaded by this tenant, or was deleted for its age` });
}

export function adHocKey(tenant: TenantId, { id }: AdHocId): string {
  return `${tenantAdHocPrefix(tenant)}${id}`;
}

export function tenantAdHocPrefix(tenant: TenantId): string {
  return `${ADHOC_PREFIX}${tenant}/`;
}

/** Undefined for a key that was not made here. */
export function parseAdHocKey(key: string): (AdHocId & { readonly tenant: TenantId }) | undefined {
  const [prefix, tenant, id, more] = key.split("/");
  if (prefix !== ADHOC_PREFIX.slice(0, -1) || tenant === undefined || id === undefined || more !== undefined) return undefined;
  const parsed = parseId(id);
  if (parsed === undefined) return undefined;
  try {
    return { ...parsed, tenant: parseTenantId(tenant) };
  } catch {
    return undefined;
  }
}

function parseId(id: string): AdHocId | undefined {
  if (!ID.test(id)) return undefined;
  return { id, name: id.slice(ULID_LENGTH + 1), uploadedAtMs: ulidMs(id) };
}

// --- ULIDs ------------------------------------------------------------------------------------------------------------

const ULID_LENGTH = 26;
/** Of these the time has ten, 48 bits. */
const TIME_LENGTH = 10;
/** Crockford's alphabet: without I, L, O and U. */
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/** The first digit has three bits. */
const ID: RegExp = new RegExp(`^[0-7][${DIGITS}]{${ULID_LENGTH - 1}}-[a-zA-Z0-9_.-]{0,${NAME_LENGTH_MAX}}$`);
const NAME: RegExp = new RegExp(`^[a-zA-Z0-9_.-]{0,${NAME_LENGTH_MAX}}$`);
const TIME_MS_MAX = 2 ** 48 - 1;

function makeUlid(timeMs: number, random: Uint8Array): string {
  assert(timeMs >= 0 && timeMs <= TIME_MS_MAX && random.length === 10, "a ULID has a time of 48 bits and 10 random bytes");
  let digits = "";
  let rest = Math.floor(timeMs);
  for (let i = 0; i < TIME_LENGTH; i++) {
    digits = DIGITS[rest % 32]! + digits;
    rest = Math.floor(rest / 32);
  }
  // Five bits of the random bytes at a time.
  let bits = 0;
  let bitCount = 0;
  for (const byte of random) {
    bits = (bits << 8) | byte;
    bitCount += 8;
    while (bitCount >= 5) {
      bitCount -= 5;
      digits += DIGITS[(bits >> bitCount) & 31]!;
    }
    bits &= 31;
  }
  return digits;
}

function ulidMs(ulid: string): number {
  let timeMs = 0;
  for (let i = 0; i < TIME_LENGTH; i++) timeMs = timeMs * 32 + DIGITS.indexOf(ulid[i]!);
  return timeMs;
}
