/** Reads an entry of `kubernetes_sd_configs`. */
import { faultOfUrl } from "./fault-of-url.ts";
import type { GroupReader } from "./group-reader.ts";
import { hasHttpSettings, HTTP_HINTS, readHttpSettings } from "./read-http.ts";
import { KUBERNETES_ROLES } from "./scrape-config.ts";
import type { KubernetesConfig, KubernetesRole, KubernetesSelector } from "./scrape-config.ts";

export function readKubernetes(group: GroupReader): KubernetesConfig {
  if (!group.has("role")) group.refuse(undefined, `role is missing: write one of ${KUBERNETES_ROLES.join(", ")}`);
  const role = group.oneOf("role", KUBERNETES_ROLES, "pod");
  const apiServer = group.optionalText("api_server");
  const fault = apiServer === undefined ? undefined : faultOfUrl(apiServer);
  if (fault !== undefined) group.refuse("api_server", `api_server: ${fault}`);
  if (apiServer === undefined && hasHttpSettings(group)) {
    group.refuse(undefined, "inside the cluster the service account of the pod is used: write api_server with authorization, basic_auth, tls_config and follow_redirects, or take these out");
  }
  const config: KubernetesConfig = {
    kind: "kubernetes",
    role,
    apiServer,
    http: readHttpSettings(group),
    ...readNamespaces(group.group("namespaces")),
    selectors: group.groups("selectors").map((selector) => readSelector(selector, role)),
  };
  group.finish({
    ...HTTP_HINTS,
    kubeconfig_file: "write api_server, authorization and tls_config",
    attach_metadata: "labels of nodes and namespaces are not attached: take it out",
  });
  return config;
}

/** Each is watched over one to three connections of its own. */
const NAMESPACES_MAX = 100;

function readNamespaces(group: GroupReader): Pick<KubernetesConfig, "namespaces" | "isOwnNamespaceIncluded"> {
  const namespaces = group.texts("names");
  const isOwnNamespaceIncluded = group.boolean("own_namespace", false);
  group.finish();
  if (namespaces.length > NAMESPACES_MAX) group.refuse("names", `names: ${namespaces.length} namespaces are too many: write ${NAMESPACES_MAX} or fewer, or none for all`);
  for (const name of namespaces) if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) group.refuse("names", `names: ${JSON.stringify(name)} is not the name of a namespace`);
  return { namespaces, isOwnNamespaceIncluded };
}

/** The kinds of objects that are watched for a role: a selector may be for each of them. */
const SELECTABLE: Readonly<Record<KubernetesRole, readonly KubernetesSelector["role"][]>> = {
  pod: ["pod"],
  endpoints: ["endpoints", "pod", "service"],
  endpointslice: ["endpointslice", "pod", "service"],
};

function readSelector(group: GroupReader, role: KubernetesRole): KubernetesSelector {
  const selectable = SELECTABLE[role];
  const selector: KubernetesSelector = { role: group.oneOf("role", selectable, selectable[0]!), label: group.optionalText("label"), field: group.optionalText("field") };
  group.finish();
  if (selector.label === undefined && selector.field === undefined) group.refuse(undefined, "a selector has a label or a field: write it as label: app=checkout");
  return selector;
}
