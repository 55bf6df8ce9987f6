/**
 * One encrypted record for each frame of yamux. yamux hands a frame on as a list, its header of 12 bytes and its data, and TLS makes a record, a write and a packet of each
 * element. Here the list is joined before it is encrypted: a copy costs less than a record, up to the longest write of a channel.
 */

/** The longest that is joined: what a channel writes at once (stream-channel.ts), and its header. */
const JOINED_BYTES_MAX = 64 * 1024 + 12;

/** What libp2p hands to an encrypted connection besides an array: a list of arrays. `subarray()` is all of it, as one array. */
interface ByteList {
  readonly byteLength: number;
  subarray(): Uint8Array;
}

interface EncryptedConnection {
  send(bytes: Uint8Array | ByteList): boolean;
}

/** What is used here of an encryption of libp2p. */
interface Encrypter {
  secureInbound(...args: never[]): Promise<{ readonly connection: EncryptedConnection }>;
  secureOutbound(...args: never[]): Promise<{ readonly connection: EncryptedConnection }>;
}

/** The same encryption, whose connections join what they are given. */
export function withJoinedWrites<Components, E extends Encrypter>(make: (components: Components) => E): (components: Components) => E {
  return (components) => {
    const made = make(components);
    const encrypter: Encrypter = made;
    for (const method of ["secureInbound", "secureOutbound"] as const) {
      const secure = encrypter[method].bind(encrypter);
      encrypter[method] = async (...args) => {
        const secured = await secure(...args);
        joinWrites(secured.connection);
        return secured;
      };
    }
    return made;
  };
}

function joinWrites(connection: EncryptedConnection): void {
  const send = connection.send.bind(connection);
  connection.send = (bytes) => send(bytes instanceof Uint8Array || bytes.byteLength > JOINED_BYTES_MAX ? bytes : bytes.subarray());
}
