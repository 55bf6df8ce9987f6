import { expect } from "chai";
import fc from "fast-check";
import { CodedError, encodeUtf8 } from "@pyromesh/base";
import { FrameNames } from "./frame-names.ts";

describe("names of frames", () => {
  it("equal bytes have one number, wherever they lie, and others another", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 6 }), { maxLength: 60 }), (texts) => {
        const names = new FrameNames();
        const numbers = new Map<string, number>();
        for (const text of [...texts, ...texts]) {
          const name = encodeUtf8(text);
          const within = new Uint8Array([0xff, ...name, 0xff]);
          const number = names.numberOf(within, 1, 1 + name.length);
          const known = numbers.get(text);
          if (known === undefined) numbers.set(text, number);
          else expect(number).equal(known);
        }
        expect(names.count).equal(numbers.size);
        for (const [text, number] of numbers) expect(names.nameOf(number)).equal(text);
      }),
    );
  });

  it("names of real shape in any number find their place", () => {
    const names = new FrameNames();
    for (let i = 0; i < 20_000; i++) expect(names.numberOf(encodeUtf8(`package.Class${i % 1000}.method${i}`))).equal(i);
    expect(names.nameOf(19_999)).equal("package.Class999.method19999");
  });

  it("names that were made to collide are refused after a bounded search, not looked for one by one", () => {
    const names = new FrameNames();
    let lookups = 0;
    expect(() => {
      for (const name of colliding()) {
        names.numberOf(name);
        lookups++;
      }
    }).throw(CodedError, "made to slow this node down");
    expect(lookups).lessThan(100);
  });
});

/** 128 names of one hash: seven parts, for each of which there are two that bring FNV-1a from one state to the same other one. */
function colliding(): Uint8Array[] {
  let names = [new Uint8Array(0)];
  let state = 0x811c9dc5 | 0;
  for (let part = 0; part < 7; part++) {
    const { pair, after } = collidingFrom(state);
    names = names.flatMap((name) => pair.map((end) => Uint8Array.from([...name, ...end])));
    state = after;
  }
  return names;
}

function collidingFrom(from: number): { readonly pair: readonly [Uint8Array, Uint8Array]; readonly after: number } {
  const byState = new Map<number, Uint8Array>();
  for (let i = 0; ; i++) {
    const name = encodeUtf8((i * 7919).toString(36));
    let state = from;
    for (const byte of name) state = Math.imul(state ^ byte, 0x01000193);
    const other = byState.get(state);
    if (other !== undefined) return { pair: [other, name], after: state };
    byState.set(state, name);
  }
}
