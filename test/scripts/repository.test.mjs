/**
 * The scripts and documents of this repository: dependencies are installed only where needed, the test report ends with its line, and the
 * documents name files that exist.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { notInstalledBecause } from "../../scripts/install.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");

describe("install", () => {
  let folder;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "pyromesh-install-"));
    mkdirSync(path.join(folder, "node_modules"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (wanted, found) => {
    writeFileSync(path.join(folder, "package-lock.json"), JSON.stringify({ packages: wanted }));
    if (found !== undefined) writeFileSync(path.join(folder, "node_modules/.package-lock.json"), JSON.stringify({ packages: found }));
  };

  it("is needed when nothing is there, one is missing, or one has another version", () => {
    write({ "node_modules/a": { version: "1.0.0" } });
    expect(notInstalledBecause(folder)).to.equal("nothing is installed");
    write({ "node_modules/a": { version: "1.0.0" } }, {});
    expect(notInstalledBecause(folder)).to.equal("node_modules/a is missing");
    write({ "node_modules/a": { version: "1.0.0" } }, { "node_modules/a": { version: "0.9.0" } });
    expect(notInstalledBecause(folder)).to.equal("node_modules/a is 0.9.0, not 1.0.0");
  });

  it("is not needed for the workspaces themselves or for another machine's optional package", () => {
    write({ "": {}, "packages/a": { version: "1.0.0" }, "node_modules/x-arm64": { version: "1.0.0", optional: true }, "node_modules/a": { link: true } }, { "node_modules/a": { link: true } });
    expect(notInstalledBecause(folder)).to.equal(undefined);
  });
});

describe("lock file", () => {
  const { packages } = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8"));

  // npm omits the binaries of other machines where its registry did not have them when the lock was written, and then npm ci refuses the
  // lock.
  it("holds each optional package, of every machine", () => {
    const present = new Set(Object.keys(packages).map((where) => where.split("node_modules/").at(-1)));
    const missing = Object.values(packages).flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies).filter((name) => !present.has(name)));
    expect(missing).to.deep.equal([]);
  });

  it("names no registry", () => {
    expect(Object.values(packages).filter(({ resolved }) => /^https?:/.test(resolved ?? ""))).to.deep.equal([]);
  });
});

describe("report", () => {
  const report = (...args) =>
    spawnSync(process.execPath, [path.join(root, "node_modules/mocha/bin/mocha.js"), "--reporter", "scripts/reporter.cjs", ...args, "scripts/fixtures/reporter/three-ends.fixture.mjs"], { cwd: root, encoding: "utf8" });

  it("ends with one line that counts passed, failed and skipped, and names the last two", () => {
    const { stdout, status } = report();
    expect(stdout.trimEnd().split("\n").at(-1)).to.equal("1 passed, 1 failed, 1 skipped");
    expect(stdout).to.include("on purpose").and.include("skipped:\n  ends is skipped");
    expect(status).to.equal(1);
  });

  it("counts the checks that ran before, and leaves skipped out where there is none", () => {
    const { stdout } = report("--grep", "passes", "--reporter-option", "checksPassed=2", "--reporter-option", "checksFailed=1");
    expect(stdout.trimEnd().split("\n").at(-1)).to.equal("3 passed, 1 failed");
  });
});

describe("documents", () => {
  const documents = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...listDocuments("docs"), ...readdirSync(path.join(root, "packages")).map((name) => `packages/${name}/README.md`)].filter((file) =>
    existsSync(path.join(root, file)),
  );

  it("link to files that are there", () => {
    const broken = documents.flatMap((file) =>
      [...readFileSync(path.join(root, file), "utf8").matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
        .map((match) => match[1])
        .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(path.join(root, path.dirname(file), target)))
        .map((target) => `${file}: ${target}`),
    );
    expect(broken).to.deep.equal([]);
  });

  it("name source files that are there", () => {
    const sources = readdirSync(path.join(root, "packages"))
      .flatMap((name) => readdirSync(path.join(root, "packages", name), { recursive: true }).map((file) => `${name}/${String(file)}`))
      .filter((file) => !/node_modules|dist/.test(file));
    const missing = documents.flatMap((file) =>
      [...readFileSync(path.join(root, file), "utf8").matchAll(/`((?:[\w.-]+\/)*[\w.-]+\.tsx?)`/g)]
        .map((match) => match[1].replace(/^packages\//, ""))
        .filter((name) => !sources.some((source) => source === name || source.endsWith(`/${name}`)))
        .map((name) => `${file}: ${name}`),
    );
    expect(missing).to.deep.equal([]);
  });

  it("list every package that is used", () => {
    const text = readFileSync(path.join(root, "docs/dependencies.md"), "utf8");
    const manifests = ["package.json", ...readdirSync(path.join(root, "packages")).map((name) => `packages/${name}/package.json`)];
    const used = manifests.flatMap((file) => {
      const { dependencies = {}, devDependencies = {} } = JSON.parse(readFileSync(path.join(root, file), "utf8"));
      return Object.keys({ ...dependencies, ...devDependencies });
    });
    const unlisted = [...new Set(used)].filter((name) => !name.startsWith("@pyromesh/") && !new RegExp(`(^\\| |, )${name}( \\||,)`, "m").test(text));
    expect(unlisted).to.deep.equal([]);
  });
});

function listDocuments(folder) {
  return readdirSync(path.join(root, folder), { recursive: true })
    .map((file) => `${folder}/${String(file)}`)
    .filter((file) => file.endsWith(".md"));
}
