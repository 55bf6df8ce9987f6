import type { TenantId } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { toldSegment } from "../background/told-segment.ts";
import { decodeObjectNote, encodeObjectNote } from "./object-note.ts";

const NAMED = { tenant: "shop" as TenantId, windowStartMs: 1_767_610_800_000, level: 0, minTimeMs: 1_767_610_800_630, maxTimeMs: 1_767_610_804_105, storeId: "0f1e2d3c4b5a69788796a5b4c3d2e1f0", ordinal: 7 } as const; // a tenant id that the API would take
const NOTE = { object: toldSegment(NAMED, { sizeBytes: 456, isUploaded: true }), atMs: 1_767_610_860_000 };
/** As the first build with notes wrote it. It does not change: data dirs hold it. */
const BYTES =
  "de0002a26174cb4279b8dd141e0000a66f626a656374de0004a36b6579d96276312f73686f702f32303236303130355431312f4c302d313736373631303830303633302d313736373631303830343130352d30663165326433633462356136393738383739366135623463336432653166302d303030303030303030372e736567a973697a654279746573cd01c8aa697355706c6f61646564c3a46d657461de000aa674656e616e74a473686f70ad77696e646f7753746172744d73cb4279b8dd05780000a877696e646f774d73ce0036ee80a56c6576656c00a773746f72654964d9203066316532643363346235613639373838373936613562346333643265316630a76f7264696e616c07a96d696e54696d654d73cb4279b8dd059f6000a96d617854696d654d73cb4279b8dd06789000ab7265636f7264436f756e7400a7736f757263657391de0003a773746f72654964d9203066316532643363346235613639373838373936613562346333643265316630a5666972737407a46c61737407";

describe("the note of an object", () => {
  it("has these bytes on disk, and is read back", () => {
    expect(Buffer.from(encodeObjectNote(NOTE)).toString("hex")).equal(BYTES);
    expect(decodeObjectNote(Buffer.from(BYTES, "hex"))).deep.equal(NOTE);
  });

  it("cut short, or of noise, is refused", () => {
    const refused = (bytes: Uint8Array): boolean => {
      try {
        return decodeObjectNote(bytes) === undefined;
      } catch (error) {
        return (error as { code?: string }).code === "PEER_MALFORMED";
      }
    };
    const whole = encodeObjectNote(NOTE);
    for (let length = 0; length < whole.length; length++) expect(refused(whole.subarray(0, length)), `${length} bytes`).equal(true);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), refused));
  });
});
