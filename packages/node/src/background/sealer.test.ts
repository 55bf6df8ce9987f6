/** The sealer by itself: what it refuses to seal. Seals of a whole node are in flusher.test.ts and refused-write.test.ts. */
import { silentLogger } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import type { LocalFiles } from "@pyromesh/block";
import type { Cut, Head, OrdinalName } from "@pyromesh/head";
import { expect } from "chai";
import type { Compute } from "../compute/compute.ts";
import { Generations } from "./generations.ts";
import { OrdinalLock } from "./ordinal-lock.ts";
import { Sealer, writeAndRead } from "./sealer.ts";
import { NO_LISTENER } from "./segment-listener.ts";
import { NEWEST_VERSIONS } from "../cluster/version-gate.ts";

const signal = new AbortController().signal;
const CUT = { cutId: 1 } as Cut; // the sealer asks nothing else of it
const codeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => "done", (error: CodedError) => error.code);

describe("sealer", () => {
  let sealed: number[];
  let ordinals: readonly OrdinalName[] | undefined;
  let identities: string[];

  const seal = (): Promise<void> => {
    const generations = new Generations(() => {});
    generations.turn(CUT.cutId);
    const head = {
      nextOrdinals: async () => ordinals,
      holdVersions: async () => {},
      cutIdentities: () => identities,
      isSealed: () => false,
      seal: async (cutId: number) => void sealed.push(cutId),
    } as unknown as Head; // what a seal asks of it
    const compute = { build: async () => [] } as unknown as Compute; // workers that hold no rows of the cut
    return new Sealer({ head, compute, local: {} as LocalFiles, generations, versions: NEWEST_VERSIONS, ordinalLock: new OrdinalLock(), listener: NO_LISTENER, logger: silentLogger }, signal).seal(CUT);
  };

  beforeEach(() => {
    sealed = [];
    ordinals = [{ storeId: "0f".repeat(16), tenant: "a", windowStartMs: 0, ordinal: 0 }];
    identities = [];
  });

  it("a cut of which a record is in no segment is not sealed: the head keeps its records", async () => {
    identities = ["\u0001".repeat(16)];
    expect(await codeOf(seal())).equal("CUT_INCOMPLETE");
    expect(sealed).deep.equal([]);
  });

  it("a cut of which nothing could be read back is sealed without a segment", async () => {
    await seal();
    expect(sealed).deep.equal([1]);
  });

  it("a cut that turns out to be sealed is left alone", async () => {
    ordinals = undefined;
    await seal();
    expect(sealed).deep.equal([]);
  });

  for (const [how, kept] of [["another byte", [1, 2, 4]], ["fewer bytes", [1, 2]], ["none", []]] as const) {
    it(`a file of which the disk kept ${how} is refused with its path`, async () => {
      const local = {
        write: async () => {},
        pathOf: (key: string) => `/data/${key}`,
        source: async () => ({ sizeBytes: kept.length, read: async () => Uint8Array.from(kept) }),
      } as unknown as LocalFiles; // what writing and reading back asks of it
      const refusal = await writeAndRead(local, "k", Uint8Array.of(1, 2, 3), signal).catch((error: CodedError) => error);
      expect(refusal).include({ code: "LOCAL_FILE_DIFFERS", kind: "unavailable" });
      expect((refusal as CodedError).message).contain("/data/k");
    });
  }
});
