import { CodedError, parseTenantId, seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import { adHocKey, checkId, makeId, NAME_LENGTH_MAX, parseAdHocKey, safeName, tenantAdHocPrefix } from "./adhoc-id.ts";

const TENANT = parseTenantId("team-a");
const NOW_MS = Date.UTC(2026, 2, 2, 14, 30);

function codeOf(run: () => unknown): string {
  try {
    run();
    return "";
  } catch (thrown) {
    return thrown instanceof CodedError ? thrown.code : String(thrown);
  }
}

describe("the id of an ad hoc profile", () => {
  it("has its time and its name in it, and is read back", () => {
    const id = makeId("cpu.pb.gz", NOW_MS, seededRandom(1).bytes(10));
    expect(checkId(id.id)).to.deep.equal(id);
    expect([id.name, id.uploadedAtMs]).to.deep.equal(["cpu.pb.gz", NOW_MS]);
  });

  it("is a ULID as others make them", () => {
    expect(checkId("01HMXV8BF4EH71NBYZNPPVGJ2X-cpu.pprof").uploadedAtMs, "Pyroscope's own test").to.equal(1706103680484);
    const zeros = makeId("", 0, new Uint8Array(10)).id;
    expect(zeros).to.equal(`${"0".repeat(26)}-`);
    expect(makeId("", 2 ** 48 - 1, new Uint8Array(10).fill(255)).id).to.equal(`7${"Z".repeat(25)}-`);
  });

  it("sorts by time", () => {
    const random = seededRandom(2);
    const ids = [0, 1, 31, 32, 1000, NOW_MS, NOW_MS + 1].map((ms) => makeId("a", ms, random.bytes(10)).id);
    expect(ids.toSorted()).to.deep.equal(ids);
  });

  it("a name keeps its harmless characters and loses the others", () => {
    expect(safeName("test/../../../etc/passwd")).to.equal("test_.._.._.._etc_passwd");
    expect(safeName("größe \u{1f600}\0.pb")).to.equal("gr__e___.pb");
    expect(safeName("")).to.equal("");
    expect(safeName("\u{1f600}".repeat(NAME_LENGTH_MAX))).to.equal("_".repeat(NAME_LENGTH_MAX));
    for (const long of ["x".repeat(NAME_LENGTH_MAX + 1), "\u{1f600}".repeat(NAME_LENGTH_MAX + 1), "ä".repeat(2 ** 24)]) expect(codeOf(() => safeName(long))).to.equal("ADHOC_NAME_TOO_LONG");
  });

  it("from outside is checked before a key is made of it", () => {
    const ulid = "01HMXV8BF4EH71NBYZNPPVGJ2X";
    for (const id of ["", "a/b", `${ulid}-../../x`, `../team-b/${ulid}-x`, `${ulid}-%2e%2e%2f`, `${ulid}-a\0`, `${ulid}-ä`, `${ulid}-a b`, `${ulid}-a\n`]) expect(codeOf(() => checkId(id)), id).to.equal("ADHOC_ID_INVALID");
    for (const id of ["..", ".", "x", ulid, `8${ulid.slice(1)}-x`, `${ulid.toLowerCase()}-x`, `${ulid.slice(0, 25)}U-x`, `${ulid}-${"x".repeat(NAME_LENGTH_MAX + 1)}`]) expect(codeOf(() => checkId(id)), id).to.equal("ADHOC_NOT_FOUND");
    expect(checkId(`${ulid}-..`).name, "behind a ULID dots are letters").to.equal("..");
  });

  it("of one tenant lies below no other's prefix", () => {
    const tenants = ["a", "a.", "a-", "aa", "..a", "!", "x".repeat(150)].map(parseTenantId);
    const ids = ["", "..", "a", "adhoc"].map((name) => makeId(name, NOW_MS, seededRandom(3).bytes(10)));
    for (const own of tenants) for (const id of ids) for (const other of tenants) expect(adHocKey(own, id).startsWith(tenantAdHocPrefix(other)), `${own} ${other}`).to.equal(own === other);
  });

  it("a key gives back what it was made of, and only keys that were made here do", () => {
    const id = makeId("cpu", NOW_MS, seededRandom(1).bytes(10));
    const key = adHocKey(TENANT, id);
    expect(parseAdHocKey(key)).to.deep.equal({ ...id, tenant: TENANT });
    for (const other of [`v1/${key}`, `${key}/x`, key.replace("adhoc", "ad"), `adhoc/${id.id}`, `adhoc//${id.id}`, `adhoc/../${id.id}`, `adhoc/team-a/notes.txt`, "adhoc/", "adhoc"]) expect(parseAdHocKey(other), other).to.equal(undefined);
  });
});
