/** The page on a real node with a damaged object: first it shows the refusal, then on request the rest of the data under a banner. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { RunningNode } from "../compat/node.mjs";
import { cpuProfile } from "../compat/pprof-oracle.mjs";
import { openBrowser } from "./browser.mjs";

/** Two hours apart: two windows, and so two objects. */
const DAMAGED_MS = 1795419000000;
const INTACT_MS = DAMAGED_MS + 2 * 3_600_000;

describe("the page of a node with a damaged object", function () {
  this.timeout(60_000);
  let browser;
  let node;
  let bucket;

  before(async function () {
    browser = await openBrowser(this);
    bucket = mkdtempSync(path.join(tmpdir(), "pyromesh-damaged-"));
    node = await RunningNode.start(["--bucket", `file://${bucket}`]);
    for (const [timeMs, leaf, value] of [
      [DAMAGED_MS, "lost", 5_000_000_000],
      [INTACT_MS, "kept", 2_000_000_000],
    ]) {
      const pushed = await node.push([{ labels: { __name__: "process_cpu", service_name: "shop" }, pprof: cpuProfile([{ stack: ["main", leaf], value }], { timeMs }) }]);
      expect(pushed.status, pushed.text).to.equal(200);
    }
    await node.flush();
    damageFirst(bucket);
    await node.restart(); // so that nothing is served from memory
  });
  after(async () => {
    await node?.close();
    await browser?.close();
    if (bucket !== undefined) rmSync(bucket, { recursive: true, force: true });
  });

  it("says that the answer would not be complete, and shows the rest if asked", async () => {
    const { page, complaints, shoot, close } = await browser.openPage();
    await page.goto(`${node.url}/?service=shop&from=${DAMAGED_MS - 60_000}&until=${INTACT_MS + 60_000}`);
    await page.getByRole("heading", { name: "The answer would not be complete" }).waitFor();
    expect(await page.getByRole("alert").innerText()).to.match(/the answer would lack .*corrupt/);
    await shoot("damaged-refused");
    await page.getByRole("button", { name: "Show what is there" }).click();
    await page.locator(".flame-canvas").waitFor();
    expect(await page.locator("span.total").innerText()).to.equal("total 2 s");
    expect((await page.locator(".top-table tbody tr").allInnerTexts()).join()).to.include("kept").and.not.include("lost");
    expect(await page.locator(".missing li").allInnerTexts()).to.have.length.above(0);
    expect(await page.locator(".missing").innerText()).to.include("corrupt");
    await shoot("damaged-partial");
    expect(complaints).to.deep.equal([]);
    await close();
  });

  it("a time without damage is answered completely", async () => {
    const { page, close } = await browser.openPage();
    await page.goto(`${node.url}/?service=shop&from=${INTACT_MS - 60_000}&until=${INTACT_MS + 60_000}`);
    await page.locator(".flame-canvas").waitFor();
    expect(await page.locator("span.total").innerText()).to.equal("total 2 s");
    expect(await page.locator(".missing").count()).to.equal(0);
    await close();
  });
});

/** Flips one bit in the first dataset of the oldest window's object. */
function damageFirst(folder) {
  const objects = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name.endsWith(".seg"));
  const [first] = objects.map((entry) => path.join(entry.parentPath, entry.name)).sort();
  const bytes = readFileSync(first);
  bytes[10] ^= 1; // in its strings, which every flame graph needs
  writeFileSync(first, bytes);
}
