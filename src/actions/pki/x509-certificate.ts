import { createPublicKey, type KeyObject, randomBytes } from "node:crypto";
import * as v from "valibot";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { attributeAliases, describe, flag, oneOf, optionalText } from "../shared/params.ts";
import { withFullPaths } from "../shared/paths.ts";
import {
  type DerNode,
  der,
  integer,
  pem,
  readDer,
  readPem,
  readTime,
  sequence,
  small,
  time,
  within,
} from "./der.ts";
import {
  AUTHORITY_KEY,
  authorityKey,
  type Extension,
  readExtensions,
  readRequest,
  type Signed,
  SUBJECT_KEY,
  sameExtensions,
  subjectKey,
  writeExtensions,
} from "./extensions.ts";
import { hasOneKey, keyParams, sourceOf } from "./key-params.ts";
import { algorithmOf, isSignedBy, keyIdentifier, keyOf, publicDer, signed } from "./keys.ts";
import { applyPem, inspectPem, type PemChange, pemParams } from "./pem-file.ts";

const IDENTIFIERS = ["create_if_not_provided", "always_create", "never_create"] as const;
const params = v.pipe(
  v.strictObject({
    ...pemParams,
    provider: v.optional(
      describe(
        v.picklist(["selfsigned", "ownca", "acme", "entrust"]),
        "Who signs. `acme` and `entrust` are refused.",
      ),
    ),
    csr_path: optionalText("The file of the request."),
    csr_content: optionalText("The request itself."),
    ...keyParams,
    ignore_timestamps: flag("A certificate of other times stays.", true),
    selfsigned_digest: v.optional(describe(v.string(), "Digest of the signature."), "sha256"),
    selfsigned_not_before: v.optional(
      describe(v.string(), "Begin: `+1d2h`, relative to now, or `YYYYMMDDHHMMSSZ`."),
      "+0s",
    ),
    selfsigned_not_after: v.optional(describe(v.string(), "End, as the begin."), "+3650d"),
    selfsigned_version: v.optional(describe(v.literal(3), "Version of certificates: 3."), 3),
    selfsigned_create_subject_key_identifier: oneOf(
      IDENTIFIERS,
      "create_if_not_provided",
      "Whether the certificate identifies its key.",
    ),
    ownca_path: optionalText("The file of the authority's certificate."),
    ownca_content: optionalText("The authority's certificate itself."),
    ownca_privatekey_path: optionalText("The file of the authority's private key."),
    ownca_privatekey_content: optionalText("The authority's private key itself."),
    ownca_privatekey_passphrase: optionalText("Passphrase of the authority's private key."),
    ownca_digest: v.optional(describe(v.string(), "Digest of the authority's signature."), "sha256"),
    ownca_not_before: v.optional(describe(v.string(), "Begin, as `selfsigned_not_before`."), "+0s"),
    ownca_not_after: v.optional(describe(v.string(), "End, as `selfsigned_not_before`."), "+3650d"),
    ownca_version: v.optional(describe(v.literal(3), "Version of certificates: 3."), 3),
    ownca_create_subject_key_identifier: oneOf(
      IDENTIFIERS,
      "create_if_not_provided",
      "Whether the certificate identifies its key.",
    ),
    ownca_create_authority_key_identifier: flag("The certificate identifies the authority's key.", true),
  }),
  v.check(({ state, provider }) => state === "absent" || provider !== undefined, "provider is needed"),
  v.check(
    ({ provider }) => provider !== "acme" && provider !== "entrust",
    "only the providers selfsigned and ownca are supported",
  ),
  v.check(
    ({ csr_path: path, csr_content: content }) => path === undefined || content === undefined,
    "csr_path and csr_content exclude each other",
  ),
  v.check(
    (given) => given.provider !== "selfsigned" || hasOneKey(given),
    "selfsigned needs privatekey_path or privatekey_content",
  ),
  v.check(
    (given) =>
      given.state === "absent" ||
      given.provider !== "ownca" ||
      ((given.csr_path ?? given.csr_content) !== undefined &&
        (given.ownca_path ?? given.ownca_content) !== undefined &&
        (given.ownca_privatekey_path ?? given.ownca_privatekey_content) !== undefined),
    "ownca needs a request, the authority's certificate and its private key",
  ),
);

type Given = v.InferOutput<typeof params>;

interface CertificateData {
  readonly filename: string;
  readonly privatekey?: string | null;
  readonly csr?: string | null;
  readonly ca_cert?: string | null;
  readonly ca_privatekey?: string | null;
  readonly notBefore?: string;
  readonly notAfter?: string;
  readonly serial_number?: bigint;
  readonly certificate?: string;
  readonly backup_file?: string;
}

/** Make certificates: self-signed, or of an authority of one's own. */
export const x509_certificate = defineAction<typeof params, PemChange, CertificateData>({
  name: "x509_certificate",
  doc: `Make a certificate that its own key signs (\`selfsigned\`), or an authority's (\`ownca\`), or remove it.

A certificate of another key, subject, extensions or authority is made anew; other times count with \`ignore_timestamps: false\` alone.`,
  params,
  aliases: {
    ...attributeAliases,
    selfsigned_notBefore: "selfsigned_not_before",
    selfsigned_notAfter: "selfsigned_not_after",
  },
  examples: [
    {
      path: "/etc/ssl/site.crt",
      privatekey_path: "/etc/ssl/private/site.pem",
      csr_path: "/etc/ssl/site.csr",
      provider: "selfsigned",
    },
  ],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const given = await fullPaths(params, system, context.facts.env);
    const source = given.state === "absent" ? undefined : await readSources(given, system);
    const missing = source !== undefined && "missing" in source ? source.missing : undefined;
    return inspectPem(given, system, context, {
      word: "a certificate",
      missing,
      reason: async (text) => reasonOf(given, source as Sources, text),
      data: async (text) => dataOf(given, text),
    });
  },

  async apply(change, params, system, context) {
    const given = await fullPaths(params, system, context.facts.env);
    return applyPem(change, given, system, context, {
      make: async () => {
        const source = await readSources(given, system);
        if ("missing" in source) throw new VolleyError("ACTION_FAILED", source.missing);
        return pem("CERTIFICATE", make(given, source));
      },
      data: async (text) => dataOf(given, text),
    });
  },
});

/** The labels of certificates in PEM. */
const CERTIFICATE = /^(?:TRUSTED |X509 )?CERTIFICATE$/;

const PATHS = ["path", "csr_path", "privatekey_path", "ownca_path", "ownca_privatekey_path"] as const;

function fullPaths(params: Given, system: ReadSystem, env: Readonly<Record<string, string>>): Promise<Given> {
  return withFullPaths(params, PATHS, system, env) as Promise<Given>;
}

/** The parts of a certificate, and its signer. */
interface Sources {
  /** The key of the certificate, as SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  readonly subject: Buffer;
  readonly extensions: readonly Extension[];
  /** The key that signs, and the name of who signs. */
  readonly signer: KeyObject;
  readonly issuer: Buffer;
  /** The authority's certificate. */
  readonly authority: Signed | undefined;
}

async function readSources(
  given: Given,
  system: ReadSystem,
): Promise<Sources | { readonly missing: string }> {
  const gone = (path: string | undefined, what: string) => ({
    missing: `The ${what} ${path} does not exist`,
  });
  const request = await read(given.csr_path, given.csr_content, system, /^(?:NEW )?CERTIFICATE REQUEST$/);
  if (request === null) return gone(given.csr_path, "certificate signing request file");
  const csr = request === undefined ? undefined : readRequest(request);
  if (csr !== undefined && !isSignedBy(csr.whole, publicOf(csr.key.whole)))
    throw new VolleyError(
      "ACTION_FAILED",
      "the signature of the certificate signing request does not fit its key",
    );
  if (given.provider === "ownca") {
    const bytes = await read(given.ownca_path, given.ownca_content, system, CERTIFICATE);
    if (bytes === null) return gone(given.ownca_path, "CA certificate");
    const key = await keyOf(
      {
        path: given.ownca_privatekey_path,
        content: given.ownca_privatekey_content,
        passphrase: given.ownca_privatekey_passphrase,
      },
      system,
    );
    if (key === null) return gone(given.ownca_privatekey_path, "CA private key");
    const authority = readCertificate(bytes!);
    if (!authority.key.whole.equals(publicDer(key)))
      throw new VolleyError(
        "ACTION_FAILED",
        "the authority's private key does not belong to its certificate",
      );
    return {
      spki: csr!.key.whole,
      subject: csr!.subject.whole,
      extensions: csr!.extensions,
      signer: key,
      issuer: authority.subject.whole,
      authority,
    };
  }
  const key = await keyOf(sourceOf(given), system);
  if (key === null) return gone(given.privatekey_path, "private key");
  const spki = publicDer(key);
  if (csr !== undefined && !csr.key.whole.equals(spki))
    throw new VolleyError(
      "ACTION_FAILED",
      "the private key does not belong to the certificate signing request",
    );
  const subject = csr?.subject.whole ?? sequence();
  return {
    spki,
    subject,
    extensions: csr?.extensions ?? [],
    signer: key,
    issuer: subject,
    authority: undefined,
  };
}

const publicOf = (spki: Buffer): KeyObject => createPublicKey({ key: spki, format: "der", type: "spki" });

/** Read PEM; undefined where nothing is named, null for a file that is not there. */
async function read(
  path: string | undefined,
  content: string | undefined,
  system: ReadSystem,
  label: RegExp,
): Promise<Buffer | null | undefined> {
  if (path === undefined && content === undefined) return undefined;
  const bytes = path === undefined ? undefined : await system.readIfExists(path);
  if (bytes === null) return null;
  const found = readPem(content ?? bytesToText(bytes!), label);
  if (found === undefined)
    throw new VolleyError("ACTION_FAILED", `${path ?? "the content"} cannot be read as PEM`);
  return found;
}

interface Certificate extends Signed {
  readonly issuer: DerNode;
  readonly serial: Buffer;
  readonly from: Date;
  readonly until: Date;
}

function readCertificate(bytes: Buffer): Certificate {
  const [whole] = readDer(bytes);
  const [body] = within(whole);
  const parts = within(body);
  // Version 1 has no number of its version.
  const [serial, , issuer, times, subject, key, ...rest] = parts[0]!.tag === 0xa0 ? parts.slice(1) : parts;
  const [from, until] = within(times);
  const listed = rest.find((node) => node.tag === 0xa3);
  return {
    whole: whole!,
    issuer: issuer!,
    serial: serial!.content,
    subject: subject!,
    key: key!,
    from: readTime(from!),
    until: readTime(until!),
    extensions: readExtensions(within(listed)[0]),
  };
}

/** The parameters that both providers have. */
function own(given: Given) {
  const isOwn = given.provider === "ownca";
  return {
    digest: isOwn ? given.ownca_digest : given.selfsigned_digest,
    from: isOwn ? given.ownca_not_before : given.selfsigned_not_before,
    until: isOwn ? given.ownca_not_after : given.selfsigned_not_after,
    identifies: isOwn
      ? given.ownca_create_subject_key_identifier
      : given.selfsigned_create_subject_key_identifier,
  };
}

function extensionsOf(given: Given, { extensions, spki, authority }: Sources): readonly Extension[] {
  const { identifies } = own(given);
  const isAuthorityNamed = authority !== undefined && given.ownca_create_authority_key_identifier;
  const known = extensions.filter(
    ({ id }) =>
      !(id === SUBJECT_KEY && identifies === "always_create") && !(id === AUTHORITY_KEY && isAuthorityNamed),
  );
  const hasOwn = known.some(({ id }) => id === SUBJECT_KEY);
  const mine = identifies === "never_create" || hasOwn ? [] : [subjectKey(keyIdentifier(spki))];
  const named = authority?.extensions.find(({ id }) => id === SUBJECT_KEY);
  const identifier = named === undefined ? undefined : readDer(named.value)[0]!.content;
  const above = isAuthorityNamed ? [authorityKey(identifier ?? keyIdentifier(authority.key.whole))] : [];
  return [...known, ...mine, ...above];
}

function make(given: Given, sources: Sources): Buffer {
  const { digest, from, until } = own(given);
  const now = new Date();
  const serial = randomBytes(20);
  // The number is above 0.
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const extensions = extensionsOf(given, sources);
  const body = sequence(
    der(0xa0, small(2)),
    integer(serial),
    algorithmOf(sources.signer, digest)[0],
    sources.issuer,
    sequence(time(readMoment(from, now)), time(readMoment(until, now))),
    sources.subject,
    sources.spki,
    ...(extensions.length === 0 ? [] : [der(0xa3, writeExtensions(extensions))]),
  );
  return signed(body, sources.signer, digest);
}

function reasonOf(given: Given, sources: Sources, text: string): string | null {
  const bytes = readPem(text, CERTIFICATE);
  if (bytes === undefined) return "it is no certificate";
  let found: Certificate;
  try {
    found = readCertificate(bytes);
  } catch {
    return "it cannot be read";
  }
  if (!found.key.whole.equals(sources.spki)) return "it is of another key";
  if (!found.subject.whole.equals(sources.subject)) return "it is for another subject";
  if (!found.issuer.whole.equals(sources.issuer) || !isSignedBy(found.whole, createPublicKey(sources.signer)))
    return "another key has signed it";
  if (!sameExtensions(found.extensions, extensionsOf(given, sources))) return "its extensions differ";
  if (given.ignore_timestamps) return null;
  const { from, until } = own(given);
  const now = new Date();
  const differs = [from, until].some(
    (written, index) => readMoment(written, now).getTime() !== [found.from, found.until][index]!.getTime(),
  );
  return differs ? "it is of other times" : null;
}

const UNITS = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 } as const;

/** Read a moment: `+1w2d3h4m5s`, relative to now, or ASN.1's `YYYYMMDDHHMMSSZ`. Whole seconds. Fails with `PARAMS_INVALID`. */
function readMoment(text: string, now: Date): Date {
  const relative = /^([+-])(?=\d)(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?$/.exec(text);
  if (relative !== null) {
    const [, sign, ...counts] = relative;
    const seconds = Object.values(UNITS).reduce(
      (sum, unit, index) => sum + Number(counts[index] ?? 0) * unit,
      0,
    );
    const start = Math.floor(now.getTime() / 1000);
    return new Date((start + (sign === "-" ? -seconds : seconds)) * 1000);
  }
  const [, y, mo, d, h, mi, s = "00"] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?Z$/.exec(text) ?? [];
  const date = new Date(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  if (Number.isNaN(date.getTime()))
    throw new VolleyError("PARAMS_INVALID", `"${text}" is no time: write +3650d, or YYYYMMDDHHMMSSZ`);
  return date;
}

function dataOf(given: Given, text: string | null): CertificateData {
  const { path, return_content, privatekey_path: privatekey = null, csr_path: csr = null } = given;
  if (text === null) return { filename: path };
  const authority =
    given.provider === "ownca"
      ? { ca_cert: given.ownca_path ?? null, ca_privatekey: given.ownca_privatekey_path ?? null }
      : {};
  const found = readCertificate(readPem(text, CERTIFICATE)!);
  const moment = (date: Date): string => date.toISOString().replace(/[-:T]|\.\d+/g, "");
  return {
    filename: path,
    privatekey,
    csr,
    ...authority,
    notBefore: moment(found.from),
    notAfter: moment(found.until),
    serial_number: BigInt(`0x${found.serial.toString("hex")}`),
    ...(return_content ? { certificate: text } : {}),
  };
}
