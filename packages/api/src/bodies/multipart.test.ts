import { seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import { readMultipart } from "./multipart.ts";
import { codeOf } from "../testing/code-of.ts";

async function formBody(fields: Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>): Promise<{ body: Uint8Array; contentType: string }> {
  const form = new FormData();
  for (const [name, content] of Object.entries(fields)) {
    if (typeof content === "string") form.append(name, content);
    else form.append(name, new Blob([content]), `${name}.pprof`);
  }
  const request = new Request("http://node/ingest", { method: "POST", body: form });
  return { body: new Uint8Array(await request.arrayBuffer()), contentType: request.headers.get("content-type")! };
}

describe("multipart", () => {
  it("fields that fetch's own FormData wrote come back byte for byte", async () => {
    const random = seededRandom(3);
    for (const length of [0, 1, 2, 1_000, 70_000]) {
      const profile = new Uint8Array(random.bytes(length));
      const { body, contentType } = await formBody({ profile, sample_type_config: '{"a":{}}' });
      const fields = readMultipart(body, contentType);
      expect([...fields.keys()]).to.deep.equal(["profile", "sample_type_config"]);
      expect(Buffer.from(fields.get("profile")!).equals(Buffer.from(profile)), `${length} bytes`).to.equal(true);
      expect(Buffer.from(fields.get("sample_type_config")!).toString()).to.equal('{"a":{}}');
    }
  });

  it("content that looks like a boundary is content", async () => {
    const { body, contentType } = await formBody({ profile: "x" });
    const boundary = /boundary=(.*)$/.exec(contentType)![1]!;
    const content = `--${boundary}\r\n a\r\n--${boundary}x\r\n\r\n--`;
    // The first text that looks like a boundary is not at the start of a line, the second one has more characters.
    const tricky = Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="profile"\r\n\r\nz${content}\r\n--${boundary}--\r\n`);
    expect(Buffer.from(readMultipart(tricky, contentType).get("profile")!).toString()).to.equal(`z${content}`);
    expect(body.length).to.be.greaterThan(0);
  });

  it("a quoted boundary, a preamble, bare line feeds and unquoted names are taken", () => {
    const body = Buffer.from('preamble\n--b c\ncontent-disposition: form-data; name=profile\n\nhello\n--b c--');
    expect(Buffer.from(readMultipart(body, 'multipart/form-data; boundary="b c"').get("profile")!).toString()).to.equal("hello");
  });

  it("a filename does not count as the name", () => {
    const body = Buffer.from('--b\r\nContent-Disposition: form-data; filename="other"; name="profile"\r\n\r\nx\r\n--b--');
    expect([...readMultipart(body, "multipart/form-data; boundary=b").keys()]).to.deep.equal(["profile"]);
  });

  it("truncation at every byte is refused", async () => {
    const { body, contentType } = await formBody({ profile: "some profile", sample_type_config: "{}" });
    const text = Buffer.from(body).toString("latin1").trimEnd();
    for (let length = 0; length < text.length; length++) {
      expect(codeOf(() => readMultipart(body.subarray(0, length), contentType)), `cut at ${length}`).to.equal("MULTIPART_INVALID");
    }
    expect(codeOf(() => readMultipart(body.subarray(0, text.length), contentType))).to.equal("no error");
  });

  it("noise, no boundary, too many parts and endless headers are refused", () => {
    const random = seededRandom(5);
    for (let round = 0; round < 500; round++) {
      expect(codeOf(() => readMultipart(random.bytes(200), "multipart/form-data; boundary=b"))).to.equal("MULTIPART_INVALID");
    }
    expect(codeOf(() => readMultipart(Buffer.from("--b--"), "multipart/form-data"))).to.equal("MULTIPART_INVALID");
    const part = '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nx\r\n';
    expect(codeOf(() => readMultipart(Buffer.from(`${part.repeat(33)}--b--`), "multipart/form-data; boundary=b"))).to.equal("MULTIPART_INVALID");
    expect(codeOf(() => readMultipart(Buffer.from(`--b\r\n${"h".repeat(9_000)}\r\n\r\nx\r\n--b--`), "multipart/form-data; boundary=b"))).to.equal("MULTIPART_INVALID");
  });
});
