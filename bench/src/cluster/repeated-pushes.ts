/**
 * The pushes of a long open load. To make the bodies of minutes at a thousand a second would take minutes, and gigabytes: a few thousand contents are made and repeated,
 * each time under another profile id, which makes another record of it. Only the last digits of the id differ, and they are the last bytes of a body.
 */
import { Buffer } from "node:buffer";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import type { PushGenerator } from "../load/generator.ts";

const gzipAsync = promisify(gzip);
/** Bodies that are compressed at once: enough to fill the thread pool. */
const COMPRESSING_COUNT = 16;
const ID_START = "00000000-0000-4000-8000-";
const ID_DIGITS = 12;

export class RepeatedPushes {
  readonly #contents: readonly Buffer[];

  private constructor(contents: readonly Buffer[]) {
    this.#contents = contents;
  }

  /** Compressed at gzip level 1, as profilers do. */
  static async make(generator: PushGenerator): Promise<RepeatedPushes> {
    const contents: Buffer[] = [];
    while (contents.length < generator.distinctCount) {
      const count = Math.min(COMPRESSING_COUNT, generator.distinctCount - contents.length);
      contents.push(
        ...(await Promise.all(
          Array.from({ length: count }, async (_, i) => {
            const plan = generator.plan(contents.length + i);
            const compressed = await gzipAsync(new Uint8Array(generator.encodePprof(plan)), { level: constants.Z_BEST_SPEED });
            return Buffer.from(generator.encodeRequest(plan, compressed, idOf(0)));
          }),
        )),
      );
    }
    return new RepeatedPushes(contents);
  }

  /** The body of the push of this number, which the caller may change. */
  body(push: number): Buffer {
    const body = Buffer.from(this.#contents[push % this.#contents.length]!);
    body.write(digitsOf(push), body.length - ID_DIGITS, "latin1");
    return body;
  }
}

function idOf(push: number): string {
  return `${ID_START}${digitsOf(push)}`;
}

function digitsOf(push: number): string {
  return push.toString(16).padStart(ID_DIGITS, "0");
}
