/** Reads the body of a reply into memory, unpacked, within a bound: what is larger is refused while it is read, packed or not. */
import { createGunzip } from "node:zlib";
import type { HttpReply } from "./http-get.ts";

export async function readBody(reply: HttpReply, sizeBytesMax: number): Promise<Uint8Array> {
  const encoding = reply.headers["content-encoding"] ?? "identity";
  if (encoding === "identity") return gather(reply.body, sizeBytesMax);
  if (encoding !== "gzip" && encoding !== "x-gzip") throw new Error(`the body is packed with ${JSON.stringify(encoding.slice(0, 40))}: gzip is read`);
  return gather(gunzip(reply.body), sizeBytesMax);
}

async function* gunzip(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const stream = createGunzip();
  let fault: unknown;
  const feeding = (async () => {
    for await (const chunk of body) if (!stream.write(chunk)) await new Promise<void>((resolve) => void stream.once("drain", resolve).once("close", resolve));
    stream.end();
  })().catch((thrown: unknown) => {
    fault = thrown;
    stream.destroy(thrown as Error);
  });
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } finally {
    stream.destroy(); // before the end: the reader has enough
    await feeding;
  }
  if (fault !== undefined) throw fault as Error;
}

async function gather(body: AsyncIterable<Uint8Array>, sizeBytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > sizeBytesMax) throw new Error(`the body has more than ${sizeBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, sizeBytes);
}
