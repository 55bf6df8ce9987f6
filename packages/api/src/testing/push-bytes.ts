/** Encodes PushRequests for tests of the reader. It shares no code with the reader, and can encode wrong ones. */
import { ByteWriter, encodeUtf8 } from "@pyromesh/base";

interface SeriesInit {
  readonly labels: Readonly<Record<string, string>>;
  readonly profiles: readonly { readonly raw: Uint8Array; readonly id?: string }[];
}

/** A field of wire type 2. */
export function lengthField(number: number, content: Uint8Array): Uint8Array {
  return new ByteWriter().uvarint(number * 8 + 2).prefixed(content).finish();
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function encodePushRequest(series: readonly SeriesInit[]): Uint8Array {
  return concat(
    ...series.map(({ labels, profiles }) =>
      lengthField(
        1,
        concat(
          ...Object.entries(labels).map(([name, value]) => lengthField(1, concat(lengthField(1, encodeUtf8(name)), lengthField(2, encodeUtf8(value))))),
          ...profiles.map(({ raw, id }) => lengthField(2, concat(lengthField(1, raw), ...(id === undefined ? [] : [lengthField(2, encodeUtf8(id))])))),
        ),
      ),
    ),
  );
}
