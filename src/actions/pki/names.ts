import { isIPv4, isIPv6 } from "node:net";
import { VolleyError } from "../../core/errors.ts";
import { type DerNode, der, oid, readDer, readOid, sequence, utf8, within } from "./der.ts";

// Names of subjects and of X.509's extensions (RFC 5280).

/** The parts of a subject: short name, long name, identifier. */
const PARTS = [
  ["C", "countryName", "2.5.4.6"],
  ["ST", "stateOrProvinceName", "2.5.4.8"],
  ["L", "localityName", "2.5.4.7"],
  ["O", "organizationName", "2.5.4.10"],
  ["OU", "organizationalUnitName", "2.5.4.11"],
  ["CN", "commonName", "2.5.4.3"],
  ["emailAddress", "E", "1.2.840.113549.1.9.1"],
  ["SN", "surname", "2.5.4.4"],
  ["GN", "givenName", "2.5.4.42"],
  ["serialNumber", "serialNumber", "2.5.4.5"],
  ["title", "title", "2.5.4.12"],
  ["street", "streetAddress", "2.5.4.9"],
  ["postalCode", "postalCode", "2.5.4.17"],
  ["DC", "domainComponent", "0.9.2342.19200300.100.1.25"],
  ["UID", "userId", "0.9.2342.19200300.100.1.1"],
] as const;

/** A subject: its parts with their values, in order. */
export type Subject = readonly (readonly [name: string, value: string])[];

const fail = (message: string): never => {
  throw new VolleyError("PARAMS_INVALID", message);
};

function identifierOf(name: string): string {
  const known = PARTS.find(([short, long]) => short === name || long === name);
  if (known === undefined && !/^\d+(?:\.\d+)+$/.test(name)) return fail(`"${name}" is no part of a subject`);
  return known?.[2] ?? name;
}

/** Write a subject. */
export function writeSubject(subject: Subject): Buffer {
  return sequence(
    ...subject.map(([name, value]) => {
      const id = identifierOf(name);
      if (id === "2.5.4.6" && !/^[A-Za-z]{2}$/.test(value)) fail(`"${value}" is no country of two letters`);
      const isPlain = id === "2.5.4.6" || id === "2.5.4.5";
      const isIa5 = id.startsWith("0.9.") && id.endsWith(".25");
      const text = isPlain
        ? der(0x13, Buffer.from(value))
        : isIa5
          ? der(0x16, Buffer.from(value))
          : utf8(value);
      return der(0x31, sequence(oid(id), text));
    }),
  );
}

/** Read a subject, under the short names of its parts. */
export function readSubject(node: DerNode | undefined): Subject {
  return within(node).flatMap((set) =>
    within(set).map((pair): readonly [string, string] => {
      const [id, value] = within(pair);
      const dotted = readOid(id!.content);
      const text = value!.tag === 0x1e ? swap(value!.content).toString("utf16le") : value!.content.toString();
      return [PARTS.find(([, , known]) => known === dotted)?.[0] ?? dotted, text];
    }),
  );
}

const swap = (bytes: Buffer): Buffer => Buffer.from(bytes).swap16();

/** Write an alternative name: `DNS:`, `IP:`, `email:`, `URI:`, `RID:` or `dirName:`; `isRange` allows networks. */
export function writeName(written: string, isRange = false): Buffer {
  const [, kind = "", value = ""] = /^([A-Za-z]+):(.*)$/s.exec(written) ?? [];
  switch (kind.toLowerCase()) {
    case "dns":
      return der(0x82, Buffer.from(value));
    case "email":
      return der(0x81, Buffer.from(value));
    case "uri":
      return der(0x86, Buffer.from(value));
    case "rid":
      return der(0x88, readDer(oid(value))[0]!.content);
    case "ip":
      return der(0x87, isRange ? network(value) : address(value));
    case "dirname":
      return der(0xa4, writeSubject(directoryName(value)));
    default:
      return fail(`the name "${written}" must begin with DNS:, IP:, email:, URI:, RID: or dirName:`);
  }
}

/** `CN=a,O=b`, or `/CN=a/O=b`. */
function directoryName(text: string): Subject {
  const separator = text.startsWith("/") ? "/" : ",";
  return text
    .replace(/^\//, "")
    .split(separator)
    .map((part) => {
      const [, name = "", value = ""] = /^\s*([^=]+?)\s*=\s*(.*)$/.exec(part) ?? [];
      return [name, value] as const;
    });
}

function address(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split(".").map(Number));
  if (!isIPv6(text)) return fail(`"${text}" is no IP address`);
  // The URL parser expands what an address may leave out.
  const [head = "", tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split("::");
  const groups = (part: string | undefined): string[] =>
    part === undefined || part === "" ? [] : part.split(":");
  const [left, right] = [groups(head), groups(tail)];
  const filled =
    tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill("0"), ...right];
  return Buffer.from(
    filled.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]),
  );
}

function network(text: string): Buffer {
  const [host = "", length = ""] = text.split("/");
  const base = address(host);
  const ones = length === "" ? base.length * 8 : Number(length);
  if (!(ones <= base.length * 8)) return fail(`"${text}" is no network`);
  const mask = Buffer.from(base.map((_, index) => 0xff00 >> Math.min(8, Math.max(0, ones - index * 8))));
  return Buffer.concat([base, mask]);
}

const KEY_USAGES = [
  ["digitalSignature", "Digital Signature"],
  ["nonRepudiation", "Non Repudiation", "contentCommitment", "Content Commitment"],
  ["keyEncipherment", "Key Encipherment"],
  ["dataEncipherment", "Data Encipherment"],
  ["keyAgreement", "Key Agreement"],
  ["keyCertSign", "Certificate Sign"],
  ["cRLSign", "CRL Sign"],
  ["encipherOnly", "Encipher Only"],
  ["decipherOnly", "Decipher Only"],
] as const;

/** Write the bits of a key's usages. */
export function keyUsageBits(names: readonly string[]): readonly [bytes: Buffer, unused: number] {
  const set = names.map((name) => {
    const index = KEY_USAGES.findIndex((all) => (all as readonly string[]).includes(name));
    return index < 0 ? (fail(`"${name}" is no usage of a key`) as number) : index;
  });
  const last = Math.max(...set);
  const bytes = Buffer.alloc(last < 8 ? 1 : 2);
  for (const index of set) bytes[index >> 3]! |= 0x80 >> (index & 7);
  return [bytes, 7 - (last & 7)];
}

const PURPOSES: Readonly<Record<string, string>> = {
  serverAuth: "1.3.6.1.5.5.7.3.1",
  "TLS Web Server Authentication": "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  "TLS Web Client Authentication": "1.3.6.1.5.5.7.3.2",
  codeSigning: "1.3.6.1.5.5.7.3.3",
  "Code Signing": "1.3.6.1.5.5.7.3.3",
  emailProtection: "1.3.6.1.5.5.7.3.4",
  "E-mail Protection": "1.3.6.1.5.5.7.3.4",
  ipsecEndSystem: "1.3.6.1.5.5.7.3.5",
  ipsecTunnel: "1.3.6.1.5.5.7.3.6",
  ipsecUser: "1.3.6.1.5.5.7.3.7",
  timeStamping: "1.3.6.1.5.5.7.3.8",
  "Time Stamping": "1.3.6.1.5.5.7.3.8",
  OCSPSigning: "1.3.6.1.5.5.7.3.9",
  "OCSP Signing": "1.3.6.1.5.5.7.3.9",
  ipsecIKE: "1.3.6.1.5.5.7.3.17",
  msSmartcardLogin: "1.3.6.1.4.1.311.20.2.2",
  anyExtendedKeyUsage: "2.5.29.37.0",
  "Any Extended Key Usage": "2.5.29.37.0",
};

/** Return the identifier of a purpose. */
export function purposeOf(name: string): string {
  return (
    PURPOSES[name] ?? (/^\d+(?:\.\d+)+$/.test(name) ? name : fail(`"${name}" is no usage of a certificate`))
  );
}
