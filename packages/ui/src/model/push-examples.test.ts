import { expect } from "chai";
import { pushExamples } from "./push-examples.ts";

describe("push examples", () => {
  it("every client is pointed at the page's own server", () => {
    for (const { id, code } of pushExamples({ serverUrl: "https://mesh.example:8443/pyro", tenant: "" })) {
      expect(code, id).to.include("https://mesh.example:8443/pyro");
      expect(code, id).not.to.include("/pyro/\"");
      expect(code, id).not.to.match(/tenant|orgid/i);
    }
  });

  it("a chosen tenant is sent by every client", () => {
    for (const { id, code } of pushExamples({ serverUrl: "http://127.0.0.1:4040", tenant: "it's" })) {
      expect(code, id).to.match(/tenant|orgid/i);
      expect(code, id).to.include(id === "curl" || id === "cli" ? "it'\\''s" : '"it\'s"');
    }
  });
});
