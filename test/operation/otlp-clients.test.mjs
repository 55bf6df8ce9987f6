/**
 * The collector's own library for OTLP profiles, pdata/pprofile, in four versions between which the wire format changed, as the client of a real node: all
 * of them give the same answers, in every form in which they can send. It needs Go, and the modules below in Go's cache: nothing is fetched. With
 * network, `go mod download` of the go.mod that is written here gets them.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { flameGraphNodes } from "../compat/meaning.mjs";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";

const SOURCES = fileURLToPath(new URL("otlp/", import.meta.url));
const VERSIONS = [
  { otlp: "1.7", pprofile: "v0.133.0", pdata: "v1.39.0" },
  { otlp: "1.8", pprofile: "v0.136.0", pdata: "v1.42.0" },
  { otlp: "1.9", pprofile: "v0.140.0", pdata: "v1.46.0" },
  { otlp: "1.11", pprofile: "v0.165.0", pdata: "v1.71.0" },
];
const FORMS = ["proto", "proto-gzip", "json", "json-gzip", "grpc", "grpc-gzip"];
const CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/** Building four programs over gRPC from nothing takes minutes on a busy machine. */
const BUILD_TIMEOUT_MS = 600_000;

describe("OTLP profiles by the collector's own library", function () {
  this.timeout(BUILD_TIMEOUT_MS + 120_000);
  let folder;
  let data;
  let node;

  before(async function () {
    if (spawnSync("go", ["version"]).status !== 0) {
      console.log("  skipped: there is no Go");
      return this.skip();
    }
    folder = mkdtempSync(path.join(tmpdir(), "pyromesh-otlp-"));
    for (const version of VERSIONS) {
      const missing = build(folder, version);
      if (missing !== undefined) {
        console.log(`  skipped: Go's module cache lacks what pdata/pprofile ${version.pprofile} needs: ${missing}`);
        return this.skip();
      }
    }
    data = freshDataDir();
    node = await startNode({ dataDir: data.dir });
  });

  after(async () => {
    await node?.stop();
    data?.remove();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  const send = ({ otlp }, service, form, what) => {
    const { status, stdout, stderr } = spawnSync(programOf(folder, otlp), [node.url, service, form, what], { encoding: "utf8" });
    expect(status, stderr).to.equal(0);
    return JSON.parse(stdout);
  };

  for (const version of VERSIONS) {
    for (const form of FORMS) {
      it(`OTLP ${version.otlp} as ${form}: three resources, a sample's own service, symbols and bare addresses, links`, async () => {
        const service = `shop-${version.otlp}-${form}`;
        expect(send(version, service, form, "services")).to.include(form.startsWith("grpc") ? { code: "OK", rejected: 0 } : { status: 200, rejected: 0 });
        expect(await stacks(node, `service_name="${service}",region="eu",team="a"`)).to.deep.equal({ "main.main;main.work": 30_000_000, "main.main;libshop.so!0x7777": 20_000_000 });
        expect(await stacks(node, `service_name="${service}",thread.name="t2"`)).to.deep.equal({ "main.main;libshop.so!0x7777": 20_000_000 });
        expect(await stacks(node, `service_name="${service}-own"`)).to.deep.equal({ "main.work": 50_000_000 });
        expect(await stacks(node, `service_name="unknown_service:${service}"`, "off_cpu:off_cpu:nanoseconds::")).to.deep.equal({ "main.main": 1000 });
        expect(await stacks(node, `service_name="unknown_service",region="${service}"`)).to.deep.equal({ "main.main": 70_000_000 });
        const ofSpan = await stacks(node, `service_name="${service}"`, CPU, { spanSelector: ["0000000000000007"] });
        expect(ofSpan).to.deep.equal({ "main.main;libshop.so!0x7777": 20_000_000 });
      });
    }

    it(`OTLP ${version.otlp}: timestamps alone count, and a profile of 1970 is one of now`, async () => {
      const service = `counted-${version.otlp}`;
      send(version, service, "proto", "timestamps");
      expect(await stacks(node, `service_name="${service}"`)).to.deep.equal({ "main.main;main.work": 30_000_000 });
      send(version, service, "grpc", "time-0");
      expect(await stacks(node, `service_name="${service}"`)).to.deep.equal({ "main.main;main.work": 70_000_000 });
    });

    it(`OTLP ${version.otlp}: what was refused is counted, with a sentence, and the rest is stored; nothing stored is no success`, async () => {
      for (const form of ["proto", "json", "grpc"]) {
        const service = `refused-${version.otlp}-${form}`;
        const reply = send(version, service, form, "one-refused");
        expect(reply.rejected).to.equal(1);
        expect(reply.message).to.contain("profiles[0]").and.to.contain("neither values nor timestamps");
        expect(await stacks(node, `service_name="${service}"`)).to.deep.equal({ "main.main": 60_000_000 });
        for (const [what, sentence] of [["all-refused", "neither values nor timestamps"], ["old", "in the past"], ["nothing", "resource_profiles"]]) {
          const refusal = send(version, `${service}-${what}`, form, what);
          expect(refusal, what).to.include(form === "grpc" ? { code: "InvalidArgument" } : { status: 400 });
          expect(refusal.message, what).to.contain(sentence);
          expect(await stacks(node, `service_name="${service}-${what}"`), what).to.deep.equal({});
        }
      }
    });
  }
});

function programOf(folder, otlp) {
  return path.join(folder, otlp, "send");
}

/** Returns what is missing in Go's cache; undefined: the program is there. */
function build(folder, { otlp, pprofile, pdata }) {
  const own = path.join(folder, otlp);
  mkdirSync(own);
  cpSync(SOURCES, own, { recursive: true });
  // One version of gRPC, so that Go compiles it once.
  const modules = [`go.opentelemetry.io/collector/pdata ${pdata}`, `go.opentelemetry.io/collector/pdata/pprofile ${pprofile}`, "google.golang.org/grpc v1.85.0"];
  writeFileSync(path.join(own, "go.mod"), `module send\n\ngo 1.24\n\nrequire (\n\t${modules.join("\n\t")}\n)\n`);
  const env = { ...process.env, GOTOOLCHAIN: "local", GOFLAGS: "-mod=mod", GOPROXY: "off", GOSUMDB: "off" };
  const { status, stderr } = spawnSync("go", ["build", "-tags", `otlp_${otlp.replace(".", "_")}`, "-o", "send", "."], { cwd: own, env, encoding: "utf8", timeout: BUILD_TIMEOUT_MS });
  if (status === 0) return undefined;
  const missing = /^.*(module lookup disabled by GOPROXY=off|go\.mod requires go >= ).*$/m.exec(stderr);
  if (missing === null) throw new Error(`the program for OTLP ${otlp} does not build:\n${stderr}`);
  return missing[0];
}

/** Stack from the root -> its own value. */
async function stacks(node, matchers, profileTypeID = CPU, more = {}) {
  const now = Date.now();
  const labelSelector = `{${matchers.replaceAll(/([\w.]+\.[\w.]+)=/g, '"$1"=')}}`;
  const { status, body } = await call(node, "querier.v1.QuerierService/SelectMergeStacktraces", { profileTypeID, labelSelector, start: now - 600_000, end: now + 60_000, ...more });
  expect(status, JSON.stringify(body)).to.equal(200);
  const { nodes } = flameGraphNodes(body.flamegraph);
  return Object.fromEntries(Object.entries(nodes).map(([stack, totalAndOwn]) => [stack, Number(totalAndOwn.split(" ")[1])]).filter(([, own]) => own > 0));
}
