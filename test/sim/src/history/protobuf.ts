/** Writes protobuf messages field by field: only what the clients need, and without the product's code. */

export class Message {
  readonly #bytes: number[] = [];

  /** Zeros are left out, as protobuf does. */
  int(field: number, value: number | bigint): this {
    if (value === 0 || value === 0n) return this;
    this.#varint(field * 8);
    this.#varint(value);
    return this;
  }

  text(field: number, text: string): this {
    return this.bytes(field, Buffer.from(text, "utf8"));
  }

  message(field: number, message: Message): this {
    return this.bytes(field, message.#bytes);
  }

  packed(field: number, values: readonly (number | bigint)[]): this {
    const inner = new Message();
    for (const value of values) inner.#varint(value);
    return this.bytes(field, inner.#bytes);
  }

  bytes(field: number, bytes: ArrayLike<number>): this {
    this.#varint(field * 8 + 2);
    this.#varint(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.#bytes.push(bytes[i]!);
    return this;
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  #varint(value: number | bigint): void {
    if (typeof value === "number" && value < 2 ** 31) {
      let rest = value;
      for (; rest >= 0x80; rest >>>= 7) this.#bytes.push((rest & 0x7f) | 0x80);
      this.#bytes.push(rest);
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes.push(Number(rest & 0x7fn) | 0x80);
    this.#bytes.push(Number(rest));
  }
}
