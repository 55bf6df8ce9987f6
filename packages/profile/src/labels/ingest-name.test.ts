import { expect } from "chai";
import { ingestName } from "./ingest-name.ts";
import type { IngestQuirks } from "./ingest-name.ts";

function named(types: readonly string[], sampleTypes?: IngestQuirks["sampleTypes"]): string {
  return ingestName(
    types.map((type) => ({ type, unit: "count" })),
    { spyName: "unknown", sampleTypes },
  );
}

describe("ingest: the name of a pprof", () => {
  it("is told from its sample types, the first that fits, under Go's shown names; wall anywhere is wall", () => {
    expect(named(["samples", "cpu"])).equal("process_cpu");
    expect(named(["cpu", "wall"])).equal("wall");
    expect(named(["goroutine"])).equal("goroutines");
    expect(named(["contentions", "delay"])).equal("mutex");
    expect(named(["alloc_objects", "alloc_space"])).equal("memory");
    expect(named(["objects", "space"])).equal("memory");
  });

  it("objects and space are whole names: a part of another says nothing", () => {
    expect(named(["free_space"])).equal("free_space");
    expect(named(["my_objects"])).equal("my_objects");
  });

  it("a configuration stands alone: what it does not name is not shown under Go's names", () => {
    expect(named(["contentions", "delay"], { delay: { displayName: "block_duration" } })).equal("block");
    expect(named(["contentions", "delay"], { contentions: { displayName: "block_count" } })).equal("block");
    expect(named(["goroutine"], {})).equal("goroutine");
  });

  it("an empty display name is none", () => {
    expect(named(["inuse_space"], { inuse_space: { displayName: "" } })).equal("memory");
  });

  it("where none fits the profile is called as its last sample type is shown", () => {
    expect(named(["exceptions"])).equal("exceptions");
    expect(named(["first", "second"])).equal("second");
    expect(named(["raw"], { raw: { displayName: "shown" } })).equal("shown");
    expect(named([])).equal("");
  });

  it("a sample type called as a property of every object finds no configuration", () => {
    expect(named(["constructor"], {})).equal("constructor");
  });
});
