import { assert } from "chai";
import { BucketError } from "./bucket.ts";
import type { Page, PagedListOptions, PageRequest } from "./paged-list.ts";
import { pagedList } from "./paged-list.ts";

const page = (keys: string, isTruncated: boolean, nextToken?: string): Page => ({
  objects: [...keys].map((key) => ({ key, sizeBytes: 1, lastModifiedMs: 0 })),
  isTruncated,
  nextToken,
});

/** Lists from a store that answers with `pageOf`, whose second argument counts from 0. */
async function listed(pageOf: (request: PageRequest, at: number) => Page, options: Partial<PagedListOptions> = {}): Promise<{ readonly pages: readonly string[]; readonly requests: readonly PageRequest[]; readonly error: unknown }> {
  const requests: PageRequest[] = [];
  const pages: string[] = [];
  let error: unknown;
  try {
    const list = pagedList(async (request) => pageOf(request, requests.push(request) - 1), { bucket: "test:", prefix: "v1/", ...options });
    for await (const objects of list) pages.push(objects.map(({ key }) => key).join(""));
  } catch (thrown) {
    error = thrown;
  }
  return { pages, requests, error };
}

function assertUnavailable(error: unknown, message: string): void {
  assert.instanceOf(error, BucketError);
  assert.equal((error as BucketError).code, "BUCKET_UNAVAILABLE");
  assert.include((error as BucketError).message, message);
}

describe("paged list", () => {
  it("ends with the page that says it is the last", async () => {
    const { pages, requests, error } = await listed(() => page("ab", false, "ignored"));
    assert.isUndefined(error);
    assert.deepEqual(pages, ["ab"]);
    assert.deepEqual(requests, [{ startAfter: "", token: undefined, lengthMax: 1000 }]);
  });

  it("after a page with keys the next is asked for by the last key, after one without by its token", async () => {
    const answers = [page("ab", true, "0"), page("", true, "1"), page("", true, "2"), page("c", true, "3"), page("d", false)];
    const { pages, requests, error } = await listed((_request, at) => answers[at]!);
    assert.isUndefined(error);
    assert.deepEqual(pages, ["ab", "c", "d"], "no page that is yielded is empty");
    assert.deepEqual(requests.map(({ token }) => token), [undefined, undefined, "1", "2", undefined]);
    assert.deepEqual(requests.map(({ startAfter }) => startAfter), ["", "b", "b", "b", "c"]);
  });

  it("a page with keys needs no token, and a last page that says that more follow costs one more request", async () => {
    const { pages, requests, error } = await listed((_request, at) => (at === 0 ? page("a", true) : page("", false)));
    assert.isUndefined(error);
    assert.deepEqual(pages, ["a"]);
    assert.lengthOf(requests, 2);
  });

  it("an empty page without a token that says that more follow is a failed LIST", async () => {
    for (const token of [undefined, ""]) {
      const { error, requests } = await listed(() => page("", true, token));
      assertUnavailable(error, "not how to ask for them");
      assert.lengthOf(requests, 1);
    }
  });

  it("an empty page with the token by which it was asked for is a failed LIST: it leads nowhere", async () => {
    const { error, pages, requests } = await listed((_request, at) => (at === 0 ? page("a", true) : page("", true, "same")));
    assertUnavailable(error, "the token by which it was asked for");
    assert.deepEqual(pages, ["a"]);
    assert.lengthOf(requests, 3);
  });

  it("a token may come again behind a page with keys", async () => {
    const answers = [page("", true, "same"), page("a", true), page("", true, "same"), page("b", false)];
    const { error, pages } = await listed((_request, at) => answers[at]!);
    assert.isUndefined(error);
    assert.deepEqual(pages, ["a", "b"]);
  });

  it("a store that never comes to a key is given up after so many pages, also where its tokens go round", async () => {
    const { error, requests } = await listed((_request, at) => page("", true, `${at % 2}`), { keylessPageCountMax: 20 });
    assertUnavailable(error, "20 pages one after the other");
    assert.lengthOf(requests, 20);
  });

  it("the bound counts pages without a key one after the other: one with a key begins anew", async () => {
    const { error, pages } = await listed((_request, at) => (at % 3 === 2 ? page("abcd"[(at - 2) / 3]!, at < 11) : page("", true, `${at}`)), { keylessPageCountMax: 3 });
    assert.isUndefined(error);
    assert.deepEqual(pages, ["a", "b", "c", "d"]);
  });

  it("a store that goes in circles, or lists in no order, is a failed LIST", async () => {
    const circle = await listed(() => page("a", true));
    assertUnavailable(circle.error, 'it listed "a" after "a"');
    assert.deepEqual(circle.pages, ["a"]);
    const disorder = await listed(() => page("ba", false));
    assertUnavailable(disorder.error, 'it listed "a" after "b"');
    assert.deepEqual(disorder.pages, []);
  });

  it("begins after a key, and asks for no more than the limit leaves", async () => {
    const { pages, requests } = await listed((_request, at) => page(at === 0 ? "bc" : "d", true), { startAfter: "a", limit: 3 });
    assert.deepEqual(pages, ["bc", "d"]);
    assert.deepEqual(requests.map(({ startAfter, lengthMax }) => [startAfter, lengthMax]), [["a", 3], ["c", 1]]);
    assert.lengthOf((await listed(() => page("a", true), { limit: 0 })).requests, 0);
  });

  it("a page that cannot be fetched fails the LIST with that error", async () => {
    const reason = new Error("no answer");
    const { error, pages } = await listed((_request, at) => {
      if (at === 1) throw reason;
      return page("a", true);
    });
    assert.strictEqual(error, reason);
    assert.deepEqual(pages, ["a"]);
  });
});
