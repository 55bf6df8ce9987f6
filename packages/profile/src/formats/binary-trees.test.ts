import { ByteWriter, CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { profileOfAppName } from "../text/folded.ts";
import { stacksOf } from "../testing/format-stacks.ts";
import type { BodyFormat } from "./body-format.ts";

const COUNTS = { profile: profileOfAppName("cpu", 0) };
const TRIE: BodyFormat = { kind: "trie", form: COUNTS };
const TREE: BodyFormat = { kind: "tree", form: COUNTS };

interface Node {
  readonly name: string | Uint8Array;
  readonly value?: number | bigint;
  readonly children?: readonly Node[];
}

function bytesOf(...roots: readonly Node[]): Uint8Array {
  const out = new ByteWriter(64);
  const open = [...roots].reverse();
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const name = Buffer.from(node.name);
    out.uvarint(name.length).raw(name).uvarint64(node.value ?? 0).uvarint(node.children?.length ?? 0);
    for (const child of [...(node.children ?? [])].reverse()) open.push(child);
  }
  return out.finish();
}

function codeOf(work: () => unknown): string {
  try {
    work();
    return "none";
  } catch (thrown) {
    return thrown instanceof CodedError ? thrown.code : String(thrown);
  }
}

/** A chain of only children, each with this name and a value of 1. */
function chain(name: string, count: number): Node {
  let node: Node = { name, value: 1 };
  for (let i = 1; i < count; i++) node = { name, value: 1, children: [node] };
  return node;
}

describe("format tree", () => {
  it("bytes by hand: a root without a name, a above b and c", () => {
    const body = Uint8Array.from([0, 0, 1, 1, 0x61, 0, 2, 1, 0x62, 1, 0, 1, 0x63, 2, 0]);
    expect(stacksOf(body, TREE)).deep.equal([{ labels: {}, type: "samples:count:0", stacks: { "a;b": 1n, "a;c": 2n } }]);
  });

  it("the root's own value is of no stack, its name no frame; siblings of one name add up; a frame without a name is none", () => {
    const body = bytesOf({ name: "total", value: 5, children: [{ name: "a", value: 1 }, { name: "a", value: 2, children: [{ name: "", value: 4, children: [{ name: "b", value: 8 }] }] }] });
    expect(stacksOf(body, TREE)[0]!.stacks).deep.equal({ "": 5n, a: 7n, "a;b": 8n });
  });

  it("counts become nanoseconds of the sample rate, exactly, and those beyond 64 bits are refused", () => {
    const cpu: BodyFormat = { kind: "tree", form: { profile: profileOfAppName(undefined, 100) } };
    const of = (value: bigint): Uint8Array => bytesOf({ name: "", children: [{ name: "a", value }] });
    expect(stacksOf(of(900_719_925_475n), cpu)[0]).deep.include({ type: "cpu:nanoseconds:cpu:nanoseconds:10000000", stacks: { a: 9_007_199_254_750_000_000n } });
    expect(codeOf(() => stacksOf(of(1n << 62n), cpu))).equal("PROFILE_MALFORMED");
    expect(stacksOf(of((1n << 63n) - 1n), TREE)[0]!.stacks).deep.equal({ a: (1n << 63n) - 1n });
    expect(codeOf(() => stacksOf(of(1n << 63n), TREE))).equal("PROFILE_MALFORMED");
  });

  it("names and children beyond the limits are refused, and a limit of 0 lifts it", () => {
    const wide = bytesOf({ name: "", children: Array.from({ length: 11 }, (_, i) => ({ name: `f${i}`, value: 1 })) });
    expect(codeOf(() => stacksOf(wide, TREE, { limits: { sampleCountMax: 10 } }))).equal("PROFILE_SAMPLES_LIMIT");
    expect(Object.keys(stacksOf(wide, TREE, { limits: { sampleCountMax: 0 } })[0]!.stacks)).length(11);
    const long = bytesOf({ name: "", children: [{ name: "long", value: 1 }] });
    expect(codeOf(() => stacksOf(long, TREE, { limits: { symbolLengthBytesMax: 3 } }))).equal("PROFILE_MALFORMED");
    expect(stacksOf(long, TREE, { limits: { symbolLengthBytesMax: 4 } })[0]!.stacks).deep.equal({ long: 1n });
  });

  it("a chain of 200,000 nodes needs no recursion: a stack that is too deep keeps its root side", () => {
    const [profile] = stacksOf(bytesOf({ name: "", children: [chain("f", 200_000)] }), TREE, { limits: { stacktraceDepthMax: 3 } });
    expect(profile!.stacks).deep.equal({ f: 1n, "f;f": 1n, "f;f;f": 199_998n });
  });

  it("without a limit of depth, stacks that take too much as pprof are refused", () => {
    const body = bytesOf({ name: "", children: [chain("f", 20_000)] });
    expect(codeOf(() => stacksOf(body, TREE, { limits: { stacktraceDepthMax: 0, sampleCountMax: 0, profileSizeBytesMax: 0 } }))).equal("PROFILE_TOO_LARGE");
  });
});

describe("format trie", () => {
  it("names are put together, however they are cut: in a frame, at its end, in a character", () => {
    const euro = Buffer.from("main;€uro");
    const body = bytesOf({
      name: "",
      children: [
        {
          name: euro.subarray(0, 6),
          children: [
            { name: euro.subarray(6), value: 1 },
            { name: Buffer.concat([Buffer.from("€").subarray(1), Buffer.from(";a;b")]), value: 2, children: [{ name: "c", value: 4 }, { name: ";d;;e;", value: 8 }] },
          ],
        },
        { name: "main", value: 16 },
      ],
    });
    expect(stacksOf(body, TRIE)[0]!.stacks).deep.equal({ "main;€uro": 1n, "main;€;a;b": 2n, "main;€;a;bc": 4n, "main;€;a;b;d;e": 8n, main: 16n });
  });

  it("a value without any name is of no stack", () => {
    expect(stacksOf(bytesOf({ name: "", value: 3 }), TRIE)[0]!.stacks).deep.equal({ "": 3n });
  });

  it("a trie that spells far more than it holds is refused, before it takes memory or time", () => {
    expect(codeOf(() => stacksOf(bytesOf(chain("f", 100_000)), TRIE))).equal("PROFILE_MALFORMED");
    const wide = bytesOf({ name: "x".repeat(60_000), children: Array.from({ length: 100_000 }, () => ({ name: "y", value: 1 })) });
    expect(codeOf(() => stacksOf(wide, TRIE))).equal("PROFILE_MALFORMED");
  });

  it("a chain of 200,000 nodes needs no recursion", () => {
    const [profile] = stacksOf(bytesOf(chain("f;", 200_000)), TRIE, { limits: { stacktraceDepthMax: 2 } });
    expect(profile!.stacks).deep.equal({ f: 1n, "f;f": 199_999n });
  });
});

for (const format of [TREE, TRIE]) {
  describe(`format ${format.kind}: damage`, () => {
    const whole = bytesOf({ name: "", children: [{ name: "main;", value: 300, children: [{ name: "work", value: 3 }] }, { name: "idle", value: 1 }] });

    it("truncated at any byte, or with bytes behind its end, it is refused", () => {
      expect(codeOf(() => stacksOf(whole, format))).equal("none");
      for (let length = 0; length < whole.length; length++) expect(codeOf(() => stacksOf(whole.subarray(0, length), format)), String(length)).equal("PROFILE_MALFORMED");
      expect(codeOf(() => stacksOf(Buffer.concat([whole, Buffer.of(0)]), format))).equal("PROFILE_MALFORMED");
    });

    it("a size or a number of children beyond the body, a number without an end, and a name that is not UTF-8 are refused", () => {
      const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
      for (const body of [[...huge, 0x61], [0, 0, ...huge], [0, 0, 0xff, 0x7f], Array.from({ length: 20 }, () => 0x80), [0, 0, 1, 1, 0xff, 1, 0]]) {
        expect(codeOf(() => stacksOf(Uint8Array.from(body), format)), body.join(" ")).equal("PROFILE_MALFORMED");
      }
    });
  });
}
