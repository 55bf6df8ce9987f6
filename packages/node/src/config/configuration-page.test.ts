/** docs/configuration.md against the tables it tells of. */
import { readFile } from "node:fs/promises";
import { expect } from "chai";
import { SETTINGS } from "./config.ts";
import { LIMITS } from "./limits.ts";
import type { Setting } from "./setting.ts";

const ROW = /^\| `([a-z_]+)` \| (?:-|`([^`]*)`) \|/;

describe("configuration page", () => {
  it("names every setting and every limit with its default, and no other", async () => {
    const page = await readFile(new URL("../../../../docs/configuration.md", import.meta.url), "utf8");
    const found = page.split("\n").flatMap((line) => {
      const [, key, byDefault = ""] = ROW.exec(line) ?? [];
      return key === undefined ? [] : [`${key} ${byDefault}`];
    });
    const all: readonly Setting<unknown>[] = [...Object.values(SETTINGS), ...Object.values(LIMITS)];
    const wanted = all.map(({ key, kind, default: byDefault }) => `${key.replace(/^limits\./, "")} ${String(kind.print(byDefault) ?? "")}`);
    expect(found).to.have.members(wanted);
  });
});
