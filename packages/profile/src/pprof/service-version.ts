/**
 * Puts the version of a service, which clients send as labels, into the build id of every mapping, as JSON in Pyroscope's form (reference
 * 1.3 step 8). So a pprof that is fetched says to which sources it belongs.
 *
 *   service_repository="github.com/shop/cart", service_git_ref="v1"   build id "ab12"
 *   -->  build id {"repository":"github.com/shop/cart","git_ref":"v1","build_id":"ab12"}
 */
import type { Label } from "../labels/labels.ts";
import { labelValue } from "../labels/labels.ts";
import type { PprofDecoder } from "./pprof-decode.ts";
import { StringRewrite } from "./string-rewrite.ts";

/**
 * Bytes that versions may add to one push, far more than any real program needs: each build id repeats the version, so that many mappings
 * and long labels would make a push a thousand times larger. Beyond it build ids stay as they came, and the link to sources is lost.
 */
const BUILD_IDS_BYTES_MAX = 1 << 20;

/** Called after strings were shortened to their limit: the version does not count towards it. */
export function putServiceVersion(decoded: PprofDecoder, labels: readonly Label[]): void {
  const repository = labelValue(labels, "service_repository") ?? "";
  const gitRef = labelValue(labels, "service_git_ref") ?? "";
  const rootPath = labelValue(labels, "service_root_path") ?? "";
  if (repository === "" && gitRef === "" && rootPath === "") return;
  const { mappingCount, mappingBuildId } = decoded;
  const versions = new Map<number, string>();
  let sizeBytes = 0;
  for (let i = 1; i <= mappingCount; i++) {
    const buildId = mappingBuildId[i]!;
    if (versions.has(buildId)) continue;
    const version = goJson({ repository, git_ref: gitRef, build_id: decoded.text(buildId), root_path: rootPath });
    sizeBytes += Buffer.byteLength(version);
    if (sizeBytes > BUILD_IDS_BYTES_MAX) return;
    versions.set(buildId, version);
  }
  const rewrite = new StringRewrite(decoded);
  for (let i = 1; i <= mappingCount; i++) mappingBuildId[i] = rewrite.add(versions.get(mappingBuildId[i]!)!);
}

/** JSON as Go writes it: without empty fields, and with `<`, `>` and `&` escaped. */
function goJson(fields: Readonly<Record<string, string>>): string {
  const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
  return JSON.stringify(kept).replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
