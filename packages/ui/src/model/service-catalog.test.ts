import { expect } from "chai";
import { composeSelector } from "./label-selector.ts";
import { catalogOf, commonestType, preferredService, preferredType, sampleUnitOf, typeTitles } from "./service-catalog.ts";

const CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const SAMPLES = "process_cpu:samples:count:cpu:nanoseconds";
const WALL = "wall:wall:nanoseconds:wall:nanoseconds";
const HEAP = "memory:inuse_space:bytes:space:bytes";

describe("service catalog", () => {
  it("services and their types are in order, each once", () => {
    const catalog = catalogOf([
      { service: "web", profileType: WALL },
      { service: "api", profileType: HEAP },
      { service: "api", profileType: CPU },
      { service: "api", profileType: HEAP },
      { service: "", profileType: HEAP },
    ]);
    expect([...catalog.services]).to.deep.equal([
      ["api", [HEAP, CPU]],
      ["web", [WALL]],
    ]);
  });

  it("CPU comes before wall, wall before memory in use, and that before anything else", () => {
    expect(preferredType([HEAP, WALL, SAMPLES, CPU])).to.equal(CPU);
    expect(preferredType([HEAP, WALL, SAMPLES])).to.equal(SAMPLES);
    expect(preferredType([HEAP, WALL])).to.equal(WALL);
    expect(preferredType(["memory:alloc_objects:count:space:bytes", HEAP])).to.equal(HEAP);
    expect(preferredType([SAMPLES])).to.equal(SAMPLES);
    expect(preferredType([])).to.equal(undefined);
  });

  it("the service with the newest data comes first, of several the busiest", () => {
    const catalog = catalogOf(["a", "b", "c"].map((service) => ({ service, profileType: CPU })));
    expect(preferredService(catalog, [{ service: "b", newestMs: 5, total: 1 }, { service: "c", newestMs: 5, total: 9 }, { service: "a", newestMs: 4, total: 99 }, { service: "unknown", newestMs: 6, total: 1 }])).to.equal("c");
    expect(preferredService(catalog, [])).to.equal("a");
    expect(preferredService(catalogOf([]), [])).to.equal(undefined);
  });

  it("activity is compared by the type that most services have", () => {
    expect(commonestType(catalogOf([{ service: "a", profileType: HEAP }, { service: "b", profileType: WALL }, { service: "c", profileType: WALL }]))).to.equal(WALL);
    expect(commonestType(catalogOf([]))).to.equal(undefined);
  });

  it("types that would look alike are titled by their whole id", () => {
    const other = "memory:inuse_space:bytes:inuse_space:bytes";
    expect([...typeTitles([CPU, WALL, HEAP, other]).values()]).to.deep.equal(["cpu · process_cpu", "wall", HEAP, other]);
  });

  it("the unit of a type is its third part", () => {
    expect(sampleUnitOf(CPU)).to.equal("nanoseconds");
    expect(sampleUnitOf("")).to.equal("");
  });
});

describe("label selector", () => {
  it("the service comes first, then what was typed, braces or not", () => {
    expect(composeSelector("web", "")).to.equal('{service_name="web"}');
    expect(composeSelector("web", 'pod="a"')).to.equal('{service_name="web", pod="a"}');
    expect(composeSelector("web", ' { pod="a", region=~"eu-.*", } ')).to.equal('{service_name="web", pod="a", region=~"eu-.*"}');
  });

  it("a service's name cannot break out of its quotes", () => {
    expect(composeSelector('a"} or\\\n', "")).to.equal('{service_name="a\\"} or\\\\\\n"}');
  });
});
