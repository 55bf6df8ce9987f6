/**
 * Messages between members, as msgpack. A message is a map of named fields; a reader takes the fields that it knows and ignores others, so that later
 * versions may add some.
 *
 * What must stay true: nothing of a message is used before its type, length and range were checked. A message that does not fit throws PEER_MALFORMED,
 * which says which field of which message is wrong.
 */
import { invalidArgument, messageOf, parseTenantId } from "@pyromesh/base";
import type { CodedError, TenantId } from "@pyromesh/base";
import { Packr } from "msgpackr";

// No records, no structures and no extension types: a message means the same to every reader, and its bytes are the same each time.
const packr = new Packr({ useRecords: false, moreTypes: false, mapsAsObjects: true });

export function packMessage(message: Readonly<Record<string, unknown>>): Uint8Array {
  return Uint8Array.from(packr.pack(message));
}

/** `what` names the message in errors: "a digest request". Throws PEER_MALFORMED. */
export function openMessage(bytes: Uint8Array, what: string): Fields {
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (error) {
    throw malformed(what, `its bytes are no message (${messageOf(error)})`, error);
  }
  return fieldsOf(value, what);
}

export function malformed(what: string, because: string, cause?: unknown): CodedError {
  return invalidArgument("PEER_MALFORMED", `${what} is not what this protocol says: ${because}`, cause);
}

/** The fields of a message, or of a part of it. Each reader throws PEER_MALFORMED. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #what: string;

  constructor(values: Readonly<Record<string, unknown>>, what: string) {
    this.#values = values;
    this.#what = what;
  }

  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  /** A safe integer in [min, max]. */
  integer(name: string, { min = 0, max = Number.MAX_SAFE_INTEGER }: { readonly min?: number; readonly max?: number } = {}): number {
    const value = this.#value(name);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) throw this.wrong(name, `a whole number from ${min} to ${max}`);
    return value;
  }

  /** Any finite number in [min, max]. */
  number(name: string, { min, max }: { readonly min: number; readonly max: number }): number {
    const value = this.#value(name);
    if (typeof value !== "number" || !(value >= min && value <= max)) throw this.wrong(name, `a number from ${min} to ${max}`);
    return value;
  }

  /** 64 bits with a sign. */
  bigint(name: string): bigint {
    const value = this.#value(name);
    if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
    if (typeof value !== "bigint" || BigInt.asIntN(64, value) !== value) throw this.wrong(name, "a whole number of 64 bits");
    return value;
  }

  flag(name: string): boolean {
    const value = this.#value(name);
    if (typeof value !== "boolean") throw this.wrong(name, "true or false");
    return value;
  }

  text(name: string, lengthMax: number): string {
    return this.#text(name, this.#value(name), lengthMax);
  }

  /** 2 * `byteCount` lower-case hex digits. */
  hex(name: string, byteCount: number): string {
    const value = this.#value(name);
    if (typeof value !== "string" || value.length !== 2 * byteCount || !/^[0-9a-f]*$/.test(value)) throw this.wrong(name, `${2 * byteCount} hex digits`);
    return value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = allowed.find((one) => one === this.#value(name));
    if (value === undefined) throw this.wrong(name, `one of ${allowed.join(", ")}`);
    return value;
  }

  tenant(name: string): TenantId {
    return this.#tenant(name, this.#value(name));
  }

  /** Bytes whose length is a multiple of `unitBytes`. They are views of the message. */
  bytes(name: string, { unitBytes = 1, lengthMax }: { readonly unitBytes?: number; readonly lengthMax: number }): Uint8Array {
    const value = this.#value(name);
    if (!(value instanceof Uint8Array) || value.length > lengthMax || value.length % unitBytes !== 0) throw this.wrong(name, `at most ${lengthMax} bytes in units of ${unitBytes}`);
    return value;
  }

  fields(name: string): Fields {
    return fieldsOf(this.#value(name), `${this.#what}, ${name}`);
  }

  list<T>(name: string, countMax: number, read: (item: Fields) => T): T[] {
    return this.#list(name, countMax).map((item, index) => read(fieldsOf(item, `${this.#what}, ${name} ${index}`)));
  }

  texts(name: string, countMax: number, lengthMax: number): string[] {
    return this.#list(name, countMax).map((item) => this.#text(name, item, lengthMax));
  }

  tenants(name: string, countMax: number): TenantId[] {
    return this.#list(name, countMax).map((item) => this.#tenant(name, item));
  }

  integers(name: string, countMax: number): number[] {
    return this.#list(name, countMax).map((item) => {
      if (typeof item !== "number" || !Number.isSafeInteger(item)) throw this.wrong(name, "a list of whole numbers");
      return item;
    });
  }

  wrong(name: string, expected: string): CodedError {
    return malformed(this.#what, `${name} is not ${expected}`);
  }

  #list(name: string, countMax: number): readonly unknown[] {
    const value = this.#value(name);
    if (!Array.isArray(value) || value.length > countMax) throw this.wrong(name, `a list of at most ${countMax}`);
    return value;
  }

  #text(name: string, value: unknown, lengthMax: number): string {
    if (typeof value !== "string" || value.length > lengthMax) throw this.wrong(name, `a text of at most ${lengthMax} characters`);
    return value;
  }

  #tenant(name: string, value: unknown): TenantId {
    if (typeof value !== "string") throw this.wrong(name, "a tenant");
    try {
      return parseTenantId(value);
    } catch (error) {
      throw malformed(this.#what, `${name} is no tenant (${messageOf(error)})`, error);
    }
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) throw malformed(what, "it is no map of fields");
  return new Fields(value as Readonly<Record<string, unknown>>, what); // an object without a class of its own, just seen
}
