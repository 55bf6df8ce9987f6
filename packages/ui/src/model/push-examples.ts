/** How to push a first profile to this server: commands and snippets to copy, one for each kind of client. */

interface PushExample {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly code: string;
}

interface PushTarget {
  /** The origin of the page, without a slash at its end. */
  readonly serverUrl: string;
  /** Empty: no header is sent. */
  readonly tenant: string;
}

export function pushExamples({ serverUrl, tenant }: PushTarget): PushExample[] {
  const hasTenant = tenant !== "";
  return [
    {
      id: "curl",
      title: "curl",
      note: "Folded stacks, one a line, each with a sample count. Paste it into a terminal: my-app appears within seconds.",
      code: lines(
        "printf 'main;handle;parse 40\\nmain;handle;render 60\\nmain;idle 20\\n' |",
        `  curl -sS --fail-with-body --data-binary @- ${hasTenant ? `-H ${shellQuote(`X-Scope-OrgID: ${tenant}`)} ` : ""}\\`,
        `    ${shellQuote(`${serverUrl}/ingest?name=my-app&format=folded`)}`,
      ),
    },
    {
      id: "cli",
      title: "pyromesh push",
      note: "Sends pprof files, gzipped or not, as if taken now. Run it in the folder of the Pyromesh checkout.",
      code: lines(
        `node_modules/.bin/pyromesh push --url ${shellQuote(serverUrl)} \\`,
        `  ${hasTenant ? `--tenant ${shellQuote(tenant)} ` : ""}--service my-app --time now profile.pb.gz`,
      ),
    },
    {
      id: "node",
      title: "Node.js",
      note: "npm install @pyroscope/nodejs, then put this first in the program.",
      code: lines(
        'import Pyroscope from "@pyroscope/nodejs";',
        "",
        "Pyroscope.init({",
        `  serverAddress: ${JSON.stringify(serverUrl)},`,
        '  appName: "my-app",',
        ...(hasTenant ? [`  tenantID: ${JSON.stringify(tenant)},`] : []),
        "  wall: { collectCpuTime: true },",
        "});",
        "Pyroscope.start();",
      ),
    },
    {
      id: "go",
      title: "Go",
      note: "go get github.com/grafana/pyroscope-go, then start it at the top of main.",
      code: lines(
        'import "github.com/grafana/pyroscope-go"',
        "",
        "profiler, err := pyroscope.Start(pyroscope.Config{",
        '\tApplicationName: "my-app",',
        `\tServerAddress:   ${JSON.stringify(serverUrl)},`,
        ...(hasTenant ? [`\tTenantID:        ${JSON.stringify(tenant)},`] : []),
        "})",
        "if err != nil {",
        "\tlog.Fatal(err)",
        "}",
        "defer profiler.Stop()",
      ),
    },
    {
      id: "alloy",
      title: "Grafana Alloy",
      note: "Scrapes a Go program's /debug/pprof and pushes it here: alloy run config.alloy",
      code: lines(
        'pyroscope.scrape "my_app" {',
        '  targets    = [{"__address__" = "localhost:6060", "service_name" = "my-app"}]',
        "  forward_to = [pyroscope.write.pyromesh.receiver]",
        "}",
        "",
        'pyroscope.write "pyromesh" {',
        "  endpoint {",
        `    url     = ${JSON.stringify(serverUrl)}`,
        ...(hasTenant ? [`    headers = {"X-Scope-OrgID" = ${JSON.stringify(tenant)}}`] : []),
        "  }",
        "}",
      ),
    },
  ];
}

function lines(...all: string[]): string {
  return all.join("\n");
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
