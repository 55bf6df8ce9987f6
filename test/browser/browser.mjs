/**
 * Debian's Chromium, driven by playwright-core. Without it the tests are skipped and say so; CI must have it. Screenshots are written to
 * PYROMESH_SCREENSHOTS, or to a temporary folder whose name is printed.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

const executablePath = process.env["PYROMESH_CHROMIUM"] ?? "/usr/bin/chromium";

// With network access Chromium looks for updates and Google's hosts at every start. A test must not.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Call in `before`. Skips the suite of `context` when there is no browser. */
export async function openBrowser(context) {
  if (!existsSync(executablePath)) {
    if (process.env["CI"] === "true") throw new Error(`CI must test the page, and there is no ${executablePath}: apt-get install chromium`);
    console.log(`    ${executablePath} is missing, so the page is not tested: apt-get install chromium, or name one in PYROMESH_CHROMIUM`);
    context.skip();
  }
  const screenshots = process.env["PYROMESH_SCREENSHOTS"] ?? mkdtempSync(path.join(tmpdir(), "pyromesh-screenshots-"));
  mkdirSync(screenshots, { recursive: true });
  console.log(`    screenshots: ${screenshots}`);
  const profile = mkdtempSync(path.join(tmpdir(), "pyromesh-chromium-"));
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS, env: { ...process.env, HOME: profile } });
  return {
    screenshots,
    /** Opens a page and collects its console errors, policy violations and exceptions in `complaints`. */
    async openPage({ width = 1280, height = 800, colorScheme = "light", hasTouch = false, deviceScaleFactor = 1 } = {}) {
      const tab = await browser.newContext({ viewport: { width, height }, colorScheme, hasTouch, deviceScaleFactor, reducedMotion: "reduce", timezoneId: "UTC", locale: "en-GB" });
      const page = await tab.newPage();
      page.setDefaultTimeout(10_000);
      const complaints = [];
      page.on("console", (message) => {
        // The browser itself logs a refused query, and some tests cause refusals.
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(String(error)));
      return { page, complaints, shoot: (name) => page.screenshot({ path: path.join(screenshots, `${name}.png`) }), close: () => tab.close() };
    },
    async close() {
      await browser.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
