/**
 * A copy of the tree for planted faults, with sources and build, so that only what a patch changes is built again. The tree itself is not changed. One copy takes one fault
 * after the other.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export class PlantedTree {
  readonly #root: string;
  readonly #copy: string;
  #plantedFile: string | undefined;

  constructor(root: string) {
    this.#root = root;
    this.#copy = mkdtempSync(path.join(tmpdir(), "pyromesh-planted-"));
    for (const name of ["package.json", "tsconfig.json", "tsconfig.base.json"]) cpSync(path.join(root, name), path.join(this.#copy, name));
    for (const name of ["packages", "test/sim"]) {
      cpSync(path.join(root, name), path.join(this.#copy, name), { recursive: true, preserveTimestamps: true, filter: (from) => !/node_modules|dist-test|[/]ui[/]dist/.test(path.relative(root, from)) });
    }
    this.#link();
  }

  /** Libraries come from the tree, the workspaces from the copy. */
  #link(): void {
    const modules = path.join(this.#copy, "node_modules");
    mkdirSync(path.join(modules, "@pyromesh"), { recursive: true });
    for (const name of readdirSync(path.join(this.#root, "node_modules"))) {
      if (name !== "@pyromesh" && name !== "pyromesh") symlinkSync(path.join(this.#root, "node_modules", name), path.join(modules, name));
    }
    for (const name of readdirSync(path.join(this.#copy, "packages"))) {
      symlinkSync(path.join(this.#copy, "packages", name), name === "node" ? path.join(modules, "pyromesh") : path.join(modules, "@pyromesh", name));
      const own = path.join(this.#root, "packages", name, "node_modules");
      if (existsSync(own)) symlinkSync(own, path.join(this.#copy, "packages", name, "node_modules"));
    }
  }

  get simulator(): string {
    return path.join(this.#copy, "test/sim/dist/main.js");
  }

  /** Takes the last fault away, plants this one and builds. Returns why that is not possible, or undefined. */
  plant(file: string): string | undefined {
    if (this.#plantedFile !== undefined) {
      const removed = this.#apply(this.#plantedFile, "--reverse");
      if (removed !== undefined) throw new Error(`the last patch cannot be taken away: ${removed}`);
      this.#plantedFile = undefined;
    }
    const refused = this.#apply(file);
    if (refused !== undefined) return `the patch does not apply: ${refused}`;
    this.#plantedFile = file;
    const built = spawnSync(path.join(this.#root, "node_modules/.bin/tsc"), ["-b", "test/sim"], { cwd: this.#copy, encoding: "utf8" });
    return built.status === 0 ? undefined : `it does not compile: ${built.stdout.trim().split("\n")[0]}`;
  }

  /** Outside of a repository, so that `git apply` takes paths as they stand. Returns what it complains about. */
  #apply(file: string, ...options: string[]): string | undefined {
    const { status, stderr } = spawnSync("git", ["apply", "--recount", ...options, file], { cwd: this.#copy, encoding: "utf8", env: { ...process.env, GIT_CEILING_DIRECTORIES: path.dirname(this.#copy) } });
    return status === 0 ? undefined : stderr.trim();
  }

  remove(): void {
    rmSync(this.#copy, { recursive: true, force: true });
  }
}
