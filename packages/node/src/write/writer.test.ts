import { ANONYMOUS, CodedError, Metrics, seededRandom, toHex } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/block/testing";
import type { EncodedRecord, Label } from "@pyromesh/profile";
import { decodeRecord, DEFAULT_PROFILE_LIMITS, fingerprintOf, labelValue, PprofWriter, printLabels, profileOfAppName, recordVersions } from "@pyromesh/profile";
import { otlpExport } from "@pyromesh/profile/testing";
import type { ArrivedProfile } from "@pyromesh/api";
import { expect } from "chai";
import { aloneCluster } from "../cluster/alone.ts";
import type { Cluster } from "../cluster/ports.ts";
import type { Compute } from "../compute/compute.ts";
import { FakeClusterWorld, openLocalCompute } from "../testing/index.ts";
import { OTLP_JSON, otlpJson } from "../testing/otlp-json.ts";
import type { ExportedProfile } from "../testing/otlp-json.ts";
import { ActiveSeries } from "./active-series.ts";
import { ArrivalTimes } from "./arrival-times.ts";
import type { PlacedRecord } from "./placement.ts";
import { Writer } from "./writer.ts";
import type { WriterLimits } from "./writer.ts";
import { NEWEST_VERSIONS } from "../cluster/version-gate.ts";
import type { Format } from "@pyromesh/ring";

const signal = new AbortController().signal;
const ALONE = { name: "a", clusterName: "", bootId: "", httpAddress: "", build: "" };

/** A writer over a head that keeps each identity once, in memory, or refuses. */
class World {
  readonly clock: ManualClock = new ManualClock();
  encodingCount = 0;
  encodingAtOnce = 0;
  encodedCount = 0;
  readonly kept: Map<string, EncodedRecord> = new Map();
  readonly storesOf: Map<string, readonly Uint8Array[]> = new Map();
  storesFor: (record: PlacedRecord) => readonly Uint8Array[] = () => [new Uint8Array(16)];
  readonly activeSeries: ActiveSeries = new ActiveSeries({}, { clock: this.clock, metrics: new Metrics() });
  readonly arrivalTimes: ArrivalTimes = new ArrivalTimes({});
  headRefusal: CodedError | undefined;
  floorMs = 0;
  limits: WriterLimits = {
    ...DEFAULT_PROFILE_LIMITS,
    rejectOlderThanMs: 0,
    rejectNewerThanMs: 0,
    localSeriesMax: 0,
    globalSeriesMax: 2,
    sessionsPerSeriesMax: 0,
    pushProfilesAtOnceMax: 0,
  };
  /** Appends that the head waits for. */
  announcedCount = 0;
  isInContact = true;
  /** What `Cluster.contact` of its node does. */
  contact: () => Promise<boolean> = () => Promise.resolve(this.isInContact);
  /** What the members of a cluster agree on. */
  readonly agree: ((tenant: string, key: string, timeMs: number) => Promise<number>) | undefined;
  /** When nobody reads the bytes of a record any more, where that is later than when it is kept. */
  unread: Promise<void> | undefined;
  /** Records that were encoded and not yet given back. */
  pooledCount = 0;
  /** What is written in another version than the newest. */
  versions: Partial<Record<Format, number>> = {};
  readonly writer: Writer;

  #cluster(): Cluster {
    const isInContact = (): boolean => this.isInContact;
    const cluster = this.agree === undefined ? aloneCluster(ALONE, () => new Uint8Array(16)) : new FakeClusterWorld(["a", "b"], { clock: this.clock }).of("a");
    return Object.defineProperties(cluster, { isInContact: { get: isInContact }, contact: { value: () => this.contact() } });
  }

  /** `agree`: the node is a member of a cluster. */
  constructor(agree?: (tenant: string, key: string, timeMs: number) => Promise<number>) {
    this.agree = agree;
    this.writer = new Writer({
      cluster: this.#cluster(),
      versions: { versionOf: (format) => this.versions[format] ?? NEWEST_VERSIONS.versionOf(format) },
      compute: this.#countPooled(openLocalCompute({ random: seededRandom(1) })),
      head: {
        announce: () => void this.announcedCount++,
        arrived: () => void this.announcedCount--,
      },
      replicator: {
        keep: (record) => {
          expect(this.announcedCount, "an append is announced until it is made").greaterThan(0);
          return { kept: this.#append(record), unread: this.unread };
        },
      },
      clock: this.clock,
      activeSeries: this.activeSeries,
      arrivalTimes: this.arrivalTimes,
      arrivalAgreement: { agree: (tenant, key, timeMs) => this.agree!(tenant, toHex(key), timeMs) },
      limitsFor: () => this.limits,
      floorOf: () => this.floorMs,
      openGeneration: () => 0,
      refusesBecause: () => undefined,
    });
  }

  async #append(record: EncodedRecord): Promise<void> {
    if (this.headRefusal !== undefined) throw this.headRefusal;
    const key = Buffer.from(record.identity).toString("hex");
    this.kept.set(key, { ...record, bytes: record.bytes.slice() }); // as the disk does: they are lent
    this.storesOf.set(key, this.storesFor(record));
  }

  #countPooled(compute: Compute): Compute {
    const { encode, release } = compute;
    compute.encode = async (task) => {
      this.encodingAtOnce = Math.max(this.encodingAtOnce, ++this.encodingCount);
      const records = await encode.call(compute, task).finally(() => this.encodingCount--);
      this.encodedCount++;
      this.pooledCount += records.length;
      return records;
    };
    compute.release = (records) => {
      this.pooledCount -= records.length;
      release.call(compute, records);
    };
    return compute;
  }

  /** The codes of the refusals of one push. */
  async push(...profiles: readonly ArrivedProfile[]): Promise<string[]> {
    const pooled = profiles.map((one) => ({ ...one, pprof: one.pprof.slice() }));
    const { refused } = await this.writer.push(ANONYMOUS, pooled, signal);
    expect(this.announcedCount, "what is announced arrives, or is taken back").equal(0);
    for (const { pprof } of pooled) pprof.fill(0); // as the API does, which reads the next request there
    return refused.map(({ error }) => (error as CodedError).code);
  }

  /** Values of a label over all that was kept. */
  values(name: string): (string | undefined)[] {
    return [...this.kept.values()].map(({ bytes }) => labelValue(decodeRecord(bytes, "r").labels, name)).sort();
  }
}

/** A profile with a sample for each endpoint, which splits it. */
function profile(endpoints: readonly string[], timeNs = 1n, labels: readonly Label[] = []): ArrivedProfile {
  const cpu = { type: "cpu", unit: "nanoseconds" };
  const writer = new PprofWriter({ sampleTypes: [cpu], periodType: cpu, period: 1, timeNs, durationNs: 0n });
  for (const endpoint of endpoints) writer.sample([writer.frame("work")], [1], [{ name: "endpoint", value: endpoint }]);
  return {
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: "api" }, ...labels],
    pprof: writer.finish(),
    profileId: undefined,
    fallbackTimeMs: undefined,
    idempotencyKey: undefined,
    ingest: undefined,
    describe: `profile of ${endpoints.join()}`,
  };
}

/** A body of profiles with these times, in milliseconds; 0: of none. */
function otlpBody(timesMs: readonly number[], idempotencyKey?: string): ArrivedProfile {
  const profiles = timesMs.map((timeMs) => ({ type: ["samples", "count"] as const, periodType: ["cpu", "nanoseconds"] as const, period: 1, timeNs: BigInt(timeMs) * 1_000_000n, samples: [{ stack: 1, values: [3] }] }));
  const pprof = otlpExport({ mappings: [{ filename: "" }], functions: [{ name: "" }, { name: "work" }], locations: [{}, { lines: [[1, 1]] }], stacks: [[], [1]], resources: [{ attributes: { "service.name": "api" }, profiles }] }, "1.10");
  return { labels: [], pprof, format: { kind: "otlp", form: { encoding: "protobuf" } }, profileId: undefined, fallbackTimeMs: undefined, idempotencyKey, ingest: undefined, describe: "export" };
}

describe("writer: the tenant's floor", () => {
  // It was answered 200 and was in no answer: queries leave out what lies below the floor.
  it("a profile below it is refused and not kept, one at it is taken, and the others of a push are", async () => {
    const world = new World();
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 0 };
    world.floorMs = 5_000;
    const at = (timeMs: number): ArrivedProfile => profile(["a", "b"], BigInt(timeMs) * 1_000_000n);
    expect(await world.push(at(4_999))).deep.equal(["PROFILE_OUTSIDE_WINDOW"]);
    expect([world.kept.size, world.pooledCount]).deep.equal([0, 0]);
    expect(await world.push(at(5_000), at(1), at(6_000))).deep.equal(["PROFILE_OUTSIDE_WINDOW"]);
    expect([...world.kept.values()].map(({ timeMs }) => timeMs).sort()).deep.equal([5_000, 5_000, 6_000, 6_000]);
  });

  it("of a body with several profiles those below it are told as refused parts, wherever they stand, and the others are kept", async () => {
    const world = new World();
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 0 };
    world.floorMs = 5_000;
    const { refused, parts = [] } = await world.writer.push(ANONYMOUS, [otlpBody([5_001, 4_000, 6_000])], signal);
    expect([refused, parts.map(({ index, error }) => [index, (error as CodedError).code])]).deep.equal([[], [[0, "PROFILE_OUTSIDE_WINDOW"]]]);
    expect([...world.kept.values()].map(({ timeMs }) => timeMs).sort()).deep.equal([5_001, 6_000]);
    expect(await world.push(otlpBody([1, 2]))).deep.equal(["PROFILE_OUTSIDE_WINDOW"]);
    expect([world.kept.size, world.pooledCount]).deep.equal([2, 0]);
  });
});

describe("writer: bodies of several profiles", () => {
  const body = (...profiles: readonly ExportedProfile[]): ArrivedProfile => ({ ...profile([]), labels: [], pprof: otlpJson(...profiles), format: OTLP_JSON });
  let world: World;
  beforeEach(() => {
    world = new World();
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 0 };
  });
  const outcomeOf = async (...bodies: readonly ArrivedProfile[]): Promise<unknown> => {
    const { acceptedCount, refused, parts } = await world.writer.push(ANONYMOUS, bodies, signal);
    return { acceptedCount, refused: refused.map(({ index }) => index), parts: parts?.map(({ index, error }) => `${index} ${(error as CodedError).code}`) };
  };

  it("parts that are refused are told beside those that are kept, by the place of their body in the push", async () => {
    expect(await outcomeOf(body({ service: "a" }, { service: "b", stack: 9 }))).deep.equal({ acceptedCount: 1, refused: [], parts: ["0 PROFILE_MALFORMED"] });
    expect(await outcomeOf(body({ service: "c" }), body({ service: "d", stack: 9 }, { service: "e" }), body({ service: "f", stack: 9 }))).deep.equal({ acceptedCount: 2, refused: [2], parts: ["1 PROFILE_MALFORMED"] });
    expect(world.values("service_name")).deep.equal(["a", "c", "e"]);
    expect(await outcomeOf(body({ service: "g" }))).deep.equal({ acceptedCount: 1, refused: [], parts: undefined });
  });

  it("where the rest of the body could not be kept no part is told: the body is refused as a whole", async () => {
    world.headRefusal = new CodedError({ code: "X", kind: "invalid_argument", message: "refused by the head" });
    expect(await outcomeOf(body({ service: "a" }, { service: "b", stack: 9 }))).deep.equal({ acceptedCount: 0, refused: [0], parts: undefined });
    expect(world.pooledCount).equal(0);
  });
});

describe("writer: placement", () => {
  it("each record of a push is placed by its own label set, whose session is folded already, and none by another's", async () => {
    const world = new World();
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 0, sessionsPerSeriesMax: 1 };
    const idOf = (fingerprint: bigint): Uint8Array => Buffer.from(fingerprint.toString(16).padStart(32, "0"), "hex");
    world.storesFor = ({ tenant, service, fingerprint }) => [idOf(fingerprint), Buffer.from(`${tenant} ${service}`.padEnd(16))];
    const session = { name: "__session_id__", value: "0a1b2c3d4e5f6071" };
    await world.push(profile(["/a", "/b", "/c"], 1n, [session]), profile(["/a"], 2n, [session]), profile(["/a"], 3n));
    const placed = [...world.kept].map(([key, { bytes }]) => {
      const { labels } = decodeRecord(bytes, "a kept record");
      const [first, second] = world.storesOf.get(key)!;
      expect(first, printLabels(labels)).to.deep.equal(idOf(fingerprintOf(labels)));
      expect(Buffer.from(second!).toString()).to.equal("anonymous api   ");
      return Buffer.from(first!).toString("hex");
    });
    expect(placed).to.have.length(5);
    expect(new Set(placed).size, "three endpoints with a session, one without").to.equal(4);
  });
});

describe("writer: versions of records", () => {
  it("a push is written in the version that all members read, and its records have the same identities in the next one", async () => {
    const world = new World();
    world.versions = { record: 1 };
    await world.push(profile(["/a", "/b"]));
    const older = [...world.kept.keys()];
    expect([...world.kept.values()].map(({ bytes }) => recordVersions(bytes)!.record)).deep.equal([1, 1]);
    world.kept.clear();
    world.versions = {};
    await world.push(profile(["/a", "/b"]));
    expect([...world.kept.values()].map(({ bytes }) => recordVersions(bytes)!.record)).deep.equal([2, 2]);
    expect([...world.kept.keys()]).deep.equal(older);
  });
});

describe("writer: contact", () => {
  it("a push is refused where contact was lost while it was kept, and what was kept stays", async () => {
    const world = new World();
    world.isInContact = false;
    const thrown = await world.push(profile(["a"])).catch((error: unknown) => error);
    expect(thrown).instanceOf(CodedError).with.property("code", "OUT_OF_CONTACT");
    expect([world.kept.size, world.pooledCount]).deep.equal([1, 0]);
  });

  it("contact that was lost a moment ago is waited for, and the push is answered when it is back", async () => {
    const world = new World();
    world.isInContact = false;
    let back!: (isInContact: boolean) => void;
    world.contact = () => new Promise((resolve) => (back = resolve));
    let outcome: unknown;
    const pushed = world.push(profile(["a"])).then((ended) => (outcome = ended));
    while (back === undefined) await new Promise((resolve) => void setImmediate(resolve));
    expect([outcome, world.kept.size]).deep.equal([undefined, 1]);
    world.isInContact = true;
    back(true);
    await pushed;
    expect(outcome).deep.equal([]);
  });

  it("one whose profiles were all refused for what they are is told so, in contact or not", async () => {
    const world = new World();
    world.isInContact = false;
    world.floorMs = 5_000;
    expect(await world.push(profile(["a"]))).deep.equal(["PROFILE_OUTSIDE_WINDOW"]);
  });

  it("a push is answered before a slow store has read its record, whose memory is given back when it has", async () => {
    const world = new World();
    let read!: () => void;
    world.unread = new Promise((resolve) => (read = resolve));
    expect(await world.push(profile(["a"]))).deep.equal([]);
    expect(world.pooledCount, "a store still reads it").equal(1);
    read();
    await world.unread;
    await Promise.resolve();
    expect(world.pooledCount).equal(0);
  });
});

describe("writer: limits on series and sessions", () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });

  it("a refused series keeps nothing, and the others of the same push are kept", async () => {
    expect(await world.push(profile(["/a"]), profile(["/b"]))).to.deep.equal([]);
    expect(await world.push(profile(["/c"], 2n), profile(["/a"], 2n))).to.deep.equal(["SERIES_LIMIT"]);
    expect(world.values("endpoint")).to.deep.equal(["/a", "/a", "/b"]);
  });

  it("push_max_concurrency bounds how much of one push is worked on at once; the rest has its turn", async () => {
    world.limits = { ...world.limits, pushProfilesAtOnceMax: 2 };
    const profiles = ["/a", "/b", "/a", "/b", "/a"].map((endpoint, index) => profile([endpoint], BigInt(index + 1)));
    expect(await world.push(...profiles)).to.deep.equal([]);
    expect([world.kept.size, world.encodingAtOnce]).to.deep.equal([5, 2]);
  });

  it("the refusal names its profile, and carries Pyroscope's reason", async () => {
    await world.push(profile(["/a", "/b"]));
    const { acceptedCount, refused } = await world.writer.push(ANONYMOUS, [profile(["/c"])], signal);
    const error = refused[0]?.error as CodedError | undefined;
    expect(acceptedCount).to.equal(0);
    expect(error!.message).to.match(/^profile of \/c: the profile would begin a new series/);
    expect([error!.kind, error!.details["reason"]]).to.deep.equal(["resource_exhausted", "series_limit"]);
  });

  it("a refusal says by its place which profile of the push it means, in whatever turn it was worked on", async () => {
    world.limits = { ...world.limits, pushProfilesAtOnceMax: 2 };
    await world.push(profile(["/a"]), profile(["/b"]));
    const pushed = ["/a", "/c", "/b", "/d", "/a"].map((endpoint, index) => ({ ...profile([endpoint], BigInt(index + 2)), describe: "the same for all" }));
    const { acceptedCount, refused } = await world.writer.push(ANONYMOUS, pushed, signal);
    expect([acceptedCount, ...refused.map(({ index }) => index)]).to.deep.equal([3, 1, 3]);
  });

  // One push of 16,384 new series took 7 s, 5,000 of them were kept, and it came again for ever.
  it("a push whose new label sets have no room is refused before any of it is decoded", async () => {
    const pods = (count: number, prefix = "p"): ArrivedProfile[] => Array.from({ length: count }, (_, i) => profile(["/a"], 1n, [{ name: "pod", value: `${prefix}${i}` }]));
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 4 };
    expect(await world.push(...pods(3))).to.deep.equal([]);
    expect(world.encodedCount).to.equal(3);
    expect(await world.push(...pods(2, "q"))).to.deep.equal(["SERIES_LIMIT", "SERIES_LIMIT"]);
    expect(await world.push(...pods(5, "q"))).to.deep.equal(Array.from({ length: 5 }, () => "PUSH_SERIES_ABOVE_LIMIT"));
    expect(await world.push(...pods(1, "r"), ...pods(1, "r"))).to.deep.equal([]);
    expect(await world.push(...pods(1, "s"))).to.deep.equal(["SERIES_LIMIT"]);
    expect([world.encodedCount, world.activeSeries.count(ANONYMOUS), world.kept.size]).to.deep.equal([5, 4, 4]);
  });

  it("of a push whose new label sets are refused those that are active are stored", async () => {
    const one = (pod: string, timeNs: bigint): ArrivedProfile => profile(["/a"], timeNs, [{ name: "pod", value: pod }]);
    expect(await world.push(one("a", 1n))).to.deep.equal([]);
    const { refused } = await world.writer.push(ANONYMOUS, [one("b", 2n), one("a", 2n), one("c", 2n), one("b", 3n)], signal);
    expect(refused.map(({ index }) => index)).to.deep.equal([0, 2, 3]);
    expect(new Set(refused.map(({ error }) => error)).size, "one error for all").to.equal(1);
    expect(world.values("pod")).to.deep.equal(["a", "a"]);
  });

  it("two pushes at once share the room: the limit holds, and the one without room is not decoded", async () => {
    const pods = (prefix: string): ArrivedProfile[] => ["1", "2"].map((i) => profile(["/a"], 1n, [{ name: "pod", value: `${prefix}${i}` }]));
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 3 };
    const outcomes = await Promise.all(["a", "b"].map((prefix) => world.writer.push(ANONYMOUS, pods(prefix), signal)));
    expect(outcomes.map(({ acceptedCount, refused }) => [acceptedCount, refused.length])).to.deep.equal([[2, 0], [0, 2]]);
    expect([world.encodedCount, world.activeSeries.count(ANONYMOUS)]).to.deep.equal([2, 2]);
  });

  it("what decoding alone can tell ends a push early: after a series was refused, new label sets are not worked on", async () => {
    world.limits = { ...world.limits, pushProfilesAtOnceMax: 2, localSeriesMax: 0, globalSeriesMax: 8 };
    const pods = Array.from({ length: 8 }, (_, i) => profile(["/a", "/b", "/c"], 1n, [{ name: "pod", value: `p${i}` }]));
    expect(await world.push(...pods)).to.deep.equal(Array.from({ length: 6 }, () => "SERIES_LIMIT"));
    expect([world.encodedCount, world.activeSeries.count(ANONYMOUS)]).to.deep.equal([4, 8]);
  });

  it("of a split profile the part within the limit is kept once, however often it is sent", async () => {
    await world.push(profile(["/a"]));
    for (let i = 0; i < 3; i++) expect(await world.push(profile(["/a", "/b", "/c"], 2n))).to.deep.equal(["SERIES_LIMIT"]);
    expect(world.values("endpoint")).to.deep.equal(["/a", "/a", "/b"]);
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 0 };
    expect(await world.push(profile(["/a", "/b", "/c"], 2n))).to.deep.equal([]);
    expect(world.values("endpoint")).to.deep.equal(["/a", "/a", "/b", "/c"]);
  });

  it("pushes at the same moment do not slip past the limit together", async () => {
    const codes = await Promise.all(["/a", "/b", "/c", "/d", "/e"].map((endpoint) => world.push(profile([endpoint]))));
    expect(codes.flat()).to.deep.equal(["SERIES_LIMIT", "SERIES_LIMIT", "SERIES_LIMIT"]);
    expect(world.kept.size).to.equal(2);
  });

  it("where the head refuses, the push is refused with the head's error", async () => {
    world.headRefusal = new CodedError({ code: "HEAD_FULL", kind: "unavailable", message: "full" });
    const code = await world.push(profile(["/a", "/b", "/c"])).then(() => "taken", (error: CodedError) => error.code);
    expect(code).to.equal("HEAD_FULL");
  });

  it("sessions are folded before the series are counted", async () => {
    const session = (n: number): Label => ({ name: "__session_id__", value: `0${n}00000000000000` });
    for (let n = 0; n < 8; n++) expect(await world.push(profile(["/a"], BigInt(n + 1), [session(n)])), "all dropped: one series").to.deep.equal([]);
    expect(world.activeSeries.count(ANONYMOUS)).to.equal(1);
    expect(new Set(world.values("__session_id__"))).to.deep.equal(new Set([undefined]));
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 0, sessionsPerSeriesMax: 2 };
    for (let n = 0; n < 8; n++) await world.push(profile(["/a"], BigInt(n + 1), [session(n)]));
    expect(world.activeSeries.count(ANONYMOUS)).to.equal(3);
  });
});

describe("writer: a push of many profiles", () => {
  it("works on at most 256 at once, and takes all of them", async () => {
    const world = new World();
    const profiles = Array.from({ length: 600 }, (_, i) => profile(["/a"], BigInt(i + 1)));
    expect(await world.push(...profiles)).to.deep.equal([]);
    expect([world.kept.size, world.encodingAtOnce]).to.deep.equal([600, 256]);
  });

  it("whose caller goes away is not worked on any further, and leaves nothing announced and no record of the pool taken", async () => {
    const world = new World();
    world.limits = { ...world.limits, pushProfilesAtOnceMax: 2 };
    const profiles = ["/a", "/a", "/a", "/a", "/a"].map((endpoint, index) => profile([endpoint], BigInt(index + 1)));
    let lookCount = 0;
    const caller = {
      throwIfAborted: () => {
        // Two look before they are encoded and two after.
        if (++lookCount > 3) throw new CodedError({ code: "CLIENT_GONE", kind: "canceled", message: "gone" });
      },
    };
    const { acceptedCount, refused } = await world.writer.push(ANONYMOUS, profiles, caller);
    expect([acceptedCount, world.kept.size, world.encodedCount]).to.deep.equal([1, 1, 2]);
    expect(new Set(refused.map(({ error }) => (error as CodedError).code))).to.deep.equal(new Set(["CLIENT_GONE"]));
    expect([world.announcedCount, world.pooledCount]).to.deep.equal([0, 0]);
  });
});

describe("writer: pushes without a clock", () => {
  const ID = new Uint8Array(16).fill(7);
  let world: World;
  beforeEach(() => {
    world = new World();
    world.limits = { ...world.limits, localSeriesMax: 0, globalSeriesMax: 0 };
  });

  const clockless = (name: Partial<ArrivedProfile>, endpoints: readonly string[] = ["/a"]): ArrivedProfile => ({ ...profile(endpoints, 0n), ...name });

  /** Pushes each a minute after the one before. How many records are kept then. */
  async function keptAfter(...pushes: readonly ArrivedProfile[]): Promise<number> {
    for (const one of pushes) {
      expect(await world.push(one)).to.deep.equal([]);
      world.clock.advance(60_000);
    }
    return world.kept.size;
  }

  it("sent again by the same id or key, each is kept once, at the time it came first", async () => {
    const startMs = world.clock.nowMs();
    expect(await keptAfter(clockless({ profileId: ID }), clockless({ profileId: ID }))).to.equal(1);
    expect([...world.kept.values()].map(({ timeMs }) => timeMs)).to.deep.equal([startMs]);
    expect(await keptAfter(clockless({ idempotencyKey: "k" }), clockless({ idempotencyKey: "k" }))).to.equal(2);
    expect(await keptAfter(clockless({ idempotencyKey: "k", profileId: ID }), clockless({ idempotencyKey: "k", profileId: ID })), "another id is another profile").to.equal(3);
  });

  it("by another key, with another content or without a name each is kept", async () => {
    expect(await keptAfter(clockless({ idempotencyKey: "k" }), clockless({ idempotencyKey: "l" }))).to.equal(2);
    expect(await keptAfter(clockless({ idempotencyKey: "k" }, ["/b"]))).to.equal(3);
    expect([...world.kept.values()][2]!.timeMs).to.equal(world.clock.nowMs() - 60_000);
    expect(await keptAfter(clockless({}), clockless({}))).to.equal(5);
  });

  it("a profile that its samples split is kept once, each part", async () => {
    const split = clockless({ idempotencyKey: "k" }, ["/a", "/b", "/c"]);
    expect(await keptAfter(split, split)).to.equal(3);
  });

  it("text is kept once as well", async () => {
    const text: ArrivedProfile = {
      ...clockless({ idempotencyKey: "k" }),
      pprof: new TextEncoder().encode("main;work 5\n"),
      format: { kind: "folded", form: { mode: "groups", profile: profileOfAppName("cpu", 100) } },
    };
    expect(await keptAfter(text, text)).to.equal(1);
  });

  it("two copies in flight at once are kept once", async () => {
    const first = world.push(clockless({ profileId: ID }));
    world.clock.advance(1_500);
    expect(await Promise.all([first, world.push(clockless({ profileId: ID }))])).to.deep.equal([[], []]);
    expect(world.kept.size).to.equal(1);
  });

  it("what was refused is kept at the time it came first, and with it what was not", async () => {
    const startMs = world.clock.nowMs();
    world.headRefusal = new CodedError({ code: "HEAD_FULL", kind: "unavailable", message: "full" });
    const full = await world.push(clockless({ profileId: ID })).then(() => "taken", (error: CodedError) => error.code);
    expect(full).to.equal("HEAD_FULL");
    world.headRefusal = undefined;
    const { limits } = world;
    world.limits = { ...limits, profileSizeBytesMax: 1 };
    expect(await world.push(clockless({ idempotencyKey: "k" })), "refused before it is decoded").to.have.lengthOf(1);
    world.limits = limits;
    world.clock.advance(60_000);
    expect(await keptAfter(clockless({ profileId: ID }), clockless({ idempotencyKey: "k" }))).to.equal(2);
    expect([...world.kept.values()].map(({ timeMs }) => timeMs)).to.deep.equal([startMs, startMs]);
  });

  it("a push with a clock, and one whose time the client says, are not remembered", async () => {
    await keptAfter({ ...profile(["/a"], 5_000_000_001n), profileId: ID }, clockless({ idempotencyKey: "k", fallbackTimeMs: 1_000 }));
    expect([...world.kept.values()].map(({ timeMs }) => timeMs)).to.deep.equal([5_000, 1_000]);
    expect(world.arrivalTimes.count).to.equal(0);
  });

  it("after a start, a record's name keeps no other profile at its time, and every record of the pool is given back", async () => {
    await keptAfter(clockless({ profileId: ID }));
    const [record] = [...world.kept.values()];
    const restarted = new World();
    restarted.limits = world.limits;
    restarted.clock.advance(120_000);
    restarted.arrivalTimes.resume(record!.bytes, restarted.clock.nowMs());
    await restarted.push(clockless({ profileId: ID }, ["/b"]));
    expect([...restarted.kept.values()].map(({ timeMs }) => timeMs)).to.deep.equal([restarted.clock.nowMs()]);
    restarted.arrivalTimes.resume(record!.bytes, restarted.clock.nowMs());
    await restarted.push(clockless({ profileId: ID }));
    expect([...restarted.kept.values()].map(({ timeMs }) => timeMs)).to.deep.equal([restarted.clock.nowMs(), record!.timeMs]);
    expect(restarted.pooledCount).to.equal(0);
  });

  /** How many records are kept in all when these pushes are sent again to a node that has started anew and holds those of the first time in its head. */
  async function keptAfterStart(...pushes: readonly (readonly ArrivedProfile[])[]): Promise<number> {
    for (const push of pushes) {
      await world.push(...push);
      world.clock.advance(60_000);
    }
    const restarted = new World();
    restarted.limits = world.limits;
    restarted.clock.advance(600_000);
    for (const { bytes } of world.kept.values()) restarted.arrivalTimes.resume(bytes, restarted.clock.nowMs());
    for (const push of pushes) {
      await restarted.push(...push);
      await restarted.push(...push);
    }
    expect(restarted.pooledCount).to.equal(0);
    return new Set([...world.kept.keys(), ...restarted.kept.keys()]).size;
  }

  // Its clockless profile has a key of its own in the record, with its place in the body, by which nobody asks.
  it("after a start, a body of which one profile has a time of its own and another has none is kept once", async () => {
    expect(await keptAfterStart([otlpBody([5_000, 0], "k")])).to.equal(2);
    expect(await keptAfterStart([otlpBody([0, 0, 6_000, 0], "l")])).to.equal(2 + 4);
  });

  // They have one name, of which only the last record was known.
  it("after a start, a push of several profiles is kept once, and so are several pushes by one key", async () => {
    expect(await keptAfterStart([clockless({ idempotencyKey: "k" }, ["/a"]), clockless({ idempotencyKey: "k" }, ["/b"]), clockless({ idempotencyKey: "k" }, ["/c", "/d"])])).to.equal(4);
    expect(await keptAfterStart([clockless({ idempotencyKey: "k" }, ["/e"])], [clockless({ idempotencyKey: "k" }, ["/f"])], [otlpBody([5_000, 0], "k")])).to.equal(4 + 4);
  });

  it("after a start, a key that ends as that of a profile in a body is the client's own", async () => {
    expect(await keptAfterStart([clockless({ idempotencyKey: "k#1" }, ["/a"])], [clockless({ idempotencyKey: "k" }, ["/b"])])).to.equal(2);
  });
});

describe("writer: pushes without a clock, in a cluster", () => {
  const limits = { localSeriesMax: 0, globalSeriesMax: 0 };
  const clockless = (endpoints: readonly string[] = ["/a"]): ArrivedProfile => ({ ...profile(endpoints, 0n), idempotencyKey: "k" });

  /** A member; `agreed` is what all members know. */
  function memberOf(agreed: Map<string, number>, asked: string[] = []): World {
    const world = new World(async (tenant, key, timeMs) => {
      asked.push(`${tenant} ${key}`);
      if (!agreed.has(key)) agreed.set(key, timeMs);
      return agreed.get(key)!;
    });
    world.limits = { ...world.limits, ...limits };
    return world;
  }

  it("a push that came to another member first is kept at the time that it has there, and is the same record", async () => {
    const agreed = new Map<string, number>();
    const [first, second] = [memberOf(agreed), memberOf(agreed)];
    await first.push(clockless());
    second.clock.advance(60_000);
    await second.push(clockless());
    expect([...second.kept.keys()]).deep.equal([...first.kept.keys()]);
    expect([first.pooledCount, second.pooledCount]).deep.equal([0, 0]);
  });

  it("a body of which one profile has a time of its own and another has none is kept once, on whichever member it comes again", async () => {
    const agreed = new Map<string, number>();
    const [first, second] = [memberOf(agreed), memberOf(agreed)];
    expect(await first.push(otlpBody([5_000, 0], "k"))).deep.equal([]);
    second.clock.advance(60_000);
    expect(await second.push(otlpBody([5_000, 0], "k"))).deep.equal([]);
    expect(first.kept.size).equal(2);
    expect([...second.kept.keys()].sort()).deep.equal([...first.kept.keys()].sort());
  });

  it("with another content under the same key it is another push, on whichever member each came first", async () => {
    const agreed = new Map<string, number>();
    const [first, second] = [memberOf(agreed), memberOf(agreed)];
    await first.push(clockless(["/a"]));
    await first.push(clockless(["/b"]));
    second.clock.advance(60_000);
    await second.push(clockless(["/b"]));
    await second.push(clockless(["/a"]));
    expect([...second.kept.keys()].sort()).deep.equal([...first.kept.keys()].sort());
  });

  it("the members are asked once for each such push, and not at all for one with a clock", async () => {
    const asked: string[] = [];
    const world = memberOf(new Map(), asked);
    await world.push({ ...profile(["/a"], 5_000_000_001n), idempotencyKey: "k" });
    expect(asked).deep.equal([]);
    await world.push(clockless());
    await world.push(clockless());
    expect(asked).length(1);
    expect(asked[0]).match(/^anonymous [0-9a-f]{64}$/);
  });

  it("is refused where they cannot say, and what was encoded is given back", async () => {
    const world = new World(() => Promise.reject(new CodedError({ code: "ARRIVAL_UNDECIDED", kind: "unavailable", message: "too few answered" })));
    world.limits = { ...world.limits, ...limits };
    const refused = await world.push(clockless()).catch((error: unknown) => error);
    expect(refused).instanceOf(CodedError).with.property("code", "ARRIVAL_UNDECIDED");
    expect([world.kept.size, world.pooledCount]).deep.equal([0, 0]);
  });
});
