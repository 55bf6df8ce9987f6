/**
 * Builds the kernel of packages/profile (the layout of its memory, for both languages from one table; then AssemblyScript, compiled to
 * WebAssembly in a module of its own), the TypeScript of the packages (tsc -b), and the web page (types, vite, its tests), each only where
 * one of its inputs has changed.
 *
 * .cache/ has a hash over path, size and modification time of every input. It counts only while the outputs exist. Compiled files without
 * a source are deleted, so that no deleted test is run.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { javaScriptSide, kernelSide } from "./kernel-layout.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const bin = path.join(root, "node_modules/.bin");

/** Returns true when everything is built. `isForced` builds in any case. */
export function build({ isForced = false } = {}) {
  return buildKernel(isForced) && buildPackages(isForced) && buildPage(isForced);
}

function buildKernel(isForced) {
  const folder = path.join(root, "packages/profile/kernel");
  const generated = path.join(root, "packages/profile/src/gen");
  const output = path.join(generated, "kernel-bytes.ts");
  const layouts = [path.join(folder, "gen/layout.ts"), path.join(generated, "kernel-layout.ts")];
  const inputs = [path.join(root, "package-lock.json"), path.join(root, "scripts/kernel-layout.mjs"), ...listFiles(folder).filter((file) => !layouts.includes(file))];
  return step("kernel", { isForced, inputs, outputs: [output, ...layouts] }, () => {
    for (const file of layouts) mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(layouts[0], kernelSide());
    writeFileSync(layouts[1], javaScriptSide());
    const compiled = path.join(root, ".cache/kernel.wasm");
    mkdirSync(path.dirname(compiled), { recursive: true });
    // No runtime, since the kernel allocates nothing. No assertions, since its caller bounds what it reads and writes.
    const isCompiled = run("asc", ["index.ts", "-O3", "--runtime", "stub", "--noAssert", "--importMemory", "--outFile", path.relative(folder, compiled)], folder);
    if (!isCompiled) return false;
    const bytes = readFileSync(compiled).toString("base64");
    writeFileSync(output, `/** Compiled from ../../kernel by scripts/build.mjs. */\nexport const KERNEL_BYTES: string =\n  "${bytes}";\n`);
    return true;
  });
}

function buildPackages(isForced) {
  const projects = readProjects();
  const inputs = [
    ...["package-lock.json", "tsconfig.base.json", "tsconfig.json"].map((file) => path.join(root, file)),
    ...projects.flatMap((project) => [path.join(project, "package.json"), path.join(project, "tsconfig.json"), ...listFiles(path.join(project, "src"))]),
  ];
  const sources = projects.flatMap((project) => listFiles(path.join(project, "src")).filter((file) => /\.tsx?$/.test(file) && !file.endsWith(".d.ts")));
  const outputs = sources.map((file) => file.replace(`${path.sep}src${path.sep}`, `${path.sep}dist${path.sep}`).replace(/\.tsx?$/, ".js"));
  return step("packages", { isForced, inputs, outputs }, () => {
    pruneStale(projects, new Set(outputs));
    return run("tsc", ["-b", ...projects.map((project) => path.relative(root, project))], root);
  });
}

function buildPage(isForced) {
  const folder = path.join(root, "packages/ui");
  if (!["ts", "js", "mjs", "mts"].some((extension) => existsSync(path.join(folder, `vite.config.${extension}`)))) return true;
  const inputs = [
    path.join(root, "package-lock.json"),
    ...listFiles(folder).filter((file) => !file.includes(`${path.sep}dist`) && !file.includes(`${path.sep}node_modules`) && !file.endsWith(".tsbuildinfo")),
    ...listFiles(path.join(root, "packages/profile/src")),
  ];
  const testProject = "tsconfig.test.json";
  const hasTests = existsSync(path.join(folder, testProject));
  // Vite chooses the other names. The page itself must exist.
  const outputs = [path.join(folder, "dist/index.html"), ...(hasTests ? [path.join(folder, "dist-test")] : [])];
  return step("page", { isForced, inputs, outputs }, () => {
    rmSync(path.join(folder, "dist-test"), { recursive: true, force: true });
    const isTyped = !existsSync(path.join(folder, "tsconfig.json")) || run("tsc", ["-p", "."], folder);
    return isTyped && run("vite", ["build", "--logLevel", "warn"], folder) && (!hasTests || run("tsc", ["-p", testProject], folder));
  });
}

/** Skips `work` where the same inputs have given the same outputs before. */
function step(name, { isForced, inputs, outputs }, work) {
  const stampFile = path.join(root, ".cache", `build-${name}.stamp`);
  const before = hashOf(inputs);
  const isFresh = !isForced && existsSync(stampFile) && readFileSync(stampFile, "utf8") === before && outputs.every((file) => existsSync(file));
  if (isFresh) return true;
  console.error(`building the ${name}`);
  if (!work()) return false;
  mkdirSync(path.dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, before);
  return true;
}

function hashOf(files) {
  const hash = createHash("sha256");
  for (const file of files) {
    const info = statSync(file, { throwIfNoEntry: false });
    hash.update(`${path.relative(root, file)}\0${info?.size ?? -1}\0${info?.mtimeMs ?? -1}\n`);
  }
  return hash.digest("hex");
}

/** The folders that the root tsconfig.json refers to. */
function readProjects() {
  const { references } = JSON.parse(readFileSync(path.join(root, "tsconfig.json"), "utf8"));
  return references.map((reference) => path.join(root, reference.path)).filter((folder) => existsSync(path.join(folder, "tsconfig.json")));
}

function pruneStale(projects, outputs) {
  for (const project of projects) {
    // vite owns the dist of the page.
    if (path.basename(project) === "ui") continue;
    for (const file of listFiles(path.join(project, "dist"))) {
      const compiled = file.replace(/\.(js|js\.map|d\.ts|d\.ts\.map)$/, ".js");
      if (/\.(js|js\.map|d\.ts|d\.ts\.map)$/.test(file) && !outputs.has(compiled)) rmSync(file);
    }
  }
}

function listFiles(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : listFiles(full);
    return [full];
  });
}

function run(tool, args, cwd) {
  const { status, error } = spawnSync(path.join(bin, tool), args, { cwd, stdio: ["ignore", 2, 2] });
  if (error !== undefined) console.error(`${tool} did not start: ${error.message}; run npm ci first`);
  return status === 0;
}

if (fileURLToPath(import.meta.url) === path.resolve(process.argv[1] ?? "")) {
  process.exitCode = build({ isForced: process.argv.includes("--force") }) ? 0 : 1;
}
