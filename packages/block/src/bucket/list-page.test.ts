import { assert } from "chai";
import fc from "fast-check";
import { parseListPage } from "./list-page.ts";

const object = (key: string, more = ""): string => `<Contents><Key>${key}</Key><LastModified>2026-03-02T14:00:00.000Z</LastModified><Size>12</Size>${more}</Contents>`;
const answer = (contents: string): Buffer => Buffer.from(`<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated>${contents}<MaxKeys>5</MaxKeys></ListBucketResult>`);
const keysOf = (contents: string): string[] | undefined => parseListPage(answer(contents))?.objects.map(({ key }) => key);

describe("list page", () => {
  it("objects come out, and the rest is the answer without them", () => {
    const page = parseListPage(answer(`${object("v1/a", "<Owner><ID>me</ID></Owner>")}\n  ${object("v1/b")}`));
    assert.deepEqual(page?.objects, ["v1/a", "v1/b"].map((key) => ({ key, sizeBytes: 12, lastModifiedMs: Date.UTC(2026, 2, 2, 14) })));
    assert.deepEqual(Buffer.from(page!.rest), answer(""));
  });

  it("a page without objects is one", () => {
    assert.deepEqual(parseListPage(answer("")), { objects: [], rest: answer("") });
  });

  it("escaped characters of a key are read", () => {
    assert.deepEqual(keysOf(object("a&amp;b&lt;&gt;&quot;&apos;&#233;&#x1F600;\u00fc")), ["a&b<>\"'\u00e9\u{1f600}\u00fc"]);
  });

  it("any key comes back as it was", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((text) => !/[\u0000-\u001f]/.test(text)), { maxLength: 5 }), (keys) => {
        const escaped = keys.map((key) => key.replace(/[&<>]/g, (char) => `&#${char.codePointAt(0)};`));
        assert.deepEqual(keysOf(escaped.map((key) => object(key)).join("")), keys);
      }),
    );
  });

  it("what has another form is left to the client's reader", () => {
    for (const contents of [
      "<!-- note -->" + object("a"),
      object("<![CDATA[a]]>"),
      object("a&unknown;"),
      object("a&amp"),
      object("a & b"),
      `<Contents x="1"><Key>a</Key></Contents>`,
      `<s3:Contents><s3:Key>a</s3:Key></s3:Contents>`,
      `${object("a")}<CommonPrefixes/>${object("b")}`,
      "<Contents><Key>a</Key><Size>1</Size></Contents>",
      "<Contents><Key>a</Key><Size>one</Size><LastModified>2026-03-02T14:00:00.000Z</LastModified></Contents>",
      "<Contents><Key>a</Key><Size>1</Size><LastModified>never</LastModified></Contents>",
      "<Contents><Size>1</Size><LastModified>2026-03-02T14:00:00.000Z</LastModified></Contents>" + object("b"),
      object("a").slice(0, -3),
    ]) {
      assert.isUndefined(keysOf(contents), contents);
    }
  });

  it("cut short anywhere it never gives an object that is not whole", () => {
    const whole = answer(object("v1/first") + object("v1/second"));
    for (let length = 0; length < whole.length; length++) {
      for (const { key } of parseListPage(whole.subarray(0, length))?.objects ?? []) assert.include(["v1/first", "v1/second"], key);
    }
  });
});
