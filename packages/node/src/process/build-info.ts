/** What this build is. The version stands in package.json; the revision is given by whoever builds an image. */
import { readFileSync } from "node:fs";

export interface BuildInfo {
  readonly version: string;
  readonly revision: string;
  readonly buildDate: string;
  readonly nodeVersion: string;
}

export function readBuildInfo(): BuildInfo {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const version = typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "0.0.0";
  return {
    version,
    revision: process.env["PYROMESH_REVISION"] ?? "",
    buildDate: process.env["PYROMESH_BUILD_DATE"] ?? "",
    nodeVersion: process.version,
  };
}
