/**
 * Names that a JVM makes anew in each run, folded into one, so that the same code has the same name in every profile. Always, and to the
 * same names, as Pyroscope does (it has no setting for it):
 *
 *   jdk/internal/reflect/GeneratedMethodAccessor31             jdk/internal/reflect/GeneratedMethodAccessor_
 *   App$$Lambda$4/1283928880, App$$Lambda.0x00007ffa600c4da0   App$$Lambda_
 *   Baz$$EnhancerBySpringCGLIB$$1f2e3d                         Baz$$EnhancerBySpringCGLIB$$_
 *   ./tmp/libzstd-jni-1.5.1-16931311898282279136.so (deleted)  libzstd-jni-_.so         (the other native libraries likewise)
 */
export function foldGeneratedName(name: string): string {
  // Most names are none of these, and tests for two short texts cost less than six patterns.
  if (name.includes("$$")) return name.replace(LAMBDA, "$1_").replace(CGLIB, "$1_");
  if (name.includes(".so")) return name.replace(ZSTD, "libzstd-jni-_.so").replace(CORRETTO, "libamazonCorrettoCryptoProvider_.so").replace(ASYNC_PROFILER, "libasyncProfiler-_.so");
  return name.startsWith(ACCESSOR_PREFIX) ? name.replace(ACCESSOR, "$1_") : name;
}

const ACCESSOR_PREFIX = "jdk/internal/reflect/GeneratedMethodAccessor";

const ACCESSOR = /^(jdk\/internal\/reflect\/GeneratedMethodAccessor)\d+$/;
const LAMBDA = /^(.+\$\$Lambda)(?:\$?\d*[./](?:0x)?[\da-f]+|\d+)$/;
const CGLIB = /^(.+\$\$EnhancerBySpringCGLIB\$\$).*$/;
const ZSTD = /^(?:\.?\/tmp\/)?libzstd-jni-\d+\.\d+\.\d+-\d+\.so(?: \(deleted\))?$/;
const CORRETTO = /^(?:\.?\/tmp\/)?(?:lib)?amazonCorrettoCryptoProvider(?:NativeLibraries\.)?[0-9a-f]{16}(?:\/libcrypto|\/libamazonCorrettoCryptoProvider)?\.so(?: \(deleted\))?$/;
/** The library of Pyroscope's agent, which it unpacks into a temporary folder. */
const ASYNC_PROFILER = /^(?:\.?\/tmp\/)?libasyncProfiler-(?:linux-arm64|linux-musl-x64|linux-x64|macos)-17b9a1d8156277a98ccc871afa9a8f69215f92\.so(?: \(deleted\))?$/;
