/**
 * The idempotency key that a profile of a body of several has in its record: that of the push for the first, and behind it `#` and the place for each other one, so that profiles that are alike
 * are not taken for one. It stands in records on disk: a change of it makes what is sent again count twice.
 */

/** `index`: the profile's place in the body. */
export function keyInBody(pushKey: string | undefined, index: number): string | undefined {
  return pushKey === undefined || index === 0 ? pushKey : `${pushKey}#${index}`;
}

/** The key of the push, by that of a record. Undefined: the record's is the push's own. A client may have sent a key that ends so: then there is no push with what this returns. */
export function pushKeyOf(recordKey: string | undefined): string | undefined {
  return recordKey === undefined ? undefined : /^(.*)#[1-9]\d*$/su.exec(recordKey)?.[1];
}
