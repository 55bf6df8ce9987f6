/**
 * Reads the frames of a stacktrace into two columns: the id of each one's method, and its line. Frames are the most of a recording, and all
 * known recorders write them as integers alone, so those are read in one loop; others, field by field.
 */
import type { JfrCursor } from "./jfr-cursor.ts";
import { cutShort } from "./jfr-cursor.ts";
import { malformed } from "../labels/refusal.ts";
import type { JfrType } from "./metadata.ts";
import { StructReader } from "./struct-reader.ts";
import type { ValueLayouts } from "./value-layout.ts";

/**
 * Beyond it the recording is refused. A frame can take one byte of a recording, and equal ones next to nothing of a compressed body, and takes some 60
 * bytes of memory while its stacktrace is read and written. The JDK records up to 2048 frames, async-profiler as many unless told otherwise.
 */
const FRAMES_MAX = 65_536;

const METHOD = "method";
const LINE = "lineNumber";

export class FrameReader {
  methods: Float64Array = new Float64Array(256);
  lines: Float64Array = new Float64Array(256);
  readonly #front: StructReader;
  readonly #frame: StructReader;
  /** How many fields a frame has where all are integers; 0 otherwise. And which of them these are. */
  readonly #longs: number;
  readonly #methodField: number;
  readonly #lineField: number;
  readonly #values = new Float64Array(2);

  /** `stackTrace` is the type of stacktraces. Throws a refusal where it has no frames. */
  constructor(layouts: ValueLayouts, stackTrace: JfrType) {
    const index = stackTrace.fields.findIndex(({ name }) => name === "frames");
    const frames = stackTrace.fields[index];
    const frame = frames === undefined ? undefined : layouts.types.byId.get(frames.typeId);
    if (frames === undefined || frame === undefined || !frames.isArray || frames.isPooled) throw malformed("the JFR recording's stacktraces have no frames: record with another recorder");
    this.#front = new StructReader(layouts, { ...stackTrace, fields: stackTrace.fields.slice(0, index) }, {});
    this.#frame = new StructReader(layouts, frame, { [METHOD]: { slot: 0, read: "number" }, [LINE]: { slot: 1, read: "number" } });
    if (!this.#frame.has(METHOD)) throw malformed("the JFR recording's frames name no method: record with another recorder");
    this.#longs = frame.fields.every((field) => layouts.isLong(field)) ? frame.fields.length : 0;
    this.#methodField = frame.fields.findIndex(({ name }) => name === METHOD);
    this.#lineField = frame.fields.findIndex(({ name }) => name === LINE);
  }

  /** Reads the stacktrace at `cursor`, and returns how many frames it has. */
  read(cursor: JfrCursor): number {
    this.#front.read(cursor, this.#values);
    const count = cursor.count();
    if (count > FRAMES_MAX) throw malformed(`the JFR recording has a stacktrace of ${count} frames, and ${FRAMES_MAX} are read: record with a smaller stack depth`);
    if (count > this.methods.length) {
      this.methods = new Float64Array(count * 2);
      this.lines = new Float64Array(count * 2);
    }
    if (this.#longs > 0) this.#readLongs(cursor, count);
    else this.#readFields(cursor, count);
    return count;
  }

  #readLongs(cursor: JfrCursor, count: number): void {
    const { methods, lines } = this;
    const { bytes, end } = cursor;
    const fields = this.#longs;
    const [methodField, lineField] = [this.#methodField, this.#lineField];
    if (lineField < 0) lines.fill(0, 0, count);
    let { at } = cursor;
    for (let i = 0; i < count; i++) {
      for (let field = 0; field < fields; field++) {
        if (at >= end) throw cutShort(at);
        let value = bytes[at]!;
        if (value < 0x80) at++;
        else if (at + 1 < end && bytes[at + 1]! < 0x80) {
          value = (value & 0x7f) | (bytes[at + 1]! << 7);
          at += 2;
        } else {
          cursor.at = at;
          value = cursor.long();
          at = cursor.at;
        }
        if (field === methodField) methods[i] = value;
        else if (field === lineField) lines[i] = value;
      }
    }
    cursor.at = at;
  }

  #readFields(cursor: JfrCursor, count: number): void {
    const values = this.#values;
    for (let i = 0; i < count; i++) {
      values.fill(0);
      this.#frame.read(cursor, values);
      this.methods[i] = values[0]!;
      this.lines[i] = values[1]!;
    }
  }
}
