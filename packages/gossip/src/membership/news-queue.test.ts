import { seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import { NEWS_SETTINGS, NewsQueue } from "./news-queue.ts";

const queue = (): NewsQueue => new NewsQueue(NEWS_SETTINGS, seededRandom(1));
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `m${i}`);

describe("news", () => {
  it("a small cluster: everyone is told, three times", () => {
    const news = queue();
    news.add("a");
    expect(news.draw(names(9))).to.have.length(9);
    for (let round = 0; round < 3; round++) expect(news.take(10, 9, 9)).to.deep.equal(["a"]);
    expect(news.take(10, 9, 9)).to.deep.equal([]);
  });

  it("a large cluster: four at random are told, until a piece was sent four times for each digit of the size", () => {
    const news = queue();
    news.add("a");
    expect(new Set(news.draw(names(100))).size).to.equal(4);
    for (let round = 0; round < 3; round++) expect(news.take(10, 4, 100)).to.deep.equal(["a"]);
    expect(news.size).to.equal(0);
  });

  it("what was told least goes first where not all fits, and a change makes it new again", () => {
    const news = queue();
    for (const key of ["a", "b", "c"]) news.add(key);
    expect(news.take(2, 4, 1000)).to.deep.equal(["a", "b"]);
    expect(news.take(2, 4, 1000)).to.deep.equal(["c", "a"]);
    news.add("a");
    expect(news.take(1, 4, 1000)).to.deep.equal(["a"]);
  });

  it("with nobody to tell it to, nothing counts as told", () => {
    const news = queue();
    news.add("a");
    expect(news.take(10, 0, 0)).to.deep.equal([]);
    expect(news.size).to.equal(1);
  });

  it("at 20,000 keys, the one that was told most often goes", () => {
    const news = queue();
    for (let i = 0; i < 20_000; i++) news.add(`k${i}`);
    news.take(1, 4, 1000);
    news.add("new");
    expect(news.size).to.equal(20_000);
    const kept = news.take(30_000, 4, 1000);
    expect(kept).to.include("new");
    expect(kept).not.to.include("k0");
  });
});
