import { expect } from "chai";
import fc from "fast-check";
import { seededRandom, toHex } from "@pyromesh/base";
import { Handshake, NONCE_BYTES, REFUSALS, type HandshakeOptions, type HandshakeStep, type Introduction } from "./handshake.ts";

const SECRET = Buffer.from("a secret of the cluster");
const OTHER = Buffer.from("another secret");

describe("handshake", () => {
  it("both sides prove the secret, and learn each other's introduction and the newest version that both speak", () => {
    const { dialler, dialled } = run(sideOf("a", { protocolMax: 3 }), sideOf("b", { protocolMax: 2 }));
    expect(dialler).to.deep.include({ kind: "proven", protocol: 2, introduction: introductionOf("b") });
    expect(dialled).to.deep.include({ kind: "proven", protocol: 2, introduction: introductionOf("a") });
  });

  it("without a secret on either side it goes through", () => {
    expect(kinds(run(sideOf("a", { secrets: [] }), sideOf("b", { secrets: [] })))).to.deep.equal(["proven", "proven"]);
  });

  it("two secrets: any one that both have is enough, so that a secret can be changed node by node", () => {
    for (const [a, b] of [
      [[SECRET], [SECRET, OTHER]],
      [[OTHER, SECRET], [SECRET]],
      [[OTHER, SECRET], [SECRET, OTHER]],
      [[OTHER], [SECRET, OTHER]],
    ]) {
      expect(kinds(run(sideOf("a", { secrets: a! }), sideOf("b", { secrets: b! })))).to.deep.equal(["proven", "proven"]);
    }
  });

  for (const [what, changes, code] of [
    ["another cluster", { clusterName: "another" }, "wrong-cluster"],
    ["another secret", { secrets: [OTHER] }, "wrong-secret"],
    ["no secret", { secrets: [] }, "missing-secret"],
    ["a version that is too new", { protocolMin: 2, protocolMax: 9 }, "incompatible-version"],
  ] as const) {
    it(`${what} is refused on both sides with the same code, whoever dials, and before anything is introduced`, () => {
      for (const isReversed of [false, true]) {
        const [one, two] = [sideOf("a", changes), sideOf("b", {})];
        const { dialler, dialled, frames } = isReversed ? run(two, one) : run(one, two);
        for (const side of [dialler, dialled]) expect(side).to.have.property("kind", "refused");
        expect([codeOf(dialler), codeOf(dialled)]).to.deep.equal([code, code]);
        expect(frames.every((frame) => frame[0] !== 3), "no introduction was sent").to.equal(true);
      }
    });
  }

  it("a refusal tells the other side nothing that needs the secret", () => {
    const { frames } = run(sideOf("a", { clusterName: "mistaken" }), sideOf("b", {}));
    const text = Buffer.concat(frames).toString("latin1");
    for (const hidden of ["b-store", "test-cluster", "bucket", "build 1"]) expect(text).not.to.include(hidden);
  });

  it("a proof of one link is refused on another: nonces, peer ids and roles are in it", () => {
    // A full exchange is recorded; then somebody plays the dialler's part again, without the secret.
    const recorded = run(sideOf("a", {}), sideOf("b", {})).framesOfDialler;
    const dialled = new Handshake({ ...sideOf("b", { nonce: seededRandom(99).bytes(NONCE_BYTES) }), role: "dialled", peerId: "peer-a" });
    dialled.begin();
    let last: HandshakeStep | undefined;
    for (const frame of recorded) {
      last = dialled.take(frame);
      if (last.kind === "refused") break;
    }
    expect(last).to.deep.include({ kind: "refused" });
    expect(codeOf(last!)).to.equal("wrong-secret");
  });

  it("a proof that is sent back to who made it is refused", () => {
    const dialler = new Handshake({ ...sideOf("a", {}), role: "dialler", peerId: "peer-b" });
    const hello = framesOf(dialler.begin())[0]!;
    const proof = framesOf(dialler.take(hello))[0]!; // its own hello, as if of the other side
    expect(codeOf(dialler.take(proof))).to.equal("wrong-secret");
  });

  it("somebody in between cannot lower the versions", () => {
    const dialler = new Handshake({ ...sideOf("a", { protocolMax: 3 }), role: "dialler", peerId: "peer-b" });
    const dialled = new Handshake({ ...sideOf("b", { protocolMax: 3 }), role: "dialled", peerId: "peer-a" });
    dialled.begin();
    const hello = framesOf(dialler.begin())[0]!;
    const lowered = hello.slice();
    lowered[6] = 1; // version max
    const answer = framesOf(dialled.take(lowered))[0]!;
    expect(codeOf(dialled.take(framesOf(dialler.take(answer))[0]!))).to.equal("wrong-secret");
  });

  it("frames out of their order are refused", () => {
    const { framesOfDialler } = run(sideOf("a", {}), sideOf("b", {}));
    for (let skipped = 0; skipped < framesOfDialler.length - 1; skipped++) {
      const dialled = new Handshake({ ...sideOf("b", {}), role: "dialled", peerId: "peer-a" });
      dialled.begin();
      for (const [i, frame] of framesOfDialler.entries()) {
        if (i === skipped) continue;
        const step = dialled.take(frame);
        expect(step.kind === "refused" ? codeOf(step) : undefined).to.be.oneOf(i > skipped ? ["malformed"] : [undefined, "malformed"]);
        if (step.kind === "refused") break;
      }
    }
  });

  it("truncated at every byte, a frame is refused as malformed, or is whole without its last fields' bytes", () => {
    const { framesOfDialler } = run(sideOf("a", {}), sideOf("b", {}));
    for (const [i, frame] of framesOfDialler.entries()) {
      for (let length = 0; length < frame.length; length++) {
        const dialled = new Handshake({ ...sideOf("b", {}), role: "dialled", peerId: "peer-a" });
        dialled.begin();
        for (const before of framesOfDialler.slice(0, i)) dialled.take(before);
        expect(codeOf(dialled.take(frame.subarray(0, length)))).to.equal("malformed");
      }
    }
  });

  it("bytes after the last field are ignored: later versions may add fields", () => {
    expect(kinds(run(sideOf("a", {}), sideOf("b", {}), (frame) => (frame[0] === 3 ? Buffer.concat([frame, Buffer.from("more")]) : frame)))).to.deep.equal(["proven", "proven"]);
  });

  it("noise is refused, and never throws", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }), fc.constantFrom("dialler", "dialled"), (frames, role) => {
        const handshake = new Handshake({ ...sideOf("b", {}), role: role as "dialler" | "dialled", peerId: "peer-a" });
        handshake.begin();
        for (const frame of frames) expect(handshake.take(frame).kind).not.to.equal("proven");
      }),
    );
  });

  it("golden: the frames of protocol 1", () => {
    const { frames } = run(sideOf("a", {}), sideOf("b", {}));
    expect(frames.map(toHex)).to.deep.equal(GOLDEN);
    expect(toHex(framesOf(new Handshake({ ...sideOf("a", {}), role: "dialler", peerId: "peer-b" }).refuse({ code: "busy", sentence: "no" }))[0]!)).to.equal("0508026e6f");
    expect(REFUSALS.slice(0, 12)).to.deep.equal(["malformed", "wrong-cluster", "wrong-secret", "missing-secret", "incompatible-version", "other-bucket", "same-store", "same-name", "busy", "self", "timeout", "bucket-unknown"]);
  });
});

const GOLDEN: readonly string[] = [
  "015059524f01010c746573742d636c7573746572e1eb2a5faf8d4d78817efd868d2393502fed6a8409faf15cc116f8fe39de390b",
  "015059524f01010c746573742d636c7573746572c5d4953cc5eadef48a47196712054094c92711faa324d4f59e9ca1f5e7e4325a",
  "02010d20fcef4ccc0c45886e22b97d85427f35591735c322acf7f9e7cfc36dfcf295",
  "0201474ddcce445abd8e6ede182523e4c78988e612c9a61e57bf8b80d969e64c50d7",
  "03016220626262626262626262626262626262626262626262626262626262626262626206622d626f6f74066275636b6574076275696c642031",
  "03016120616161616161616161616161616161616161616161616161616161616161616106612d626f6f74066275636b6574076275696c642031",
  "04",
];

type Side = Omit<HandshakeOptions, "role" | "peerId">;

function introductionOf(name: string): Introduction {
  return { name, storeId: name.repeat(32), bootId: `${name}-boot`, bucketId: "bucket", build: "build 1" };
}

function sideOf(name: string, changes: Partial<Side>): Side {
  return { protocolMin: 1, protocolMax: 1, clusterName: "test-cluster", nonce: seededRandom(name.charCodeAt(0)).bytes(NONCE_BYTES), ownPeerId: `peer-${name}`, secrets: [SECRET], introduction: introductionOf(name), ...changes };
}

/** Lets the two exchange frames until neither has one to send. Introductions are accepted. */
function run(dialler: Side, dialled: Side, change: (frame: Uint8Array) => Uint8Array = (frame) => frame): { dialler: HandshakeStep; dialled: HandshakeStep; frames: Uint8Array[]; framesOfDialler: Uint8Array[] } {
  const sides = [new Handshake({ ...dialler, role: "dialler", peerId: dialled.ownPeerId }), new Handshake({ ...dialled, role: "dialled", peerId: dialler.ownPeerId })] as const;
  const last = sides.map((side) => side.begin());
  const frames: Uint8Array[] = [];
  const framesOfDialler: Uint8Array[] = [];
  const queue: { to: number; frame: Uint8Array }[] = [];
  const send = (from: number, step: HandshakeStep): void => {
    last[from] = step;
    if (step.kind === "judge") return send(from, sides[from]!.accept());
    for (const frame of framesOf(step)) {
      frames.push(frame);
      if (from === 0) framesOfDialler.push(frame);
      queue.push({ to: 1 - from, frame: change(frame) });
    }
  };
  send(0, last[0]!);
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    if (last[next.to]!.kind !== "refused") send(next.to, sides[next.to]!.take(next.frame));
  }
  return { dialler: last[0]!, dialled: last[1]!, frames, framesOfDialler };
}

function framesOf(step: HandshakeStep): readonly Uint8Array[] {
  return step.kind === "judge" ? [] : step.frames;
}

function kinds({ dialler, dialled }: { dialler: HandshakeStep; dialled: HandshakeStep }): string[] {
  return [dialler.kind, dialled.kind];
}

function codeOf(step: HandshakeStep): string {
  return step.kind === "refused" ? step.refusal.code : step.kind;
}
