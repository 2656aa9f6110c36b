import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { VolleyError } from "../core/errors.ts";
import { writeYaml } from "../yaml/write.ts";
import { type BundleSource, fetchScript, SEED_LABEL } from "./fetch-script.ts";
import { PAYLOAD, STATE_DIRECTORY } from "./first-boot.ts";
import { SERVICE, systemdUnit } from "./init.ts";
import { makeIso } from "./iso.ts";
import type { Payload, PayloadFile } from "./payload.ts";

// Documents for cloud-init, which provisions a machine of a cloud at its first start: user-data in the form
// `#cloud-config`, and the volume of the datasource NoCloud.

/** The size of user-data that every cloud takes, in bytes: that of EC2. */
export const SMALLEST_LIMIT = 16 * 1024;

/** The user-data of a machine. */
export interface UserData {
  readonly document: Buffer;
  /** The place of the bundle; undefined for a bundle inside the document. */
  readonly source: BundleSource | undefined;
}

/** Settings of {@link makeUserData}. */
export interface UserDataOptions {
  /** Largest size of the document, in bytes. Default {@link SMALLEST_LIMIT}. */
  readonly maxBytes?: number;
  /** The URL to fetch the bundle from. Default: the bundle is inside the document. */
  readonly url?: string;
  /** The document lies on a volume that can hold the bundle, too, where the document is too small for it. Default false. */
  readonly hasVolume?: boolean;
  /** Later boots wait for the network, too. Default false. */
  readonly waitsForNetwork?: boolean;
  /** Compress the document; cloud-init unpacks it. Default false. */
  readonly gzip?: boolean;
}

/**
 * Make the user-data of a payload. cloud-init writes the payload's files, and starts the first boot's script as its last
 * act. systemd starts the script, too, at later boots until the machine is provisioned: cloud-init tries but once.
 * Fails with `USAGE` when the document does not fit.
 */
export function makeUserData(payload: Payload, options: UserDataOptions = {}): UserData {
  const { maxBytes = SMALLEST_LIMIT, url, hasVolume = false, gzip = false } = options;
  const { waitsForNetwork = false } = options;
  const make = (source: BundleSource | undefined): UserData => {
    const text = Buffer.from(cloudConfig(payload, source, waitsForNetwork));
    return { document: gzip ? gzipSync(text, { level: 9 }) : text, source };
  };
  const fits = ({ document }: UserData): boolean => document.length <= maxBytes;
  const { length } = payload.bundle.bytes;
  // A bundle is compressed already: one that is too large needs no try.
  const inside = url !== undefined || length > maxBytes ? undefined : make(undefined);
  if (inside !== undefined && fits(inside)) return inside;
  const outside = make(url === undefined ? "volume" : { url });
  if (!fits(outside))
    throw new VolleyError(
      "USAGE",
      `the user-data would have ${kib(outside.document.length)}, more than the ${kib(maxBytes)} of --max-size`,
      { hint: `raise --max-size where your cloud takes more${gzip ? "" : ", or give --gzip"}` },
    );
  if (url !== undefined || hasVolume) return outside;
  throw new VolleyError(
    "USAGE",
    `the bundle, of ${kib(length)}, does not fit into user-data of at most ${kib(maxBytes)}`,
    {
      hint: "name with --url where the machine can fetch the bundle, make a volume with --iso, or raise --max-size where your cloud takes more",
    },
  );
}

/** Show a size in KiB. */
export function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(1).replace(/\.0$/, "")} KiB`;
}

/** The parts of user-data: the machine's files, and the line that starts the first boot's script. */
function cloudConfig(
  { host, files, bundle }: Payload,
  source: BundleSource | undefined,
  waitsForNetwork: boolean,
): string {
  const at = (directory: string, file: PayloadFile) => ({
    path: `${directory}/${file.name}`,
    owner: "root:root",
    permissions: `0${file.mode.toString(8)}`,
    encoding: "gz+b64",
    content: gzipSync(file.content, { level: 9 }).toString("base64"),
  });
  const carried = source === undefined ? files : files.filter(({ name }) => name !== PAYLOAD.bundle);
  const unit = Buffer.from(systemdUnit({ host, waitsForNetwork }));
  const document = {
    write_files: [
      ...carried.map((file) => at(STATE_DIRECTORY, file)),
      ...(source === undefined
        ? []
        : [
            at(STATE_DIRECTORY, {
              name: PAYLOAD.fetcher,
              content: Buffer.from(fetchScript(source, bundle.id)),
              mode: 0o700,
            }),
          ]),
      at("/etc/systemd/system", { name: `${SERVICE}.service`, content: unit, mode: 0o644 }),
    ],
    runcmd: [["sh", "-c", startScript(source)]],
  };
  const comment = `# First boot of ${JSON.stringify(host)} by Volley, bundle ${bundle.id}`;
  return `#cloud-config\n${comment}\n${toYaml(document)}`;
}

/**
 * systemd's unit is for later boots alone: the output of this start belongs into cloud-init's log. A machine that was
 * made of another one's disk may hold a script that fetches the other's bundle.
 */
function startScript(source: BundleSource | undefined): string {
  return `cd ${STATE_DIRECTORY} && chmod 700 . || exit 1
${source === undefined ? `rm -f ${PAYLOAD.fetcher}\n` : ""}[ ! -d /run/systemd/system ] || systemctl enable ${SERVICE}.service
exec sh ./${PAYLOAD.runner}`;
}

/** Write YAML as cloud-init's own library would, but for long lines: folded, base64 would be larger. */
function toYaml(value: unknown): string {
  return writeYaml(value, {
    ...{ indent: 2, width: Number.POSITIVE_INFINITY, compareKeys: null, flow: false, allowUnicode: true },
    ...{ explicitStart: false, explicitEnd: false, other: String },
  });
}

/** A host name as DNS and cloud-init take it. */
const HOST_NAME = /^[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*$/i;

/**
 * Make the volume of a seed for the datasource NoCloud, an ISO 9660 image. Equal user-data is that of one machine: another
 * one gets an instance id of its own, with which cloud-init starts anew.
 */
export function makeSeed({ host, bundle }: Payload, { document, source }: UserData): Buffer {
  const id = createHash("sha256").update(document).digest("hex").slice(0, 32);
  const metaData = {
    "instance-id": `volley-${id}`,
    ...(HOST_NAME.test(host) ? { "local-hostname": host } : {}),
  };
  return makeIso(SEED_LABEL, [
    { name: "user-data", content: document },
    { name: "meta-data", content: Buffer.from(toYaml(metaData)) },
    ...(source === "volume" ? [{ name: PAYLOAD.bundle, content: bundle.bytes }] : []),
  ]);
}
