/**
 * A PushRequest in protobuf's binary form, read shallowly: labels, ids, and where each raw_profile lies. No profile is decoded or copied here.
 *
 *   PushRequest      1 series: RawProfileSeries *
 *   RawProfileSeries 1 labels: LabelPair{1 name, 2 value} *   2 samples: RawSample *   3 annotations (ignored)
 *   RawSample        1 raw_profile: bytes                     2 ID: string
 *
 * What must stay true: never a read past the end; unknown fields are stepped over; what is held for a request is
 * bounded by the counts below, not by what a hostile body spells.
 */
import { invalidArgument, VARINT_BYTES_MAX, VarintCursor } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { hexOfInvalidText } from "@pyromesh/profile";
import type { Label } from "@pyromesh/profile";

/** One raw_profile of a request, with the labels of its series. */
export interface PushedProfile {
  readonly seriesIndex: number;
  /** Within its series. */
  readonly profileIndex: number;
  /** As sent; shared by the profiles of one series. */
  readonly labels: readonly Label[];
  /** A view into the request. */
  readonly raw: Uint8Array;
  /** The `ID` as sent; "" when absent. */
  readonly id: string;
}

/**
 * Past these a request is refused: an empty message costs two bytes on the wire and a hundred in memory. All are far
 * above anything a client sends (30 labels a series is the default limit; agents send one to some dozen profiles).
 */
const SERIES_COUNT_MAX = 16_384;
const PROFILE_COUNT_MAX = 16_384;
const LABEL_COUNT_MAX = 1_024;
/** Of all series together: an empty label is two bytes and becomes fifty. 16 for each of as many series as there may be. */
const LABELS_TOGETHER_MAX = 262_144;

/** Reading in steps of one series, so that others get their turn between them. Ends with all profiles. */
export type PushReading = Generator<undefined, PushedProfile[]>;

/** The binary form. Throws PUSH_MALFORMED with the byte at which it stopped making sense. */
export function readPushBinary(body: Uint8Array): PushedProfile[] {
  return finishReading(readPushBinaryInSteps(body));
}

export function readPushBinaryInSteps(body: Uint8Array): PushReading {
  return new Scan(body).request();
}

/** Without a pause. */
export function finishReading(reading: PushReading): PushedProfile[] {
  for (;;) {
    const step = reading.next();
    if (step.done === true) return step.value;
  }
}

/** Counts what a push holds, and refuses what is too much, however small each piece is. */
export class PushCounts {
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

/** What an item is called in errors. */
export function describeProfile(profile: { readonly seriesIndex: number; readonly profileIndex: number }): string {
  return `series ${profile.seriesIndex}, profile ${profile.profileIndex}`;
}

// --- binary ---------------------------------------------------------------------------------------------------------

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

/** Field numbers with the wire type folded in, as they stand on the wire. */
const FIELD_1_BYTES = (1 << 3) | WIRE_BYTES;
const FIELD_2_BYTES = (2 << 3) | WIRE_BYTES;

class Scan {
  readonly #bytes: Buffer;
  readonly #cursor: VarintCursor;
  readonly #profiles: PushedProfile[] = [];
  readonly #counts = new PushCounts();
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
    // Labels may follow the samples on the wire: the profiles share this array, and it is full when the series ends.
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

  /** Steps over a field that is not ours, or ours with a wire type that is not. */
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

  /** Reads a length and returns where what it measures ends. */
  #lengthEnd(end: number): number {
    const length = this.#varint(end);
    if (length > end - this.#at) this.#fail(`${length} more bytes`);
    return this.#at + length;
  }

  /** `what` it is, where it is not UTF-8. */
  #text(end: number, what: () => string): string {
    const to = this.#lengthEnd(end);
    const text = this.#bytes.toString("utf8", this.#at, to);
    // A replacement character is either the client's own or the mark of bytes that are no UTF-8: look closer.
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

  /** Up to 64 bits as protobuf allows; above 2^53 only the fact that it is huge matters. */
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
    throw malformed(`the body is no PushRequest: at byte ${this.#at} of ${this.#bytes.length} there should be ${expected}`);
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function malformed(message: string): CodedError {
  return invalidArgument("PUSH_MALFORMED", message);
}
