import { expect } from "chai";
import { readClusterSecrets } from "./cluster-secrets.ts";

describe("cluster secrets", () => {
  it("are one line, or two while the secret is replaced", () => {
    expect(readClusterSecrets("0123456789abcdef\n", "f")).to.deep.equal({ current: "0123456789abcdef", other: undefined });
    expect(readClusterSecrets("0123456789abcdef\r\nfedcba9876543210\r\n\n", "f")).to.deep.equal({ current: "0123456789abcdef", other: "fedcba9876543210" });
  });

  it("are refused where they are short, missing or too many, and never shown", () => {
    for (const text of ["", "\n", "short", "0123456789abcdef\nshort", "\n0123456789abcdef", "0123456789abcdef\n\n0123456789abcdef"]) {
      expect(() => readClusterSecrets(text, "/run/secret"), JSON.stringify(text)).to.throw(/^the secret in \/run\/secret cannot be used/).and.not.match(/short|012/);
    }
    expect(() => readClusterSecrets("short", "f")).to.throw("openssl rand -hex 32");
  });
});
