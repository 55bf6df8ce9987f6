import { encodeUtf8 } from "@pyromesh/base";
import { expect } from "chai";
import { readClusterSecrets } from "./cluster-secrets.ts";

describe("cluster secrets", () => {
  it("are one line, or two while the secret is replaced", () => {
    expect(readClusterSecrets("0123456789abcdef\n", "f")).to.deep.equal([encodeUtf8("0123456789abcdef")]);
    expect(readClusterSecrets("0123456789abcdef\r\n\nfedcba9876543210\r\n\n", "f")).to.deep.equal([encodeUtf8("0123456789abcdef"), encodeUtf8("fedcba9876543210")]);
  });

  it("are refused where they are short, missing or too many, and never shown", () => {
    const good = "0123456789abcdef";
    for (const text of ["", "\n", "short", `${good}\nshort`, `${good}\n${good}1\n${good}2`]) {
      expect(() => readClusterSecrets(text, "/run/secret"), JSON.stringify(text)).to.throw(/^the secret in \/run\/secret cannot be used/).and.not.match(/short|0123/);
    }
    expect(() => readClusterSecrets("short", "f")).to.throw("openssl rand -hex 32");
  });
});
