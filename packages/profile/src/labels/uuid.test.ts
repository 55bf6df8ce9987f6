import { expect } from "chai";
import { parseUuid } from "./uuid.ts";

describe("profile ids", () => {
  const UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
  const hex = UUID.replaceAll("-", "");

  it("a UUID is read in each of its spellings", () => {
    for (const text of [UUID, UUID.toUpperCase(), `{${UUID}}`, `urn:uuid:${UUID}`, hex]) expect(Buffer.from(parseUuid(text)!).toString("hex"), text).equal(hex);
  });

  it("nothing else is one", () => {
    for (const text of ["", "not-a-uuid", `${UUID}0`, hex.slice(1), `{${UUID}`, UUID.replace("-", "_")]) expect(parseUuid(text), text).equal(undefined);
  });
});
