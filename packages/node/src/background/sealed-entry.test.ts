import { crc32 } from "@pyromesh/base";
import { expect } from "chai";
import { corruptionOf, decodeSealedEntry, encodeSealedEntry, sealedEntryOf } from "./sealed-entry.ts";

describe("sealed entry", () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, at) => at % 251);
  const sealed = sealedEntryOf(bytes);

  it("says size and crc32, and comes back as it was written; these are its bytes", () => {
    expect(sealed).deep.equal({ sizeBytes: 300, crc: crc32(bytes), isLost: false });
    for (const entry of [sealed, { ...sealed, isLost: true }, { sizeBytes: 2 ** 40 + 1, crc: 0xffff_ffff, isLost: false }]) expect(decodeSealedEntry(encodeSealedEntry(entry))).deep.equal(entry);
    expect(Buffer.from(encodeSealedEntry({ sizeBytes: 258, crc: 0x0102_0304, isLost: false })).toString("hex")).equal("020100000000000004030201");
    expect(Buffer.from(encodeSealedEntry({ sizeBytes: 258, crc: 0x0102_0304, isLost: true })).toString("hex")).equal("02010000000000000403020101");
  });

  it("tells a file that is gone, has another length, or another byte anywhere", () => {
    expect(corruptionOf(sealed, sealed)).equal(undefined);
    expect(corruptionOf(undefined, sealed)).equal("is not on disk");
    expect(corruptionOf(sealedEntryOf(bytes.subarray(1)), sealed)).equal("has 299 bytes on disk instead of 300");
    for (let at = 0; at < bytes.length; at += 37) {
      const changed = Uint8Array.from(bytes);
      changed[at]! ^= 1;
      expect(corruptionOf(sealedEntryOf(changed), sealed), `byte ${at}`).match(/^has crc32 [0-9a-f]+ on disk instead of [0-9a-f]+$/);
    }
  });
});
