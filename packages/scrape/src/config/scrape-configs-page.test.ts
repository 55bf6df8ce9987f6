/** docs/scrape-configs.md against what it tells of. */
import { readFile } from "node:fs/promises";
import { sortLabels } from "@pyromesh/profile";
import { expect } from "chai";
import { parse } from "yaml";
import { compileRules } from "../relabel/relabel.ts";
import { RELABEL_ACTIONS } from "../relabel/relabel-rule.ts";
import { makeTargets } from "../targets/make-targets.ts";
import { KNOWN_PROFILES } from "./read-profiles.ts";
import { scrapeConfigs } from "./read-scrape-configs.ts";
import type { ScrapeConfig } from "./scrape-config.ts";

describe("page of scrape_configs", () => {
  let page: string;
  let examples: readonly ScrapeConfig[][];

  before(async () => {
    page = await readFile(new URL("../../../../docs/scrape-configs.md", import.meta.url), "utf8");
    examples = [...page.matchAll(/```yaml\n([^`]*)```/g)].map(([, text]) => [...scrapeConfigs((parse(text!, { schema: "failsafe" }) as { scrape_configs: unknown }).scrape_configs)]);
  });

  it("has examples that are right", () => {
    expect(examples.map((jobs) => jobs.map(({ jobName }) => jobName))).to.deep.equal([["checkout"], ["api"], ["kubernetes-pods"]]);
  });

  it("names every profile and every action", () => {
    for (const { name } of KNOWN_PROFILES) expect(page).to.match(new RegExp(`\`${name}\``));
    for (const action of RELABEL_ACTIONS) expect(page).to.include(`\`${action}\``);
  });

  it("asks a pod by its annotations for the profiles that it names, once, at the port that it names", () => {
    const [config] = examples[2]!;
    const annotated = (profile: string, onPort: number) => ({ [`__meta_kubernetes_pod_annotation_profiles_grafana_com_${profile}_scrape`]: "true", [`__meta_kubernetes_pod_annotation_profiles_grafana_com_${profile}_port`]: String(onPort) });
    const labels = { __meta_kubernetes_namespace: "prod", __meta_kubernetes_pod_name: "web-1", __meta_kubernetes_pod_phase: "Running", __meta_kubernetes_pod_label_app_kubernetes_io_name: "web", ...annotated("cpu", 6060), ...annotated("memory", 6060), ...annotated("mutex", 7070) };
    const port = (number: number) => ({ __address__: `10.0.0.1:${number}`, __meta_kubernetes_pod_container_name: "app", __meta_kubernetes_pod_container_init: "false", __meta_kubernetes_pod_container_port_number: String(number) });
    const group = { targets: [port(7070), port(6060), { __address__: "10.0.0.1", __meta_kubernetes_pod_container_name: "sidecar", __meta_kubernetes_pod_container_init: "false" }], labels };
    const { targets } = makeTargets(config!, compileRules(config!.relabelRules), group);
    expect(targets.map(({ profile, url }) => `${profile.name} ${new URL(url).host}`)).to.deep.equal(["mutex 10.0.0.1:7070", "memory 10.0.0.1:6060", "process_cpu 10.0.0.1:6060"]);
    expect(targets[1]!.labels).to.deep.equal(
      sortLabels(Object.entries({ container: "app", instance: "10.0.0.1:6060", job: "kubernetes-pods", namespace: "prod", pod: "web-1", service_name: "web" }).map(([name, value]) => ({ name, value }))),
    );
  });
});
