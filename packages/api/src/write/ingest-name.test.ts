import type { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { parseIngestName } from "./ingest-name.ts";

function refusal(text: string): string {
  try {
    parseIngestName(text);
  } catch (thrown) {
    expect((thrown as CodedError).code).to.equal("INGEST_NAME_INVALID");
    return (thrown as CodedError).message;
  }
  return "";
}

describe("ingest name", () => {
  it("an application alone, with empty braces, or with a brace left open and nothing behind it", () => {
    for (const text of ["app.cpu", " app.cpu ", "app.cpu{}", "app.cpu{", "app.cpu{ }"]) expect(parseIngestName(text), text).to.deep.equal({ app: "app.cpu", labels: [] });
  });

  it("labels keep their order; values may hold anything but a comma and a closing brace", () => {
    expect(parseIngestName('a/b-c_d{region=eu, otel.scope.name = com.x/nodejs ,q="=é"}')).to.deep.equal({
      app: "a/b-c_d",
      labels: [
        { name: "region", value: "eu" },
        { name: "otel.scope.name", value: "com.x/nodejs" },
        { name: "q", value: '"=é"' },
      ],
    });
  });

  it("a key given twice keeps its last value, an empty pair is nothing", () => {
    expect(parseIngestName("a{x=1,,x=2,}").labels).to.deep.equal([{ name: "x", value: "2" }]);
  });

  it("a broken name is refused with the reason", () => {
    expect(refusal("")).to.contain("no application name");
    expect(refusal("{a=b}")).to.contain("no application name");
    expect(refusal("a b")).to.contain('the application name "a b" holds " "');
    expect(refusal("é")).to.contain("holds");
    expect(refusal("a{b")).to.contain("no closing }");
    expect(refusal("a{b=c")).to.contain("no closing }");
    expect(refusal("a{b}")).to.contain("has no value");
    expect(refusal("a{=c}")).to.contain("no key");
    expect(refusal("a{b-c=d}")).to.contain('holds "-"');
    expect(refusal("a{b=c}d")).to.contain("follows its closing }");
    expect(refusal("a{__name__=x}")).to.contain("reserved");
  });

  it("any text is parsed, or refused with the code and a short message", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => refusal(text).length < 2_000));
  });
});
