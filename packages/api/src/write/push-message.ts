/**
 * Reads a PushRequest in protobuf's binary form without decoding or copying a profile: labels, ids, and where each raw_profile is.
 *
 *   PushRequest      1 series: RawProfileSeries *
 *   RawProfileSeries 1 labels: LabelPair{1 name, 2 value} *   2 samples: RawSample *   3 annotations (ignored)
 *   RawSample        1 raw_profile: bytes                     2 ID: string
 *
 * What must stay true: nothing is read beyond the end, and unknown fields are skipped. The memory for a request is bounded by the counts
 * below, whatever its bytes say.
 */
import { invalidArgument, VARINT_BYTES_MAX, VarintCursor } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { hexOfInvalidText } from "@pyromesh/profile";
import type { Label } from "@pyromesh/profile";

/** One raw_profile of a request with the labels of its series. */
export interface PushedProfile {
  readonly seriesIndex: number;
  /** The position within its series. */
  readonly profileIndex: number;
  /** As sent. The profiles of one series share the array. */
  readonly labels: readonly Label[];
  /** A view of the request's body. */
  readonly raw: Uint8Array;
  /** The `ID` as sent. "" where it is absent. */
  readonly id: string;
}

/**
 * A request beyond these counts is refused: an empty message takes two bytes on the wire and a hundred in memory. All are far above what
 * clients send (agents send up to some dozen profiles, and a series may have 30 labels by default).
 */
const SERIES_COUNT_MAX = 16_384;
const PROFILE_COUNT_MAX = 16_384;
const LABEL_COUNT_MAX = 1_024;
/**
 * Labels of all series together: an empty label takes two bytes on the wire and fifty in memory. This is 16 for each of SERIES_COUNT_MAX
 * series.
 */
const LABELS_TOGETHER_MAX = 262_144;

/** A parse in steps of one series, so that other requests get their turn between them. It returns all profiles. */
export type PushReading = Generator<undefined, PushedProfile[]>;

/** Throws PUSH_MALFORMED, naming the byte. */
export function readPushBinary(body: Uint8Array): PushReading {
  return new Scan(body).request();
}

/** Runs all steps without a pause. */
export function finishReading(reading: PushReading): PushedProfile[] {
  for (;;) {
    const step = reading.next();
    if (step.done === true) return step.value;
  }
}

/** Counts the items of a push and refuses it beyond the bounds, however small each item is. */
export class PushBounds {
  #seriesCount = 0;
  #profileCount = 0;
  #labelCount = 0;
  #seriesLabelCount = 0;

  addSeries(): void {
    this.#seriesLabelCount = 0;
    if (++this.#seriesCount > SERIES_COUNT_MAX) {
      throw invalidArgument("PUSH_TOO_MANY_SERIES", `a push holds more than ${SERIES_COUNT_MAX} series: send fewer at once`);
    }
  }

  addProfile(): void {
    if (++this.#profileCount > PROFILE_COUNT_MAX) {
      throw invalidArgument("PUSH_TOO_MANY_PROFILES", `a push holds more than ${PROFILE_COUNT_MAX} profiles: send fewer at once`);
    }
  }

  addLabel(): void {
    if (++this.#seriesLabelCount > LABEL_COUNT_MAX) {
      throw invalidArgument("PUSH_TOO_MANY_LABELS", `series ${this.#seriesCount - 1} has more than ${LABEL_COUNT_MAX} labels: send fewer`);
    }
    if (++this.#labelCount > LABELS_TOGETHER_MAX) {
      throw invalidArgument("PUSH_TOO_MANY_LABELS", `the series of a push have more than ${LABELS_TOGETHER_MAX} labels together: send fewer at once`);
    }
  }
}

/** The name of a profile in errors. */
export function describeProfile(profile: { readonly seriesIndex: number; readonly profileIndex: number }): string {
  return `series ${profile.seriesIndex}, profile ${profile.profileIndex}`;
}

// --- binary ---------------------------------------------------------------------------------------------------------

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

/** Field numbers and wire types together, as on the wire. */
const FIELD_1_BYTES = (1 << 3) | WIRE_BYTES;
const FIELD_2_BYTES = (2 << 3) | WIRE_BYTES;

class Scan {
  readonly #bytes: Buffer;
  readonly #cursor: VarintCursor;
  readonly #profiles: PushedProfile[] = [];
  readonly #counts = new PushBounds();
  #at = 0;

  constructor(body: Uint8Array) {
    this.#bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    this.#cursor = new VarintCursor(body);
  }

  *request(): PushReading {
    const end = this.#bytes.length;
    let seriesIndex = 0;
    while (this.#at < end) {
      const tag = this.#varint(end);
      if (tag === FIELD_1_BYTES) {
        const seriesEnd = this.#lengthEnd(end);
        this.#counts.addSeries();
        this.#series(seriesIndex++, seriesEnd);
        yield;
      } else this.#skip(tag, end);
    }
    return this.#profiles;
  }

  #series(seriesIndex: number, end: number): void {
    // Labels may follow the samples on the wire: the profiles share this array, which is complete when the series ends.
    const labels: Label[] = [];
    let profileIndex = 0;
    while (this.#at < end) {
      const tag = this.#varint(end);
      if (tag === FIELD_1_BYTES) {
        const labelEnd = this.#lengthEnd(end);
        this.#counts.addLabel();
        labels.push(this.#label(labelEnd));
      } else if (tag === FIELD_2_BYTES) {
        const sampleEnd = this.#lengthEnd(end);
        this.#counts.addProfile();
        this.#sample(seriesIndex, profileIndex++, labels, sampleEnd);
      } else this.#skip(tag, end);
    }
  }

  #label(end: number): Label {
    let name = "";
    let value = "";
    while (this.#at < end) {
      const tag = this.#varint(end);
      if (tag === FIELD_1_BYTES) name = this.#text(end, () => "the name of a label");
      else if (tag === FIELD_2_BYTES) value = this.#text(end, () => `the value of the label ${JSON.stringify(name.slice(0, 100))}`);
      else this.#skip(tag, end);
    }
    return { name, value };
  }

  #sample(seriesIndex: number, profileIndex: number, labels: readonly Label[], end: number): void {
    let from = this.#at;
    let to = this.#at;
    let id = "";
    while (this.#at < end) {
      const tag = this.#varint(end);
      if (tag === FIELD_1_BYTES) {
        to = this.#lengthEnd(end);
        from = this.#at;
        this.#at = to;
      } else if (tag === FIELD_2_BYTES) id = this.#text(end, () => `the ID of profile ${profileIndex} of series ${seriesIndex}`);
      else this.#skip(tag, end);
    }
    const raw = new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + from, to - from);
    this.#profiles.push({ seriesIndex, profileIndex, labels, raw, id });
  }

  /** Skips a field that is unknown or has another wire type. */
  #skip(tag: number, end: number): void {
    if (tag < 8) this.#fail("a field number of at least 1");
    switch (tag & 7) {
      case WIRE_VARINT:
        this.#varint(end);
        return;
      case WIRE_FIXED64:
        this.#step(8, end);
        return;
      case WIRE_BYTES:
        this.#at = this.#lengthEnd(end);
        return;
      case WIRE_FIXED32:
        this.#step(4, end);
        return;
      default:
        this.#fail(`no wire type ${tag & 7}`);
    }
  }

  #step(count: number, end: number): void {
    if (count > end - this.#at) this.#fail(`${count} more bytes`);
    this.#at += count;
  }

  /** Reads a length and returns where its field ends. */
  #lengthEnd(end: number): number {
    const length = this.#varint(end);
    if (length > end - this.#at) this.#fail(`${length} more bytes`);
    return this.#at + length;
  }

  /** `what` names the text in the error where it is not UTF-8. */
  #text(end: number, what: () => string): string {
    const to = this.#lengthEnd(end);
    const text = this.#bytes.toString("utf8", this.#at, to);
    // Either the client sent this character, or the decoder put it in place of bytes that are no UTF-8.
    if (text.includes("\ufffd")) {
      try {
        strictUtf8.decode(this.#bytes.subarray(this.#at, to));
      } catch {
        throw malformed(`${what()} is not UTF-8, its bytes are ${hexOfInvalidText(this.#bytes.subarray(this.#at, to))}: encode it as UTF-8`);
      }
    }
    this.#at = to;
    return text;
  }

  /** Up to 64 bits. Above 2^53 the value is imprecise, which is enough to refuse it. */
  #varint(end: number): number {
    const cursor = this.#cursor;
    cursor.offset = this.#at;
    cursor.end = end;
    const value = cursor.next();
    if (value < 0) this.#fail(end - this.#at < VARINT_BYTES_MAX ? "the rest of a number" : "a number of at most 10 bytes");
    this.#at = cursor.offset;
    return value;
  }

  #fail(expected: string): never {
    throw malformed(`the body is not a PushRequest: at byte ${this.#at} of ${this.#bytes.length} expected ${expected}`);
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function malformed(message: string): CodedError {
  return invalidArgument("PUSH_MALFORMED", message);
}
