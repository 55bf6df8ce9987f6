/**
 * Reads a PushRequest in protobuf's JSON form, with its own field names or lowerCamelCase ones; unknown fields are skipped. It builds
 * only what it needs, so that a body costs little more than its size, and works in steps, so that a large body does not hold the thread.
 *
 *   {"series": [{"labels": [{"name", "value"}], "samples": [{"rawProfile" | "raw_profile": base64, "ID" | "id"}]}]}
 *
 * What must stay true: a raw profile is decoded in place, over its base64 in the body. The body cannot be read again.
 */
import { invalidArgument, JsonFault, JsonReader, messageOf } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import type { Label } from "@pyromesh/profile";
import { JSON_PUSH_BOUNDS } from "../proto/json-bounds.ts";
import { PushBounds } from "./push-message.ts";
import type { PushedProfile, PushReading } from "./push-message.ts";

/** Throws PUSH_MALFORMED, naming the place, or a code of `PushBounds` or json-bounds.ts. */
export function* readPushJson(body: Uint8Array): PushReading {
  try {
    const reader = new JsonReader(body, JSON_PUSH_BOUNDS);
    return yield* new PushJson(reader).request();
  } catch (thrown) {
    if (!(thrown instanceof JsonFault)) throw thrown;
    throw invalidArgument("PUSH_MALFORMED", `the body is not JSON: send a PushRequest, for example {"series":[...]} (${messageOf(thrown)})`, thrown);
  }
}

class PushJson {
  readonly #reader: JsonReader;
  readonly #counts = new PushBounds();
  readonly #profiles: PushedProfile[] = [];

  constructor(reader: JsonReader) {
    this.#reader = reader;
  }

  *request(): PushReading {
    const reader = this.#reader;
    const seen = new OnceEach("the body");
    this.#beginObject("the body");
    for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
      if (key === "series") {
        seen.add(key);
        yield* this.#allSeries();
      } else yield* reader.skipInSteps();
    }
    reader.end();
    return this.#profiles;
  }

  *#allSeries(): Generator<undefined, void> {
    if (!this.#beginList("series")) return;
    for (let seriesIndex = 0; this.#reader.nextItem(); seriesIndex++) {
      this.#counts.addSeries();
      yield* this.#series(seriesIndex);
      yield;
    }
  }

  *#series(seriesIndex: number): Generator<undefined, void> {
    const reader = this.#reader;
    const place = `series ${seriesIndex}`;
    const seen = new OnceEach(place);
    // Labels may follow the samples: the profiles share this array, which is complete when the series ends.
    const labels: Label[] = [];
    this.#beginObject(place);
    for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
      if (key === "labels") {
        seen.add(key);
        yield* this.#labels(labels, place);
      } else if (key === "samples") {
        seen.add(key);
        yield* this.#samples(seriesIndex, labels);
      } else yield* reader.skipInSteps();
    }
  }

  *#labels(labels: Label[], place: string): Generator<undefined, void> {
    const reader = this.#reader;
    if (!this.#beginList(`${place}, labels`)) return;
    while (reader.nextItem()) {
      const item = `${place}, label ${labels.length}`;
      this.#counts.addLabel();
      let name = "";
      let value = "";
      this.#beginObject(item);
      for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
        if (key === "name") name = this.#text(`${item}, name`);
        else if (key === "value") value = this.#text(`${item}, value`);
        else yield* reader.skipInSteps();
      }
      labels.push({ name, value });
    }
  }

  *#samples(seriesIndex: number, labels: readonly Label[]): Generator<undefined, void> {
    if (!this.#beginList(`series ${seriesIndex}, samples`)) return;
    for (let profileIndex = 0; this.#reader.nextItem(); profileIndex++) {
      this.#counts.addProfile();
      yield* this.#sample(seriesIndex, profileIndex, labels);
    }
  }

  *#sample(seriesIndex: number, profileIndex: number, labels: readonly Label[]): Generator<undefined, void> {
    const reader = this.#reader;
    const place = `series ${seriesIndex}, profile ${profileIndex}`;
    let raw: Uint8Array | undefined;
    let rawKey: string | undefined;
    let id = "";
    let otherId = "";
    this.#beginObject(place);
    for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
      if (key === "rawProfile" || key === "raw_profile") {
        if (rawKey !== undefined) throw malformed(rawKey === key ? `${place} has ${key} twice: send one` : `${place} has both rawProfile and raw_profile: send one`);
        rawKey = key;
        raw = yield* this.#base64(`${place}, rawProfile`);
      } else if (key === "ID") id = this.#text(`${place}, ID`);
      else if (key === "id") otherId = this.#text(`${place}, ID`);
      else yield* reader.skipInSteps();
    }
    this.#profiles.push({ seriesIndex, profileIndex, labels, raw: raw ?? NOTHING, id: id === "" ? otherId : id });
  }

  // --- values -----------------------------------------------------------------------------------------------------------

  #beginObject(place: string): void {
    if (this.#reader.kind !== "object") this.#refuse(`${place} should be a JSON object`);
    this.#reader.beginObject();
  }

  /** False for null, which counts as absent. */
  #beginList(place: string): boolean {
    if (this.#isNull()) return false;
    if (this.#reader.kind !== "list") this.#refuse(`${place} should be a list`);
    this.#reader.beginList();
    return true;
  }

  #text(place: string): string {
    if (this.#isNull()) return "";
    if (this.#reader.kind !== "text") this.#refuse(`${place} should be a string`);
    return this.#reader.text();
  }

  *#base64(place: string): Generator<undefined, Uint8Array> {
    if (this.#isNull()) return NOTHING;
    if (this.#reader.kind !== "text") this.#refuse(`${place} should be a string`);
    const text = this.#reader.base64();
    try {
      while (!text.isDone) {
        text.step();
        if (!text.isDone) yield;
      }
    } catch (thrown) {
      if (thrown instanceof JsonFault) throw malformed(`${place} should be base64`);
      throw thrown;
    }
    return text.finish();
  }

  #isNull(): boolean {
    if (this.#reader.kind !== "null") return false;
    this.#reader.skip();
    return true;
  }

  /** Text that is no JSON at all is reported before a value of the wrong kind. */
  #refuse(message: string): never {
    this.#reader.skip();
    throw malformed(message);
  }
}

/** Refuses a repeated key: it is unknown which of two lists is meant. */
class OnceEach {
  readonly #place: string;
  readonly #keys = new Set<string>();

  constructor(place: string) {
    this.#place = place;
  }

  add(key: string): void {
    if (this.#keys.has(key)) throw malformed(`${this.#place} has ${key} twice: send one`);
    this.#keys.add(key);
  }
}

const NOTHING = new Uint8Array(0);

function malformed(message: string): CodedError {
  return invalidArgument("PUSH_MALFORMED", message);
}
