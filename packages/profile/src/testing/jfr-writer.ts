/**
 * Writes JFR chunks for tests: the types of async-profiler, and whatever else a test describes. It shares no code with the reader.
 *
 *   header, metadata, checkpoints, events
 */

/** A field: its name, its type, and whether it is an id in a pool or an array. */
export interface FieldSpec {
  readonly name: string;
  readonly type: string;
  readonly isPooled?: boolean;
  readonly isArray?: boolean;
}

export type TypeSpecs = Readonly<Record<string, readonly FieldSpec[]>>;

/** A value of a field: a number or an id, a text, an array, or fields of a type that lies within. */
export type Value = number | bigint | string | EncodedText | LyingArray | readonly Value[] | { readonly [field: string]: Value };

/** A string in an encoding of its own. Encoding 2 has the id of a string in the pool. */
export interface EncodedText {
  readonly encoding: 0 | 1 | 2 | 3 | 4 | 5;
  readonly text?: string;
  readonly id?: number;
  /** The length that is written, where it is not the text's. */
  readonly lengthSaid?: number;
}

/** An array that is said to have another length than it has. */
export class LyingArray {
  readonly items: readonly Value[];
  readonly lengthSaid: number;

  constructor(items: readonly Value[], lengthSaid: number) {
    this.items = items;
    this.lengthSaid = lengthSaid;
  }
}

/** What a chunk says of itself and is not so: a number of bytes or of values is written so much larger. */
export interface ChunkLies {
  readonly metadataBytes?: number;
  /** Of the last checkpoint: its bytes, how many pools it has, how many values the first of them. */
  readonly checkpointBytes?: number;
  readonly poolCount?: number;
  readonly constantCount?: number;
  /** Of the last event. */
  readonly eventBytes?: number;
  /** Offset in the header -> the 8 bytes that are written there. */
  readonly header?: ReadonlyMap<number, bigint>;
}

export interface ChunkSpec {
  readonly types: TypeSpecs;
  /** By type, id -> value. */
  readonly pools: ReadonlyMap<string, ReadonlyMap<number, Value>>;
  readonly events: readonly (readonly [string, Value])[];
  /** How many checkpoints the pools are spread over. 1 by default. */
  readonly checkpointCount?: number;
  /** From the first checkpoint to the one before it. 0 by default: there is none. */
  readonly firstOffset?: number;
  readonly startNs?: bigint;
  readonly durationNs?: bigint;
  /** By the clock of the events. 0 by default. */
  readonly startTicks?: bigint;
  readonly ticksPerS?: bigint;
  readonly lies?: ChunkLies;
}

const pooled = (name: string, type: string): FieldSpec => ({ name, type, isPooled: true });
const plain = (name: string, type: string): FieldSpec => ({ name, type });
const SAMPLE = [plain("startTime", "long"), pooled("sampledThread", "java.lang.Thread"), pooled("stackTrace", "jdk.types.StackTrace")];
const CONTEXT = [plain("spanId", "long"), plain("spanName", "long"), plain("contextId", "long")];

/** The types that matter, as the agent describes them. */
export const AGENT_TYPES: TypeSpecs = {
  boolean: [],
  byte: [],
  char: [],
  short: [],
  int: [],
  long: [],
  float: [],
  double: [],
  "java.lang.String": [],
  "java.lang.Thread": [plain("osName", "java.lang.String"), plain("osThreadId", "long"), plain("javaName", "java.lang.String"), plain("javaThreadId", "long")],
  "java.lang.Class": [pooled("classLoader", "jdk.types.ClassLoader"), pooled("name", "jdk.types.Symbol"), pooled("package", "jdk.types.Package"), plain("modifiers", "int")],
  "jdk.types.ClassLoader": [pooled("type", "java.lang.Class"), pooled("name", "jdk.types.Symbol")],
  "jdk.types.Package": [pooled("name", "jdk.types.Symbol")],
  "jdk.types.Symbol": [plain("string", "java.lang.String")],
  "jdk.types.Method": [pooled("type", "java.lang.Class"), pooled("name", "jdk.types.Symbol"), pooled("descriptor", "jdk.types.Symbol"), plain("modifiers", "int"), plain("hidden", "boolean")],
  "jdk.types.FrameType": [plain("description", "java.lang.String")],
  "jdk.types.StackFrame": [pooled("method", "jdk.types.Method"), plain("lineNumber", "int"), plain("bytecodeIndex", "int"), pooled("type", "jdk.types.FrameType")],
  "jdk.types.StackTrace": [plain("truncated", "boolean"), { name: "frames", type: "jdk.types.StackFrame", isArray: true }],
  "jdk.types.ThreadState": [plain("name", "java.lang.String")],
  "jdk.ActiveSetting": [plain("startTime", "long"), plain("id", "long"), plain("name", "java.lang.String"), plain("value", "java.lang.String")],
  "jdk.ExecutionSample": [...SAMPLE, pooled("state", "jdk.types.ThreadState"), ...CONTEXT],
  "profiler.WallClockSample": [...SAMPLE, pooled("state", "jdk.types.ThreadState"), ...CONTEXT, plain("samples", "int")],
  "jdk.ObjectAllocationInNewTLAB": [...SAMPLE, pooled("objectClass", "java.lang.Class"), plain("allocationSize", "long"), plain("tlabSize", "long"), ...CONTEXT],
  "jdk.ObjectAllocationOutsideTLAB": [...SAMPLE, pooled("objectClass", "java.lang.Class"), plain("allocationSize", "long"), ...CONTEXT],
  "jdk.ObjectAllocationSample": [...SAMPLE, pooled("objectClass", "java.lang.Class"), plain("weight", "long")],
  "jdk.JavaMonitorEnter": [plain("startTime", "long"), plain("duration", "long"), pooled("eventThread", "java.lang.Thread"), pooled("stackTrace", "jdk.types.StackTrace"), ...CONTEXT],
  "jdk.ThreadPark": [plain("startTime", "long"), plain("duration", "long"), pooled("eventThread", "java.lang.Thread"), pooled("stackTrace", "jdk.types.StackTrace")],
  "profiler.LiveObject": [...SAMPLE, pooled("objectClass", "java.lang.Class"), plain("allocationSize", "long")],
  "profiler.Malloc": [...SAMPLE, plain("address", "long"), plain("size", "long")],
};

const HEADER_BYTES = 68;
const FIRST_TYPE_ID = 20;

export function writeChunk({ types, pools, events, checkpointCount = 1, firstOffset = 0, startNs = 1_700_000_000_000_000_000n, durationNs = 10_000_000_000n, startTicks = 0n, ticksPerS = 1_000_000_000n, lies = {} }: ChunkSpec): Uint8Array {
  const ids = new Map(Object.keys(types).map((name, index) => [name, FIRST_TYPE_ID + index]));
  const out = new Bytes(HEADER_BYTES);
  const metadataAt = out.length;
  out.event(0, writeMetadata(types, ids), lies.metadataBytes);
  let lastCheckpointAt = 0;
  const names = [...pools.keys()];
  for (let i = 0; i < checkpointCount; i++) {
    const at = out.length;
    const body = new Bytes().long(1).long(1).long(lastCheckpointAt === 0 ? firstOffset : lastCheckpointAt - at).byte(1);
    // Each checkpoint has its share of each pool.
    const isLast = i === checkpointCount - 1;
    body.long(names.length + (isLast ? (lies.poolCount ?? 0) : 0));
    for (const [number, name] of names.entries()) {
      const entries = [...(pools.get(name) ?? [])].filter((_, index) => index % checkpointCount === i);
      body.long(ids.get(name) ?? 9_999).long(entries.length + (isLast && number === 0 ? (lies.constantCount ?? 0) : 0));
      for (const [id, value] of entries) body.long(id).value(types, name, value);
    }
    lastCheckpointAt = at;
    out.event(1, body, isLast ? lies.checkpointBytes : 0);
  }
  for (const [index, [name, value]] of events.entries()) out.event(ids.get(name) ?? 9_999, new Bytes().value(types, name, value), index === events.length - 1 ? lies.eventBytes : 0);
  const bytes = out.finish();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(0, 0x464c5200);
  view.setUint16(4, 2);
  view.setBigUint64(8, BigInt(bytes.length));
  view.setBigUint64(16, BigInt(lastCheckpointAt));
  view.setBigUint64(24, BigInt(metadataAt));
  view.setBigUint64(32, startNs);
  view.setBigUint64(40, durationNs);
  view.setBigUint64(48, startTicks);
  view.setBigUint64(56, ticksPerS);
  view.setUint32(64, 1);
  for (const [at, value] of lies.header ?? []) view.setBigUint64(at, value);
  return bytes;
}

function writeMetadata(types: TypeSpecs, ids: ReadonlyMap<string, number>): Bytes {
  const strings = new Map<string, number>();
  const s = (text: string): number => {
    const known = strings.get(text);
    if (known === undefined) strings.set(text, strings.size);
    return known ?? strings.size - 1;
  };
  const elements = new Bytes();
  const element = (name: string, attributes: Readonly<Record<string, string>>, children: number): void => {
    elements.long(s(name)).long(Object.keys(attributes).length);
    for (const [key, value] of Object.entries(attributes)) elements.long(s(key)).long(s(value));
    elements.long(children);
  };
  element("root", {}, 2);
  element("metadata", {}, Object.keys(types).length);
  for (const [name, fields] of Object.entries(types)) {
    element("class", { id: String(ids.get(name)), name }, fields.length + 1);
    for (const field of fields) {
      element("field", { name: field.name, class: String(ids.get(field.type) ?? 9_999), ...(field.isPooled === true ? { constantPool: "true" } : {}), ...(field.isArray === true ? { dimension: "1" } : {}) }, 1);
      element("annotation", { class: "200", value: field.name }, 0);
    }
    element("annotation", { class: "201" }, 0);
  }
  element("region", { locale: "en_US", gmtOffset: "0" }, 0);
  const body = new Bytes().long(1).long(1).long(1).long(strings.size);
  for (const text of strings.keys()) body.text(text);
  return body.raw(elements.finish());
}

/** The bytes of a recording, as they grow. */
export class Bytes {
  #bytes = Buffer.alloc(256);
  #length: number;

  constructor(zeros = 0) {
    this.#length = zeros;
  }

  get length(): number {
    return this.#length;
  }

  #reserve(count: number): void {
    if (this.#length + count > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], (this.#length + count) * 2);
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** A compressed integer. A negative one takes nine bytes. */
  long(value: number | bigint): this {
    if (value >= 0 && value < 0x80) return this.byte(Number(value));
    let rest = BigInt.asUintN(64, BigInt(value));
    for (let i = 0; i < 8; i++) {
      if (rest < 0x80n) return this.byte(Number(rest));
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    return this.byte(Number(rest));
  }

  text(value: string | EncodedText): this {
    if (typeof value === "string") return value === "" ? this.byte(1) : this.text({ encoding: 3, text: value });
    const { encoding, text = "", id = 0, lengthSaid } = value;
    this.byte(encoding);
    if (encoding === 2) return this.long(id);
    if (encoding === 3) return this.#counted(Buffer.from(text), lengthSaid);
    if (encoding === 5) return this.#counted(Buffer.from(text, "latin1"), lengthSaid);
    if (encoding === 4) {
      this.long(lengthSaid ?? text.length);
      for (let i = 0; i < text.length; i++) this.long(text.charCodeAt(i));
    }
    return this;
  }

  #counted(bytes: Uint8Array, lengthSaid = bytes.length): this {
    return this.long(lengthSaid).raw(bytes);
  }

  value(types: TypeSpecs, type: string, value: Value | undefined): this {
    switch (type) {
      case "boolean":
      case "byte":
        return this.byte(Number(value ?? 0));
      case "float":
        return this.raw(new Uint8Array(4));
      case "double":
        return this.raw(new Uint8Array(8));
      case "java.lang.String":
        return this.text((value ?? "") as string | EncodedText); // the spec of the test says so
      case "char":
      case "short":
      case "int":
      case "long":
        return this.long((value ?? 0) as number | bigint);
      default:
        for (const field of types[type] ?? []) this.#field(types, field, (value as Readonly<Record<string, Value>> | undefined)?.[field.name]);
        return this;
    }
  }

  #field(types: TypeSpecs, { type, isPooled, isArray }: FieldSpec, value: Value | undefined): void {
    const one = (item: Value | undefined): this => (isPooled === true ? this.long((item ?? 0) as number) : this.value(types, type, item));
    if (isArray !== true) return void one(value);
    const items = value instanceof LyingArray ? value.items : ((value ?? []) as readonly Value[]);
    this.long(value instanceof LyingArray ? value.lengthSaid : items.length);
    for (const item of items) one(item);
  }

  /** An event of that type: its size, which counts itself, the type and the rest. The size that is written is larger by `bytesMore`. */
  event(typeId: number, body: Bytes, bytesMore = 0): this {
    const rest = new Bytes().long(typeId).raw(body.finish()).finish();
    let sizeBytes = rest.length + 1;
    while (new Bytes().long(sizeBytes).length + rest.length !== sizeBytes) sizeBytes++;
    return this.long(sizeBytes + bytesMore).raw(rest);
  }

  finish(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes.subarray(0, this.#length));
  }
}
