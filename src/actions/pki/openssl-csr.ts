import { createPublicKey, type KeyObject } from "node:crypto";
import * as v from "valibot";
import { defineAction } from "../define.ts";
import { attributeAliases, describe, flag, optionalText, textList } from "../shared/params.ts";
import { withFullPaths } from "../shared/paths.ts";
import { bits, der, oid, pem, readDer, readPem, sequence, small } from "./der.ts";
import {
  authorityKey,
  basicConstraints,
  type Extension,
  readRequest,
  requestAttributes,
  sameExtensions,
  subjectKey,
} from "./extensions.ts";
import { hasOneKey, keyParams, ONE_KEY, sourceOf } from "./key-params.ts";
import { isSignedBy, keyIdentifier, keyOf, publicDer, signed } from "./keys.ts";
import { keyUsageBits, purposeOf, readSubject, type Subject, writeName, writeSubject } from "./names.ts";
import { applyPem, inspectPem, type PemChange, pemParams } from "./pem-file.ts";

const names = (description: string) => v.optional(textList(description));
const UNSUPPORTED = [
  "authority_cert_issuer",
  "authority_cert_serial_number",
  "crl_distribution_points",
] as const;

const params = v.pipe(
  v.strictObject({
    ...pemParams,
    ...keyParams,
    digest: v.optional(describe(v.string(), "Digest of the signature."), "sha256"),
    version: v.optional(describe(v.literal(1), "Version of requests: 1."), 1),
    subject: v.optional(
      describe(
        v.record(v.string(), v.union([v.string(), v.array(v.string())])),
        "Parts of the subject, such as `CN`; a list gives several of one name.",
      ),
    ),
    subject_ordered: v.optional(
      describe(
        v.array(v.record(v.string(), v.union([v.string(), v.array(v.string())]))),
        "Parts of the subject, in this order: dicts of one each.",
      ),
    ),
    country_name: optionalText("C of the subject."),
    state_or_province_name: optionalText("ST of the subject."),
    locality_name: optionalText("L of the subject."),
    organization_name: optionalText("O of the subject."),
    organizational_unit_name: optionalText("OU of the subject."),
    common_name: optionalText("CN of the subject."),
    email_address: optionalText("Mail address of the subject."),
    subject_alt_name: names("Other names: `DNS:`, `IP:`, `email:`, `URI:`, `RID:` and `dirName:`."),
    subject_alt_name_critical: flag("The other names are critical."),
    use_common_name_for_san: flag("Without other names, take the common name as `DNS:`.", true),
    key_usage: names("Usages of the key, such as `digitalSignature`."),
    key_usage_critical: flag("They are critical."),
    extended_key_usage: names("Purposes, such as `serverAuth`, or object identifiers."),
    extended_key_usage_critical: flag("They are critical."),
    basic_constraints: names("`CA:TRUE`, `CA:FALSE`, `pathlen:0`."),
    basic_constraints_critical: flag("They are critical."),
    ocsp_must_staple: flag("Ask for stapled OCSP."),
    ocsp_must_staple_critical: flag("It is critical."),
    name_constraints_permitted: names("Names that a CA may issue for."),
    name_constraints_excluded: names("Names that a CA may not issue for."),
    name_constraints_critical: flag("The constraints are critical."),
    create_subject_key_identifier: flag("Identify the key by the SHA-1 of its bits."),
    subject_key_identifier: optionalText("Identifier of the key, in hex with colons."),
    authority_key_identifier: optionalText("Identifier of the authority's key, in hex with colons."),
    authority_cert_issuer: names("Not supported: refused."),
    authority_cert_serial_number: v.optional(describe(v.number(), "Not supported: refused.")),
    crl_distribution_points: v.optional(describe(v.array(v.unknown()), "Not supported: refused.")),
  }),
  v.check((given) => hasOneKey(given), ONE_KEY),
  v.check(
    ({ create_subject_key_identifier: creates, subject_key_identifier: id }) => !creates || id === undefined,
    "create_subject_key_identifier and subject_key_identifier exclude each other",
  ),
  v.check(
    (given) => UNSUPPORTED.every((name) => given[name] === undefined),
    `${UNSUPPORTED.join(", ")} are not supported`,
  ),
);

type Given = v.InferOutput<typeof params>;

interface CsrData {
  readonly filename: string;
  readonly privatekey?: string;
  readonly subject: Subject;
  readonly subjectAltName: readonly string[] | null;
  readonly keyUsage: readonly string[] | null;
  readonly extendedKeyUsage: readonly string[] | null;
  readonly basicConstraints: readonly string[] | null;
  readonly ocspMustStaple: boolean;
  readonly name_constraints_permitted: readonly string[];
  readonly name_constraints_excluded: readonly string[];
  readonly csr?: string;
  readonly backup_file?: string;
}

/** Make certificate signing requests. */
export const openssl_csr = defineAction<typeof params, PemChange, CsrData>({
  name: "openssl_csr",
  doc: "Make a certificate signing request (PKCS #10), or remove it. A request of another key, subject or extensions is made anew.",
  params,
  aliases: {
    ...attributeAliases,
    CN: "common_name",
    commonName: "common_name",
    C: "country_name",
    countryName: "country_name",
    E: "email_address",
    emailAddress: "email_address",
    L: "locality_name",
    localityName: "locality_name",
    O: "organization_name",
    organizationName: "organization_name",
    OU: "organizational_unit_name",
    organizationalUnitName: "organizational_unit_name",
    ST: "state_or_province_name",
    stateOrProvinceName: "state_or_province_name",
    subjectAltName: "subject_alt_name",
    subjectAltName_critical: "subject_alt_name_critical",
    useCommonNameForSAN: "use_common_name_for_san",
    keyUsage: "key_usage",
    keyUsage_critical: "key_usage_critical",
    extKeyUsage: "extended_key_usage",
    extendedKeyUsage: "extended_key_usage",
    extKeyUsage_critical: "extended_key_usage_critical",
    extendedKeyUsage_critical: "extended_key_usage_critical",
    basicConstraints: "basic_constraints",
    basicConstraints_critical: "basic_constraints_critical",
    ocspMustStaple: "ocsp_must_staple",
    ocspMustStaple_critical: "ocsp_must_staple_critical",
  },
  examples: [
    {
      path: "/etc/ssl/site.csr",
      privatekey_path: "/etc/ssl/private/site.pem",
      common_name: "www.example.org",
    },
  ],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const given = await withFullPaths(params, ["path", "privatekey_path"], system, context.facts.env);
    const key = given.state === "absent" ? null : await keyOf(sourceOf(given), system);
    const extensions = key === null ? [] : extensionsOf(given, key);
    return inspectPem(given, system, context, {
      word: "a certificate signing request",
      missing:
        key === null && given.state !== "absent"
          ? `The private key ${given.privatekey_path} does not exist`
          : undefined,
      reason: async (text) => reasonOf(given, key!, extensions, text),
      data: async (text) => dataOf(given, text),
    });
  },

  async apply(change, params, system, context) {
    const given = await withFullPaths(params, ["path", "privatekey_path"], system, context.facts.env);
    const key = given.state === "absent" ? null : await keyOf(sourceOf(given), system);
    return applyPem(change, given, system, context, {
      make: async () => {
        const info = sequence(
          small(0),
          writeSubject(subjectOf(given)),
          publicDer(key!),
          requestAttributes(extensionsOf(given, key!)),
        );
        return pem("CERTIFICATE REQUEST", signed(info, key!, given.digest));
      },
      data: async (text) => dataOf(given, text),
    });
  },
});

function subjectOf(given: Given): Subject {
  const own = (
    [
      ["C", given.country_name],
      ["ST", given.state_or_province_name],
      ["L", given.locality_name],
      ["O", given.organization_name],
      ["OU", given.organizational_unit_name],
      ["CN", given.common_name],
      ["emailAddress", given.email_address],
    ] as const
  ).flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, value] as const]));
  const more = [...(given.subject_ordered ?? []), ...(given.subject === undefined ? [] : [given.subject])];
  return [
    ...own,
    ...more.flatMap((dict) =>
      Object.entries(dict).flatMap(([name, value]) => [value].flat().map((each) => [name, each] as const)),
    ),
  ];
}

function otherNames(given: Given): readonly string[] | undefined {
  const { subject_alt_name: names, use_common_name_for_san: usesCommon } = given;
  if (names !== undefined) return names;
  const common = subjectOf(given).find(([name]) => name === "CN" || name === "commonName")?.[1];
  return usesCommon && common !== undefined ? [`DNS:${common}`] : undefined;
}

const fromHex = (text: string): Buffer => Buffer.from(text.replaceAll(":", ""), "hex");

function extensionsOf(given: Given, key: KeyObject): readonly Extension[] {
  const all: Extension[] = [];
  const add = (id: string, critical: boolean, value: Buffer): void => void all.push({ id, critical, value });
  const san = otherNames(given);
  if (san !== undefined && san.length > 0)
    add("2.5.29.17", given.subject_alt_name_critical, sequence(...san.map((name) => writeName(name))));
  if (given.key_usage !== undefined && given.key_usage.length > 0)
    add("2.5.29.15", given.key_usage_critical, bits(...keyUsageBits(given.key_usage)));
  if (given.extended_key_usage !== undefined && given.extended_key_usage.length > 0)
    add(
      "2.5.29.37",
      given.extended_key_usage_critical,
      sequence(...given.extended_key_usage.map((name) => oid(purposeOf(name)))),
    );
  if (given.basic_constraints !== undefined && given.basic_constraints.length > 0)
    add("2.5.29.19", given.basic_constraints_critical, basicConstraints(given.basic_constraints));
  if (given.ocsp_must_staple) add("1.3.6.1.5.5.7.1.24", given.ocsp_must_staple_critical, sequence(small(5)));
  const [permitted = [], excluded = []] = [given.name_constraints_permitted, given.name_constraints_excluded];
  if (permitted.length + excluded.length > 0) {
    const trees = (tag: number, list: readonly string[]): readonly Buffer[] =>
      list.length === 0 ? [] : [der(tag, ...list.map((name) => sequence(writeName(name, true))))];
    add(
      "2.5.29.30",
      given.name_constraints_critical,
      sequence(...trees(0xa0, permitted), ...trees(0xa1, excluded)),
    );
  }
  if (given.create_subject_key_identifier) all.push(subjectKey(keyIdentifier(publicDer(key))));
  if (given.subject_key_identifier !== undefined) all.push(subjectKey(fromHex(given.subject_key_identifier)));
  if (given.authority_key_identifier !== undefined)
    all.push(authorityKey(fromHex(given.authority_key_identifier)));
  return all;
}

function reasonOf(
  given: Given,
  key: KeyObject,
  extensions: readonly Extension[],
  text: string,
): string | null {
  const bytes = readPem(text, /^(?:NEW )?CERTIFICATE REQUEST$/);
  if (bytes === undefined) return "it is no request";
  let request: ReturnType<typeof readRequest>;
  try {
    request = readRequest(bytes);
  } catch {
    return "it cannot be read";
  }
  if (!request.key.whole.equals(publicDer(key)) || !isSignedBy(request.whole, createPublicKey(key)))
    return "it is of another key";
  const words = (subject: Subject): readonly string[] => subject.map((pair) => JSON.stringify(pair));
  const [wanted, found] = [
    readSubject(readDer(writeSubject(subjectOf(given)))[0]),
    readSubject(request.subject),
  ].map(words);
  const isOrdered = given.subject_ordered !== undefined;
  const sorted = (list: readonly string[]): string => (isOrdered ? list : [...list].sort()).join();
  if (sorted(wanted!) !== sorted(found!)) return "it is for another subject";
  return sameExtensions(request.extensions, extensions) ? null : "its extensions differ";
}

function dataOf(given: Given, text: string | null): CsrData {
  const { path, privatekey_path: source, return_content } = given;
  return {
    filename: path,
    ...(source === undefined ? {} : { privatekey: source }),
    subject: subjectOf(given),
    subjectAltName: otherNames(given) ?? null,
    keyUsage: given.key_usage ?? null,
    extendedKeyUsage: given.extended_key_usage ?? null,
    basicConstraints: given.basic_constraints ?? null,
    ocspMustStaple: given.ocsp_must_staple,
    name_constraints_permitted: given.name_constraints_permitted ?? [],
    name_constraints_excluded: given.name_constraints_excluded ?? [],
    ...(return_content && text !== null ? { csr: text } : {}),
  };
}
