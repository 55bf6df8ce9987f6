/**
 * TLS 1.3 as libp2p's peers speak it (`/tls/1.0.0`), over the connection's own socket. The bytes are those of `@libp2p/tls`, whose certificates and proofs are used. That one
 * encrypts through a stream in JavaScript, which costs each message several copies, events and turns of the event loop; here Node.js encrypts between the socket and its reader.
 *
 *   multistream-select (in the clear)  ->  the socket is taken from the connection  ->  TLS on the socket  ->  libp2p's stream of what is decrypted
 *
 * What must stay true: what the other side sent right after the negotiation is handed to TLS before anything that comes later; from then on nobody else reads the socket.
 */
import { Socket } from "node:net";
import { connect, TLSSocket } from "node:tls";
import type { TLSSocketOptions } from "node:tls";
import { PROTOCOL } from "@libp2p/tls";
import type { tls } from "@libp2p/tls";
import { generateCertificate, toMessageStream, verifyPeerCertificate } from "@libp2p/tls/utils";
import type { Clock } from "@pyromesh/base";

type Encrypter = ReturnType<ReturnType<typeof tls>>;
type Secure = Encrypter["secureInbound"];
type RawConnection = Parameters<Secure>[0];
type SecureOptions = Parameters<Secure>[1];
type Secured = Awaited<ReturnType<Secure>>;
type StreamMuxer = Secured["streamMuxer"];
type Components = Pick<Parameters<ReturnType<typeof tls>>[0], "privateKey" | "upgrader">;

/** What is offered where the other side chooses no multiplexer with the encryption. */
const NO_MUXER = "libp2p";

/** For `connectionEncrypters`. */
export function nativeTls({ clock }: { readonly clock: Clock }): (components: Components) => Encrypter {
  return (components) => ({
    protocol: PROTOCOL,
    secureInbound: (connection, options) => encrypt(connection, true, options, { privateKey: components.privateKey, upgrader: components.upgrader, clock }),
    secureOutbound: (connection, options) => encrypt(connection, false, options, { privateKey: components.privateKey, upgrader: components.upgrader, clock }),
  });
}

async function encrypt(connection: RawConnection, isServer: boolean, options: SecureOptions, { privateKey, upgrader, clock }: Components & { readonly clock: Clock }): Promise<Secured> {
  const raw = await takeSocket(connection, clock);
  const certificate = await generateCertificate(privateKey, options);
  const muxers = options?.skipStreamMuxerNegotiation === true ? new Map<string, NonNullable<StreamMuxer>>() : upgrader.getStreamMuxers();
  const settings: TLSSocketOptions & { rejectUnauthorized: boolean } = {
    ...certificate,
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    requestCert: true,
    rejectUnauthorized: false, // they are signed by their owners' keys: `verifyPeerCertificate` looks at that
  };
  if (raw.destroyed) throw new Error("the connection closed before it was encrypted");
  const socket = isServer
    ? new TLSSocket(raw, { ...settings, isServer, ALPNCallback: ({ protocols }) => protocols.find((protocol) => muxers.has(protocol) || protocol === NO_MUXER) })
    : connect({ socket: raw, ...settings, ALPNProtocols: [...muxers.keys(), NO_MUXER] });
  // libp2p aborts a connection so. A socket under TLS may not be reset (Node.js 20 ends the process), but closed.
  raw.resetAndDestroy = () => {
    socket.destroy();
    return raw;
  };
  try {
    await untilSecure(socket, options?.signal);
    const remotePeer = await verifyPeerCertificate(socket.getPeerCertificate().raw, options?.remotePeer, connection.log);
    const streamMuxer = typeof socket.alpnProtocol === "string" ? muxers.get(socket.alpnProtocol) : undefined;
    gatherWrites(socket);
    return { remotePeer, connection: toMessageStream(connection, socket), ...(streamMuxer && { streamMuxer }) };
  } catch (error) {
    socket.destroy();
    connection.abort(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/** Ends the connection's reading of its socket. What it has read already is put back. */
async function takeSocket(connection: RawConnection, clock: Clock): Promise<Socket> {
  const { socket } = connection as { readonly socket?: unknown }; // libp2p's TCP connections have it, and hide it from their type
  if (!(socket instanceof Socket)) throw new Error("the connection has no socket");
  const early: Uint8Array[] = [];
  connection.addEventListener("message", ({ data }) => early.push(data.subarray()));
  // The connection hands over what it holds in a microtask.
  await clock.nextTurn();
  socket.pause();
  socket.removeAllListeners("data");
  if (early.length > 0) socket.unshift(Buffer.concat(early.splice(0)));
  return socket;
}

function untilSecure(socket: TLSSocket, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => void socket.destroy(new Error("the encryption was not set up in time"));
    const end = (error?: Error): void => {
      signal?.removeEventListener("abort", onAbort);
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.once("secure", () => end());
    socket.on("error", end); // stays: an error without a listener would end the process
    socket.once("close", () => end(new Error("the connection closed while its encryption was set up")));
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
  });
}

/** What is written in one turn goes out together: each write would be a record and a system call of its own, and one message is three of them. */
function gatherWrites(socket: TLSSocket): void {
  const write = socket.write.bind(socket) as (bytes: Uint8Array) => boolean;
  socket.write = (bytes: Uint8Array | string): boolean => {
    if (socket.writableCorked === 0) {
      socket.cork();
      queueMicrotask(() => socket.uncork());
    }
    return write(bytes as Uint8Array); // libp2p writes bytes, and waits for no callback
  };
}
