import { type DerNode, der, octets, oid, readOid, sequence, small, TRUE, within } from "./der.ts";

/** An extension of a request or certificate (RFC 5280, 4.1). */
export interface Extension {
  readonly id: string;
  readonly critical: boolean;
  /** The DER of its value. */
  readonly value: Buffer;
}

export const SUBJECT_KEY = "2.5.29.14";
export const AUTHORITY_KEY = "2.5.29.35";

export function writeExtensions(extensions: readonly Extension[]): Buffer {
  return sequence(
    ...extensions.map(({ id, critical, value }) =>
      sequence(oid(id), ...(critical ? [TRUE] : []), octets(value)),
    ),
  );
}

export function readExtensions(list: DerNode | undefined): readonly Extension[] {
  return within(list).map((node) => {
    const parts = within(node);
    return {
      id: readOid(parts[0]!.content),
      critical: parts.length === 3 && parts[1]!.content[0] !== 0,
      value: parts.at(-1)!.content,
    };
  });
}

/** Tell whether two lists have the same extensions, in any order. */
export function sameExtensions(some: readonly Extension[], others: readonly Extension[]): boolean {
  const key = ({ id, critical, value }: Extension): string => [id, critical, value.toString("hex")].join(" ");
  return some.map(key).sort().join() === others.map(key).sort().join();
}

/** The extension that names the key of a certificate. */
export function subjectKey(identifier: Uint8Array): Extension {
  return { id: SUBJECT_KEY, critical: false, value: octets(identifier) };
}

/** The extension that names the key of who signs. */
export function authorityKey(identifier: Uint8Array): Extension {
  return { id: AUTHORITY_KEY, critical: false, value: sequence(der(0x80, identifier)) };
}

/** `CA:TRUE` and `pathlen:N`. */
export function basicConstraints(words: readonly string[]): Buffer {
  const isCa = words.some((word) => /^CA:TRUE$/i.test(word));
  const length = words.flatMap((word) => /^(?:pathlen|pathLenConstraint):(\d+)$/i.exec(word)?.[1] ?? []);
  return sequence(...(isCa ? [TRUE] : []), ...length.slice(0, 1).map((text) => small(Number(text))));
}

/** A request or certificate, read. */
export interface Signed {
  readonly whole: DerNode;
  readonly subject: DerNode;
  /** SubjectPublicKeyInfo. */
  readonly key: DerNode;
  readonly extensions: readonly Extension[];
}

const REQUESTED = "1.2.840.113549.1.9.14";

/** Read a certificate signing request (RFC 2986). */
export function readRequest(bytes: Buffer): Signed {
  const whole = within({ tag: 0, content: bytes, whole: bytes })[0]!;
  const [info] = within(whole);
  const [, subject, key, attributes] = within(info);
  const requested = within(attributes).find((each) => readOid(within(each)[0]!.content) === REQUESTED);
  const [, set] = within(requested);
  return { whole, subject: subject!, key: key!, extensions: readExtensions(within(set)[0]) };
}

/** The attributes of a request that asks for extensions. */
export function requestAttributes(extensions: readonly Extension[]): Buffer {
  if (extensions.length === 0) return der(0xa0);
  return der(0xa0, sequence(oid(REQUESTED), der(0x31, writeExtensions(extensions))));
}
